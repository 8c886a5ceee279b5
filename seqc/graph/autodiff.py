"""Reverse-mode differentiation: gradients are values like any others.

Each op's `vjp` says how a gradient passes through it; this driver adds up what arrives at each value and un-broadcasts
it to the operand's shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seqc.errors import DTypeError, NoGradientError, ShapeError
from seqc.graph.ir import Item, Op, Type, Value, apply, scope, walk
from seqc.ops._common import scalar
from seqc.ops.reduce import ReduceSum
from seqc.ops.shape import zeros_like
from seqc.ops.slicing import joined_slices


def gradients(loss: Value, wrt: Sequence[Value]) -> list[Value]:
    """Returns d loss / d x for each x of `wrt`, shaped like x; zeros where the loss does not depend on x.

    Args:
        loss: a scalar.
        wrt: floating-point values the loss may depend on.

    Raises:
        ShapeError: the loss is not a scalar. DTypeError: the loss or a value of `wrt` is not of floating-point numbers.
        NoGradientError: an operation between a value of `wrt` and the loss has no gradient.
    """
    return [zeros_like(x) if g is None else g for x, g in zip(wrt, connected_gradients(loss, wrt), strict=True)]


def connected_gradients(loss: Value, wrt: Sequence[Value]) -> list[Value | None]:
    """Returns what `gradients` does, but None where the loss does not depend on x."""
    if loss.type.rank:
        raise ShapeError(f"Gradients start from a scalar; got {loss.type}. Reduce it first, for instance ops.mean(x).")
    if not loss.type.is_float:
        raise DTypeError(f"Gradients start from a floating-point number; got {loss.type}.")
    return pulled([loss], [scalar(1, loss)], wrt)


def pull_back(outputs: Sequence[Value], cotangents: Sequence[Value], wrt: Sequence[Value]) -> list[Value]:
    """Returns the gradient of sum(outputs * cotangents) with respect to each value of `wrt`."""
    found = pulled(outputs, cotangents, wrt)
    return [zeros_like(x) if g is None else g for x, g in zip(wrt, found, strict=True)]


def pulled(
    outputs: Sequence[Value],
    cotangents: Sequence[Value],
    wrt: Sequence[Value],
    passes: Callable[[Value], bool] = lambda _: True,
) -> list[Value | None]:
    """Returns what `pull_back` does, but None where no output depends on x.

    Args:
        passes: whether a gradient that arrives at a value goes on to what it was made of.
    """
    for x in wrt:
        if not x.type.is_float:
            raise DTypeError(f"Only floating-point values have a gradient; got {x}.")
    order = walk(outputs)
    needed = _dependents(order, set(wrt), passes)
    results = _results(order)
    arrived: dict[Value, list[Value]] = {}
    for y, cotangent in zip(outputs, cotangents, strict=True):
        arrived.setdefault(y, []).append(cotangent)
    for y in reversed(order):
        if isinstance(y.op, Item) or not any(x in needed for x in y.inputs) or not passes(y):
            continue
        g = _collect(y, arrived, results)
        if g is None:
            continue
        with scope(y.scope, whole=True):
            parts = y.op.vjp(g, y, *y.inputs)
        for x, part in zip(y.inputs, parts, strict=True):
            if part is not None and x in needed and x.type.is_float:
                arrived.setdefault(x, []).append(unbroadcast(part, x.type, y.op))
    return [total(arrived[x]) if x in arrived else None for x in wrt]


def total(parts: Sequence[Value]) -> Value:
    """Returns the sum of the gradients that met at one value."""
    result, *others = joined_slices(parts)
    for part in others:
        result = result + part
    return result


def unbroadcast(g: Value, x: Type, op: Op) -> Value:
    """Sums a gradient over the axes along which the operand `x` of `op` was broadcast."""
    extra = g.type.rank - x.rank
    if extra > 0:
        g = apply(ReduceSum(tuple(range(extra))), g)
    if extra >= 0:
        axes = tuple(i for i, (a, b) in enumerate(zip(g.type.shape, x.shape, strict=True)) if b == 1 and a != 1)
        if axes:
            g = apply(ReduceSum(axes, keepdims=True), g)
    if g.type != x:
        raise NoGradientError(f"A gradient {g.type} cannot belong to an operand {x}: the vjp of {op.name} is wrong.")
    return g


def _dependents(order: Sequence[Value], sources: set[Value], passes: Callable[[Value], bool]) -> set[Value]:
    """Returns the values of `order` that depend on one of the sources, with the sources."""
    found = set(sources)
    for v in order:
        if any(x in found for x in v.inputs) and (isinstance(v.op, Item) or passes(v)):
            found.add(v)
    return found


def _results(order: Sequence[Value]) -> dict[Value, list[Value]]:
    """Returns the values that pick a result of each operation with several."""
    picked: dict[Value, list[Value]] = {}
    for v in order:
        if isinstance(v.op, Item):
            picked.setdefault(v.inputs[0], []).append(v)
    return picked


def _collect(
    y: Value, arrived: dict[Value, list[Value]], results: dict[Value, list[Value]]
) -> Value | tuple[Value | None, ...] | None:
    """Returns the gradient that arrived at a value, one per result where there are several, or None if none did."""
    if not isinstance(y.result, tuple):
        if y not in arrived:
            return None
        arrived[y] = [total(arrived[y])]
        return arrived[y][0]
    by_index: dict[int, list[Value]] = {}
    for item in results.get(y, ()):
        if item in arrived and isinstance(item.op, Item):
            by_index.setdefault(item.op.index, []).extend(arrived[item])
    if not by_index:
        return None
    return tuple(total(by_index[i]) if i in by_index else None for i in range(len(y.result)))
