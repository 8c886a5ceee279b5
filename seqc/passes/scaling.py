"""Scaling and shifting the kernel instead of what it is applied to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from seqc.graph import dims
from seqc.graph.ir import Array, Constant, Graph, Value, build, constant
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.arithmetic import Add
from seqc.ops.conv import Conv
from seqc.ops.linalg import Gemm, MatMul
from seqc.ops.normalization import BatchNormalization
from seqc.ops.pool import AveragePool, MaxPool
from seqc.ops.reduce import ReduceMean
from seqc.ops.shape import Reshape
from seqc.passes._affine import NOTHING, Affine, affine_step, after
from seqc.passes._rewriting import count_uses, known_array

# The largest offset, beside numbers of about one, that goes into a bias: of larger ones little would be left there but
# the rounding of both, while an addition in front of the product is exact where it cancels.
_LARGEST = 4.0


def fold_scale(graph: Graph, _: Target) -> Graph:
    """Returns the graph with what multiplies and shifts the input of a Conv, MatMul or Gemm put into its weights.

    Exactly: (x * f + o) @ k + b = x @ (f * k) + (o @ k + b), and m(x * f + o) = m(x) * f + o for m a mean over pixels,
    a maximum (of f > 0) or a Flatten, which keep what is done alike to all pixels of a channel.

    f and o come from arithmetic with constants or from a BatchNormalization over channels.

    Where that does not hold - zeros put around an image come after the offset - and where the offset is large, so that
    in a bias it could cancel large numbers, any chain of arithmetic becomes one Add of o / f in front of the product:
    (x * f + o) @ k = (x + o / f) @ (f * k). In front of rescaled and normalized images that leaves one operation or
    none.
    """
    uses = count_uses(graph)

    def rule(old: Value, new: Value) -> Value | None:
        if not isinstance(new.op, Conv | MatMul | Gemm):
            return None
        kernel = known_array(new.inputs[1])
        if kernel is None or kernel.ndim < 2 or (not isinstance(new.op, Conv) and kernel.ndim > 2):
            return None
        shifted = _shifted(old, new, kernel, uses) if _takes_offsets(new) else None
        return _scaled(old, new, kernel, uses) if shifted is None else shifted

    return rewrite(graph, rule)


@dataclass(frozen=True, eq=False)
class _Chain:
    """What a product reads: `source`, multiplied and shifted.

    Attributes:
        normalized: whether a BatchNormalization is a part of it, which onnxruntime computes by factor and offset, too.
    """

    source: Value
    does: Affine
    normalized: bool = False


def _shifted(old: Value, new: Value, kernel: Array, uses: Mapping[Value, int]) -> Value | None:
    """Returns the product with factor and offset inside, or None where it does not take them."""
    chain = _before(old.inputs[0], new.inputs[0], uses)
    does = chain.does
    small = chain.normalized or bool(np.all(np.abs(does.offset) <= _LARGEST))
    if does.count == 0 or not _is_finite(does) or not small:
        return None
    scaled, each = _scaled_kernel(new, kernel, does), _of_each(new, kernel, does.offset)
    shift = np.sum(kernel.astype(np.float64) * each, axis=tuple(range(kernel.ndim - 1)))
    bias = known_array(new.inputs[2]) if len(new.inputs) == 3 else np.zeros(())
    if scaled is None or bias is None:
        return None
    op, operands = new.op, [chain.source, scaled]
    if len(new.inputs) == 3 or np.any(shift):
        dtype = new.inputs[1].type.dtype
        label = new.inputs[2].op.label if len(new.inputs) == 3 and isinstance(new.inputs[2].op, Constant) else ""
        with np.errstate(over="ignore"):
            total = (bias + shift).astype(dtype)
        if not np.all(np.isfinite(total)):
            return None
        if isinstance(op, MatMul) and new.inputs[0].type.rank > 2:
            return build(Add(), (build(op, tuple(operands), new.scope), constant(total)), new.scope)
        operands.append(constant(total, label))
        op = Gemm() if isinstance(op, MatMul) else op
    return build(op, tuple(operands), new.scope)


def _takes_offsets(product: Value) -> bool:
    """Whether an offset of the input is the same offset wherever the product's window lies: nothing is padded."""
    op = product.op
    if not isinstance(op, Conv) or op.padding == "valid":
        return True
    if op.padding == "same":
        return all(n == 1 for n in product.inputs[1].type.shape[:-2])
    return all(pair == (0, 0) for pair in op.padding)


def _before(old: Value, new: Value, uses: Mapping[Value, int]) -> _Chain:
    """Returns what ends in a value, and where it begins: at what something else uses, or does something else."""
    nothing = _Chain(new, NOTHING)
    if uses[old] != 1 or old.op is not new.op:
        return nothing
    step = affine_step(new)
    if step is not None:
        if not _is_finite(step):
            return nothing
        inner = _before(old.inputs[step.at], new.inputs[step.at], uses)
        normal = isinstance(new.op, BatchNormalization) or inner.normalized
        return _Chain(inner.source, after(inner.does, step), normal)
    if not isinstance(new.op, ReduceMean | AveragePool | MaxPool | Reshape):
        return nothing
    inner = _before(old.inputs[0], new.inputs[0], uses)
    does = None if inner.does.count == 0 else _behind(new, inner.does)
    if does is None:
        return nothing
    return replace(inner, source=build(new.op, (inner.source,), new.scope), does=does)


def _behind(value: Value, does: Affine) -> Affine | None:
    """Returns what is done to the result of an operation if `does` is not done to its operand; None if that differs."""
    x, op = value.inputs[0].type, value.op
    if isinstance(op, ReduceMean):
        return does if x.rank - 1 not in op.axes else None
    if isinstance(op, AveragePool) or (isinstance(op, MaxPool) and np.all(does.factor > 0)):
        return does
    if not isinstance(op, Reshape) or value.type.rank != 2 or x.shape[0] != value.type.shape[0]:
        return None
    if not dims.is_known(x.shape[1:]):
        return None
    (channels,), (columns,) = dims.known(x.shape[-1:]), dims.known(value.type.shape[1:])
    return replace(
        does, factor=_again(does.factor, columns // channels), offset=_again(does.offset, columns // channels)
    )


def _again(vector: Array, times: int) -> Array:
    return np.tile(vector, times) if vector.ndim else vector


def _scaled(old: Value, new: Value, kernel: Array, uses: Mapping[Value, int]) -> Value | None:
    """Returns the product with the factor inside and one addition in front of it."""
    source, chain = _arithmetic_before(old.inputs[0], new.inputs[0], uses)
    if np.all(chain.factor == 1) and chain.count <= int(np.any(chain.offset)):
        return None
    if not _is_finite(replace(chain, offset=np.zeros(()))):
        return None
    scaled = _scaled_kernel(new, kernel, chain)
    shift = (chain.offset / chain.factor).astype(new.inputs[1].type.dtype)
    if scaled is None or not np.all(np.isfinite(shift)):
        return None
    if np.any(shift):
        source = build(Add(), (source, constant(shift)), new.inputs[0].scope)
    return build(new.op, (source, scaled, *new.inputs[2:]), new.scope)


def _arithmetic_before(old: Value, new: Value, uses: Mapping[Value, int]) -> tuple[Value, Affine]:
    """Returns the arithmetic that ends in a value, and where it begins: at what something else uses, or is none."""
    whole = NOTHING
    while uses[old] == 1 and (step := affine_step(new)) is not None and not isinstance(new.op, BatchNormalization):
        whole = after(step, whole)
        old, new = old.inputs[step.at], new.inputs[step.at]
    return new, whole


def _is_finite(does: Affine) -> bool:
    return bool(np.all(np.isfinite(does.factor) & (does.factor != 0)) and np.all(np.isfinite(does.offset)))


def _scaled_kernel(product: Value, kernel: Array, does: Affine) -> Value | None:
    weight = product.inputs[1]
    with np.errstate(over="ignore"):
        scaled = (kernel * _of_each(product, kernel, does.factor)).astype(weight.type.dtype)
    if not np.all(np.isfinite(scaled)):
        return None
    return constant(scaled, weight.op.label if isinstance(weight.op, Constant) else "")


def _of_each(product: Value, kernel: Array, vector: Array) -> Array:
    """Returns the number per channel that each element of the kernel meets: those of a group belong to its filters."""
    groups = product.op.groups if isinstance(product.op, Conv) else 1
    depth, filters = kernel.shape[-2:]
    met = (np.arange(filters) // (filters // groups)) * depth + np.arange(depth)[:, None]
    found: Array = np.broadcast_to(vector, (depth * groups,))[met]
    return found
