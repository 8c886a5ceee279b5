"""Scaling and shifting a product's kernel and bias instead of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from seqc.graph import dims
from seqc.graph.ir import Array, Constant, Graph, Op, Value, build, constant
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.arithmetic import Add
from seqc.ops.conv import Conv, ConvTranspose
from seqc.ops.linalg import Gemm, MatMul
from seqc.ops.normalization import BatchNormalization
from seqc.ops.slicing import Concat
from seqc.passes._affine import Affine, affine_step
from seqc.passes._rewriting import count_uses, known_array, until_nothing_changes
from seqc.sure import of_kind


@dataclass(frozen=True, eq=False)
class _Product:
    """x times a constant kernel, plus a constant bias; `shared` if something else reads the kernel, too."""

    op: Op
    x: Value
    kernel: Value
    bias: Value | None
    scope: str
    shared: bool


def fold_affine(graph: Graph, _: Target) -> Graph:
    """Returns the graph with what multiplies and shifts each channel of a product folded into its kernel and bias.

    Exactly: (x @ k + b) * f + o = x @ (k * f) + (b * f + o).

    For Conv, ConvTranspose, MatMul and Gemm; f and o come from a BatchNormalization over channels or from arithmetic
    with constants, and of products joined along their channels each takes its own part of them. The new weights are
    computed in float64.

    Only backwards; `fold_scale` goes forwards, where no padding lies between. Needs constant weights, and a
    product that nothing else uses; arithmetic stays where a kernel would have to be kept in two sizes.
    """
    return until_nothing_changes(graph, _fold_once)


def _fold_once(graph: Graph) -> Graph:
    uses = count_uses(graph)

    def rule(old: Value, new: Value) -> Value | None:
        step = affine_step(new)
        if step is None:
            return None
        label = _label(new.inputs[2] if isinstance(new.op, BatchNormalization) else new.inputs[1 - step.at])
        always = isinstance(new.op, BatchNormalization)
        return fold(old.inputs[step.at], new.inputs[step.at], step, uses, label, always)

    return rewrite(graph, rule)


def fold(
    old: Value, new: Value, step: Affine, uses: Mapping[Value, int], label: str = "", always: bool = True
) -> Value | None:
    """Returns a product with a factor and an offset in its weights, or None where it cannot take them.

    Args:
        old: the product as it was, which `uses` knows.
        new: the same with operands that are rewritten already.
        step: the factor and the offset.
        uses: how often each value is read.
        label: what a bias is called where there was none.
        always: whether to do it where something else reads the kernel, too.
    """
    if uses[old] != 1 or new.op is not old.op or not np.all(np.isfinite(step.factor) & np.isfinite(step.offset)):
        return None
    if isinstance(new.op, Concat):
        return _fold_parts(old, new, step, uses, label, always)
    product = _product(old, new, uses)
    if product is None or (product.shared and not always):
        return None
    if isinstance(product.op, MatMul) and product.bias is None and np.all(step.factor == 1) and product.x.type.rank > 2:
        return None  # which is written as a product and an addition anyway
    return _folded(product, step, label)


def _fold_parts(
    old: Value, new: Value, step: Affine, uses: Mapping[Value, int], label: str, always: bool
) -> Value | None:
    """Folds into each of the products that are joined, or into none."""
    op = of_kind(new.op, Concat)
    if op.axis != new.type.rank - 1 or not dims.is_known(new.type.shape[-1:]):
        return None
    parts: list[Value] = []
    start = 0
    for before, x in zip(old.inputs, new.inputs, strict=True):
        (size,) = dims.known(x.type.shape[-1:])
        stop = start + size
        own = replace(step, factor=_cut(step.factor, start, stop), offset=_cut(step.offset, start, stop))
        part = fold(before, x, own, uses, label, always)
        if part is None:
            return None
        parts.append(part)
        start = stop
    return build(new.op, tuple(parts), new.scope)


def _cut(vector: Array, start: int, stop: int) -> Array:
    return vector[start:stop] if vector.ndim else vector


def _product(old: Value, new: Value, uses: Mapping[Value, int]) -> _Product | None:
    op, inputs = new.op, new.inputs
    if isinstance(op, ConvTranspose) and op.groups > 1:
        return None  # its kernel's axes do not tell the channels of different groups apart
    if isinstance(op, Conv | ConvTranspose | Gemm | MatMul):
        if any(known_array(v) is None for v in inputs[1:]) or inputs[1].type.rank < 2:
            return None
        if isinstance(op, MatMul) and inputs[1].type.rank != 2:
            return None
        bias = inputs[2] if len(inputs) == 3 else None
        return _Product(op, inputs[0], inputs[1], bias, new.scope, uses[old.inputs[1]] > 1)
    if isinstance(op, Add):
        for at in (0, 1):
            product, vector = new.inputs[at], known_array(new.inputs[1 - at])
            same = product.op is old.inputs[at].op and uses[old.inputs[at]] == 1
            if same and isinstance(product.op, MatMul) and vector is not None and vector.shape == new.type.shape[-1:]:
                inner = _product(old.inputs[at], product, uses)
                return None if inner is None else replace(inner, bias=new.inputs[1 - at], scope=new.scope)
    return None


def _folded(p: _Product, step: Affine, label: str) -> Value | None:
    kernel = _doubles(p.kernel)
    # A transposed convolution makes the channels of its kernel's last axis but one.
    at = -2 if isinstance(p.op, ConvTranspose) else -1
    factor = np.broadcast_to(step.factor, kernel.shape[at])
    found = [(kernel * (factor[:, None] if at == -2 else factor), _label(p.kernel))]
    if p.bias is not None or np.any(step.offset):
        bias = 0.0 if p.bias is None else _doubles(p.bias)
        shift = np.broadcast_to(bias * factor + step.offset, factor.shape)
        found.append((shift, label if p.bias is None else _label(p.bias)))
    with np.errstate(over="ignore"):
        weights = [constant(array.astype(p.kernel.type.dtype), name) for array, name in found]
    if not all(_same_size(w, array) for w, (array, _) in zip(weights, found, strict=True)):
        return None
    if isinstance(p.op, Conv | ConvTranspose):
        return build(p.op, (p.x, *weights), p.scope)
    if len(weights) == 2 and p.x.type.rank == 2:
        return build(Gemm(), (p.x, *weights), p.scope)
    product = build(MatMul(), (p.x, weights[0]), p.scope)
    return product if len(weights) == 1 else build(Add(), (product, weights[1]), p.scope)


def _same_size(weight: Value, array: Array) -> bool:
    """Whether no number became infinite or zero in the weight's own precision."""
    kept = _doubles(weight)
    return bool(np.all(np.isfinite(kept) == np.isfinite(array)) and np.all((kept == 0) == (array == 0)))


def _doubles(value: Value) -> Array:
    return np.asarray(value.op.eval(), np.float64)


def _label(value: Value) -> str:
    """A constant keeps the name of the one it replaces."""
    return value.op.label if isinstance(value.op, Constant) else ""
