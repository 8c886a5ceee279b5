"""Reverse-mode differentiation: gradients are values like any others.

Each op's `vjp` says how a gradient passes through it; this driver adds up what arrives at each value and un-broadcasts
it to the operand's shape.
"""

from __future__ import annotations

from collections.abc import Sequence

from seqc.errors import NoGradientError, ShapeError
from seqc.ir import Item, Type, Value, apply, scope, walk
from seqc.ops._common import scalar
from seqc.ops.reduce import ReduceSum
from seqc.ops.shape import zeros_like


def gradients(loss: Value, wrt: Sequence[Value]) -> list[Value]:
    """Returns d loss / d x for each x of `wrt`, shaped like x; zeros where the loss does not depend on x.

    Args:
        loss: a scalar.
        wrt: floating-point values the loss may depend on.
    """
    if loss.type.rank:
        raise ShapeError(f"Gradients start from a scalar; got {loss.type}. Reduce it first, for instance ops.mean(x).")
    one = build_one(loss)
    return pull_back([loss], [one], wrt)


def pull_back(outputs: Sequence[Value], cotangents: Sequence[Value], wrt: Sequence[Value]) -> list[Value]:
    """Returns the gradient of sum(outputs * cotangents) with respect to each value of `wrt`."""
    order = walk(outputs)
    needed = _dependents(order, set(wrt))
    arrived: dict[Value, list[Value]] = {}
    for y, cotangent in zip(outputs, cotangents, strict=True):
        arrived.setdefault(y, []).append(cotangent)
    for y in reversed(order):
        if y not in needed or isinstance(y.op, Item):
            continue
        g = _collect(y, arrived, order)
        if g is None:
            continue
        with scope(y.scope):
            parts = y.op.vjp(g, y, *y.inputs) if y.inputs else ()
        for x, part in zip(y.inputs, parts, strict=True):
            if part is not None and x in needed and x.type.is_float:
                arrived.setdefault(x, []).append(unbroadcast(part, x.type))
    return [total(arrived[x]) if arrived.get(x) else zeros_like(x) for x in wrt]


def build_one(like: Value) -> Value:
    """Returns the constant 1 of a value's dtype."""
    return scalar(1, like)


def total(parts: Sequence[Value]) -> Value:
    """Returns the sum of the gradients that met at one value."""
    result = parts[0]
    for part in parts[1:]:
        result = result + part
    return result


def unbroadcast(g: Value, x: Type) -> Value:
    """Sums a gradient over the axes along which the operand was broadcast."""
    extra = g.type.rank - x.rank
    if extra < 0:
        raise NoGradientError(f"A gradient {g.type} cannot belong to an operand {x}: the op's vjp is wrong.")
    if extra:
        g = apply(ReduceSum(tuple(range(extra))), g)
    axes = tuple(i for i, (a, b) in enumerate(zip(g.type.shape, x.shape, strict=True)) if b == 1 and a != 1)
    if axes:
        g = apply(ReduceSum(axes, keepdims=True), g)
    if g.type.shape != x.shape:
        raise NoGradientError(f"A gradient {g.type} cannot belong to an operand {x}: the op's vjp is wrong.")
    return g


def _dependents(order: Sequence[Value], sources: set[Value]) -> set[Value]:
    """Returns the values of `order` that depend on one of the sources, with the sources."""
    found = set(sources)
    for v in order:
        if any(x in found for x in v.inputs):
            found.add(v)
    return found


def _collect(
    y: Value, arrived: dict[Value, list[Value]], order: Sequence[Value]
) -> Value | tuple[Value | None, ...] | None:
    if not isinstance(y.result, tuple):
        parts = arrived.get(y)
        if not parts:
            return None
        arrived[y] = [total(parts)]
        return arrived[y][0]
    by_index: dict[int, list[Value]] = {}
    for v in order:
        if isinstance(v.op, Item) and v.inputs[0] is y:
            by_index.setdefault(v.op.index, []).extend(arrived.get(v, ()))
    if not any(by_index.values()):
        return None
    return tuple(total(by_index[i]) if by_index.get(i) else None for i in range(len(y.result)))
