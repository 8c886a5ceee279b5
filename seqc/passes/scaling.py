"""Scaling the kernel instead of the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seqc.graph.ir import Array, Constant, Graph, Value, build, constant
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.arithmetic import Add, Div, Mul, Sub
from seqc.ops.conv import Conv
from seqc.ops.linalg import Gemm, MatMul
from seqc.passes._rewriting import count_uses, known_array


@dataclass(frozen=True, eq=False)
class _Affine:
    """source * factor + offset, per element of the last axis, as `count` operations say it."""

    source: Value
    factor: Array
    offset: Array
    count: int


def fold_scale(graph: Graph, _: Target) -> Graph:
    """Returns the graph with constants that multiply the input of a Conv, MatMul or Gemm put into its kernel.

    Any chain of arithmetic with constants becomes one Add of what has to be added before the scale; that stays, because
    zeros put around an image come after it, and because in a bias it could cancel large numbers. In front of rescaled
    and normalized images that leaves one operation or none.
    """
    uses = count_uses(graph)

    def rule(old: Value, new: Value) -> Value | None:
        if not isinstance(new.op, Conv | MatMul | Gemm) or (isinstance(new.op, Conv) and new.op.first):
            return None
        kernel = known_array(new.inputs[1])
        if kernel is None or kernel.ndim < 2 or (not isinstance(new.op, Conv) and kernel.ndim > 2):
            return None
        chain = _chain(old.inputs[0], new.inputs[0], uses)
        if np.all(chain.factor == 1) and chain.count <= int(np.any(chain.offset)):
            return None
        if not np.all(np.isfinite(chain.factor) & (chain.factor != 0)):
            return None
        return _folded(new, kernel, chain)

    return rewrite(graph, rule)


def _chain(old: Value, new: Value, uses: Mapping[Value, int]) -> _Affine:
    """Returns the arithmetic that ends in a value, back to what something else uses or what is no arithmetic."""
    steps = []
    while uses[old] == 1 and isinstance(new.op, Add | Sub | Mul | Div):
        at = next((i for i in (0, 1) if _vector(new, i) is not None), None)
        if at is None or (isinstance(new.op, Div) and at == 0) or new.inputs[1 - at].type != new.type:
            break
        steps.append((new.op, at, _vector(new, at)))
        old, new = old.inputs[1 - at], new.inputs[1 - at]
    factor, offset = np.ones(()), np.zeros(())
    with np.errstate(all="ignore"):
        for op, at, vector in reversed(steps):
            factor, offset = _after(op, at, vector, factor, offset)
    return _Affine(new, factor, offset, len(steps))


def _after(op: object, at: int, c: Array | None, factor: Array, offset: Array) -> tuple[Array, Array]:
    """Returns factor and offset after one more operation with a constant, which is its operand number `at`."""
    assert c is not None
    if isinstance(op, Mul):
        return factor * c, offset * c
    if isinstance(op, Div):
        return factor / c, offset / c
    if isinstance(op, Add):
        return factor, offset + c
    return (factor, offset - c) if at == 1 else (-factor, c - offset)


def _vector(value: Value, operand: int) -> Array | None:
    """Returns a constant operand that is one number, or one per element of the last axis, in double precision."""
    array = known_array(value.inputs[operand])
    if array is None or not value.type.is_float:
        return None
    if array.size == 1:
        return array.astype(np.float64).reshape(())
    flat = array.size == array.shape[-1] == value.type.shape[-1]
    return array.astype(np.float64).reshape(-1) if flat else None


def _folded(product: Value, kernel: Array, chain: _Affine) -> Value | None:
    groups = product.op.groups if isinstance(product.op, Conv) else 1
    depth, filters = kernel.shape[-2:]
    each = np.broadcast_to(chain.factor, (depth * groups,))
    # Which channel an element of the kernel meets: those of a group belong to its filters.
    met = (np.arange(filters) // (filters // groups)) * depth + np.arange(depth)[:, None]
    dtype = product.inputs[1].type.dtype
    scaled = (kernel * each[met]).astype(dtype)
    shift = (chain.offset / chain.factor).astype(dtype)
    if not np.all(np.isfinite(scaled)) or not np.all(np.isfinite(shift)):
        return None
    label = product.inputs[1].op.label if isinstance(product.inputs[1].op, Constant) else ""
    source = chain.source
    if np.any(shift):
        source = build(Add(), (source, constant(shift)), product.inputs[0].scope)
    return build(product.op, (source, constant(scaled, label), *product.inputs[2:]), product.scope)
