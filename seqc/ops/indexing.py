"""Python's square brackets on tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.errors import ConfigError, ShapeError
from seqc.graph.dims import Dim
from seqc.graph.eager import is_known
from seqc.graph.ir import Array, HasValue, Type, Value, apply, as_value
from seqc.graph.operators import OPERATORS
from seqc.ops.arithmetic import add
from seqc.ops.gather import take
from seqc.ops.shape import Squeeze, Unsqueeze, expand_dims, reshape
from seqc.ops.sizes import as_size, crop, dim_of
from seqc.ops.slicing import Slice


def get_item(x: Any, key: Any) -> Value:
    """Returns x[key] for integers, slices, None and Ellipsis, as NumPy does. Bounds may be sizes from `ops.shape`.

    A tensor of booleans that are known, as they are eagerly, chooses the elements where it is true.

    Raises:
        ShapeError: x has fewer axes, or no such element. ConfigError: the key is of another kind.
    """
    value = as_value(x)
    if isinstance(key, np.ndarray | Value | HasValue) and as_value(key).dtype == "bool" and is_known(as_value(key)):
        return _chosen(value, as_value(key).numpy())
    axis = 0
    cuts: list[tuple[int, int, int | None, int]] = []
    dropped: list[int] = []
    added: list[int] = []
    for part in _key_per_axis(key, value.type):
        if part is None:
            added.append(axis - len(dropped) + len(added))
            continue
        if isinstance(part, slice):
            value, cut = _cut(value, axis, part)
        else:
            value, cut = _element(value, axis, part)
            dropped.append(axis)
        cuts += [] if cut is None else [(axis, *cut)]
        axis += 1
    if cuts:
        axes, starts, stops, steps = zip(*cuts, strict=True)
        value = apply(Slice(axes, starts, stops, steps), value)
    if dropped:
        value = apply(Squeeze(tuple(dropped)), value)
    return apply(Unsqueeze(tuple(added)), value) if added else value


def _chosen(x: Value, mask: Array) -> Value:
    """Returns the elements of x where a mask of its first axes is true, one after the other."""
    if x.type.shape[: mask.ndim] != mask.shape or not mask.ndim:
        raise ShapeError(
            f"{x.type} cannot be indexed by booleans of shape {list(mask.shape)}: they are one per element."
        )
    return take(reshape(x, (-1, *x.type.shape[mask.ndim :])), np.flatnonzero(mask), 0)


def _key_per_axis(key: Any, x: Type) -> tuple[Any, ...]:
    """Returns the key with its Ellipsis written out: a slice or integer per axis, None for new ones."""
    keys = key if isinstance(key, tuple) else (key,)
    taken = sum(1 for k in keys if k is not None and k is not Ellipsis)
    dots = [i for i, k in enumerate(keys) if k is Ellipsis]
    if taken > x.rank or len(dots) > 1:
        raise ShapeError(f"{x} has no element [{', '.join(map(str, keys))}]: too many indices.")
    at = dots[0] if dots else len(keys)
    return (*keys[:at], *[slice(None)] * (x.rank - taken), *keys[at + 1 :])


# What the Slice operation takes of one axis: (start, stop, step), or None for all of it.
_Static = tuple[int, int | None, int] | None


def _element(x: Value, axis: int, index: Any) -> tuple[Value, _Static]:
    """Returns x and what is left to slice of it, for one element along an axis, which stays with size one."""
    size = x.type.shape[axis]
    scalar = isinstance(index, Value) and not index.type.shape and index.dtype.startswith(("int", "uint"))
    if isinstance(index, bool) or not (scalar or isinstance(index, int | np.integer)):
        raise ConfigError(
            f"A tensor can be indexed by integers, slices, None and ...; got {index!r}. To look up by a tensor use "
            "ops.take, to choose by a condition ops.where."
        )
    if scalar and index.type.size is None:
        return take(x, expand_dims(index, 0), axis), None
    at = _bound(index, size)
    if isinstance(at, Value):
        return crop(x, axis, at, add(at, 1)), None
    if isinstance(size, int) and not -size <= at < size:
        raise ShapeError(f"{x.type} has no element {at} along an axis of size {size}.")
    return x, (at, at + 1 if at != -1 else None, 1)


def _cut(x: Value, axis: int, part: slice) -> tuple[Value, _Static]:
    """Returns x and what is left to slice of it."""
    size = x.type.shape[axis]
    step = 1 if part.step is None else int(part.step)
    start, stop = _bound(part.start, size), _bound(part.stop, size)
    if start == "end" or isinstance(start, Value) or isinstance(stop, Value):
        return _cut_at_values(x, axis, part, step)
    stop = None if stop == "end" else stop
    if isinstance(size, int):
        first, last, step = slice(start, stop, step).indices(size)
        if not range(first, last, step):
            return x, (0, 0, 1)
        cut = (first, last if last >= 0 else None, step)
        return x, None if cut == (0, size, 1) else cut
    if stop is None and step == 1 and start in (None, 0):
        return x, None
    return x, ((0 if step > 0 else -1) if start is None else start, stop, step)


def _cut_at_values(x: Value, axis: int, part: slice, step: int) -> tuple[Value, _Static]:
    """Cuts what lies between bounds of which one is a value; steps, and their direction, are left to a slice."""
    start, stop = (None if b is None else as_size(b, "A slice") for b in (part.start, part.stop))
    if step > 0:
        return crop(x, axis, 0 if start is None else start, stop), None if step == 1 else (0, None, step)
    # Backwards, the first element is `start` and the last one that behind `stop`.
    first = 0 if stop is None else add(stop, 1)
    last = None if start is None else add(start, 1)
    return crop(x, axis, first, last), (-1, None, step)


def _bound(bound: Any, size: Dim) -> Any:
    """Returns a bound as a number, None where there is none, "end" for the size itself, or a value for any other size.

    A value that is a known number of elements before the end becomes a negative number.
    """
    given = None if bound is None else as_size(bound, "A slice")
    if given is None or isinstance(given, int):
        return given
    behind = dim_of(given) - size
    if isinstance(behind, int) and behind <= 0 and not isinstance(size, int):
        return behind or "end"
    return given


OPERATORS["get_item"] = get_item
