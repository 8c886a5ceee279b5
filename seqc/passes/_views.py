"""Seeing the same elements, in the same order, under another shape."""

from __future__ import annotations

from seqc.graph import dims
from seqc.graph.ir import Shape, Type, Value, build
from seqc.ops.shape import Reshape, Squeeze, Unsqueeze
from seqc.sure import mistake

# These show the same elements in the same order.
VIEWS = (Reshape, Squeeze, Unsqueeze)


def view(x: Value, shape: Shape) -> Value:
    """Returns `x` under another shape of as many elements, by as few nodes as possible.

    Nothing, Squeeze or Unsqueeze where axes of size one come or go, else one Reshape; Squeeze then Unsqueeze where a
    Reshape would have to solve for two sizes.
    """
    have = x.type.shape
    if have == shape:
        return x
    if (gone := _extra_units(have, shape)) is not None:
        return build(Squeeze(gone), (x,), x.scope)
    if (new := _extra_units(shape, have)) is not None:
        return build(Unsqueeze(new), (x,), x.scope)
    target = reshape_target(x.type, shape)
    if target is not None:
        return build(Reshape(target), (x,), x.scope)
    units = tuple(i for i, d in enumerate(have) if d == 1)
    return view(build(Squeeze(units), (x,), x.scope), shape) if units else _unsolved(x, shape)


def can_view(x: Type, shape: Shape) -> bool:
    """Whether `view` knows a way."""
    if dims.product(x.shape) != dims.product(shape):
        return False
    bare, wanted = (tuple(d for d in s if d != 1) for s in (x.shape, shape))
    return bare == wanted or reshape_target(x, shape) is not None


def reshape_target(x: Type, shape: Shape) -> tuple[int, ...] | None:
    """Returns the target of a Reshape from `x` to `shape`, or None where it would have to solve for two sizes."""
    if 0 in shape:
        return None
    target = []
    for i, d in enumerate(shape):
        kept = i < x.rank and x.shape[i] == d
        target.append(d if isinstance(d, int) else 0 if kept else -1)
    return None if target.count(-1) > 1 else tuple(target)


def _extra_units(long: Shape, short: Shape) -> tuple[int, ...] | None:
    """Returns which axes of size one `long` has beyond `short`, or None if they differ in more."""
    extra, at = [], 0
    for i, d in enumerate(long):
        if at < len(short) and d == short[at]:
            at += 1
        elif d == 1:
            extra.append(i)
        else:
            return None
    return tuple(extra) if at == len(short) else None


def _unsolved(x: Value, shape: Shape) -> Value:
    units = tuple(i for i, d in enumerate(shape) if d == 1)
    bare = tuple(d for d in shape if d != 1)
    if x.type.shape != bare:
        raise mistake(f"{x.type} cannot be seen as {shape}")
    return build(Unsqueeze(units), (x,), x.scope)
