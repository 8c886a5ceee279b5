"""Python's square brackets on tensors."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from seqc import dims
from seqc.dims import Dim
from seqc.errors import ConfigError, ShapeError
from seqc.ir import Type, Value, apply, as_value
from seqc.operators import OPERATORS
from seqc.ops.shape import Squeeze, Unsqueeze
from seqc.ops.slicing import Slice


def get_item(x: Any, key: Any) -> Value:
    """Returns x[key] for integers, slices, None and Ellipsis, as NumPy does.

    Raises:
        ShapeError: x has fewer axes, or no such element. ConfigError: the key is of another kind.
    """
    value = as_value(x)
    axis = 0
    cuts: list[tuple[int, int, int | None, int]] = []
    dropped: list[int] = []
    added: list[int] = []
    for part in _key_per_axis(key, value.type):
        if part is None:
            added.append(axis - len(dropped) + len(added))
            continue
        size = value.type.shape[axis]
        if isinstance(part, slice):
            cut = _cut(part, size)
        else:
            cut = _element(part, size, value.type)
            dropped.append(axis)
        cuts += [] if cut is None else [(axis, *cut)]
        axis += 1
    if cuts:
        axes, starts, stops, steps = zip(*cuts, strict=True)
        value = apply(Slice(axes, starts, stops, steps), value)
    if dropped:
        value = apply(Squeeze(tuple(dropped)), value)
    return apply(Unsqueeze(tuple(added)), value) if added else value


def _key_per_axis(key: Any, x: Type) -> tuple[Any, ...]:
    """Returns the key with its Ellipsis written out: a slice or integer per axis, None for new ones."""
    keys = key if isinstance(key, tuple) else (key,)
    taken = sum(1 for k in keys if k is not None and k is not Ellipsis)
    dots = [i for i, k in enumerate(keys) if k is Ellipsis]
    if taken > x.rank or len(dots) > 1:
        raise ShapeError(f"{x} has no element [{', '.join(map(str, keys))}]: too many indices.")
    at = dots[0] if dots else len(keys)
    return (*keys[:at], *[slice(None)] * (x.rank - taken), *keys[at + 1 :])


def _element(index: Any, size: Dim, x: Type) -> tuple[int, int | None, int]:
    if isinstance(index, bool) or not isinstance(index, int | np.integer):
        raise ConfigError(
            f"A tensor can be indexed by integers, slices, None and ...; got {index!r}. To look up by a tensor use "
            "ops.take, to choose by a condition ops.where."
        )
    at = int(index)
    if isinstance(size, int) and not -size <= at < size:
        raise ShapeError(f"{x} has no element {at} along an axis of size {size}.")
    return at, at + 1 if at != -1 else None, 1


def _cut(part: slice, size: Dim) -> tuple[int, int | None, int] | None:
    """Returns (start, stop, step) in the terms of the Slice operation, or None where all is taken."""
    if isinstance(part.start, dims.Sym) and part.start == size:
        raise ConfigError(f"A slice from {size} to the end of an axis of that size is empty.")
    step = 1 if part.step is None else int(part.step)
    start, stop = _bound(part.start, size), _bound(part.stop, size)
    if isinstance(size, int):
        first, last, step = slice(start, stop, step).indices(size)
        if not range(first, last, step):
            return 0, 0, 1
        cut = (first, last if last >= 0 else None, step)
        return None if cut == (0, size, 1) else cut
    if stop is None and step == 1 and start in (None, 0):
        return None
    return (0 if step > 0 else -1) if start is None else start, stop, step


def _bound(bound: Any, size: Dim) -> int | None:
    """Returns a bound as a number; one that is symbolic must be the symbolic size, or so many elements before it."""
    if bound is None:
        return None
    if isinstance(bound, dims.Sym):
        behind = bound - size
        if not isinstance(behind, int) or behind > 0:
            raise ConfigError(f"A slice of an axis of size {size} cannot be bounded by {bound}.")
        return behind or None
    if isinstance(bound, Value):
        raise ConfigError("A slice needs bounds that are known before a run; got a tensor. Use ops.take or ops.where.")
    return operator.index(bound)


OPERATORS["get_item"] = get_item
