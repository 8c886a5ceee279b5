"""Functions that repeat, roll and re-order, made of simpler operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.errors import ConfigError, DTypeError, ShapeError
from seqc.graph.eager import known_array
from seqc.graph.ir import Array, HasValue, Value, as_value, constant
from seqc.ops._common import as_tensor, listed_axes, normalize_axis, scalar
from seqc.ops.arithmetic import add, mod, subtract
from seqc.ops.creation import arange, diagonals
from seqc.ops.elementwise import less_equal, not_equal, where
from seqc.ops.gather import take
from seqc.ops.shape import expand_dims, reshape, shape, transpose
from seqc.ops.sizes import Size, as_size, as_sizes, broadcast_sizes, crop, listed_sizes, size_of
from seqc.ops.slicing import concatenate, slice_axis


def swapaxes(x: Any, axis1: int, axis2: int) -> Value:
    """Returns x with two axes exchanged."""
    value = as_tensor(x)
    perm = list(range(value.type.rank))
    a, b = (normalize_axis("swapaxes", axis, len(perm)) for axis in (axis1, axis2))
    perm[a], perm[b] = b, a
    return transpose(value, perm)


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Value:
    """Returns x with the axes `source` at `destination`, the others in order."""
    value = as_tensor(x)
    rank = value.type.rank
    sources, places = (
        [normalize_axis("moveaxis", a, rank) for a in listed_axes(axes)] for axes in (source, destination)
    )
    if len(sources) != len(places):
        raise ConfigError(f"moveaxis needs as many destinations as sources; got {source} and {destination}.")
    perm = [i for i in range(rank) if i not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        perm.insert(place, axis)
    return transpose(value, perm)


def ravel(x: Any) -> Value:
    """Returns the elements of x in one axis."""
    return reshape(x, -1)


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Value:
    """Returns x with each element along `axis` repeated, or each of all elements in order.

    Args:
        x: a tensor.
        repeats: how often, a number or a size as `ops.shape` gives it, or a number that is known for each element.
        axis: None for all elements in order.
    """
    value = as_tensor(x)
    if axis is None or not value.type.rank:
        value, axis = ravel(value), 0 if axis is None else axis
    at = normalize_axis("repeat", axis, value.type.rank)
    each = _repeats_of_each(repeats)
    if each is None:
        return _multiplied(value, at, as_size(repeats, "repeat"), at + 1)
    if len(each) == 1:
        return _multiplied(value, at, int(each[0]), at + 1)
    size = value.type.shape[at]
    if len(each) != size:
        raise ShapeError(f"repeat needs one number, or one for each of {size} elements; got {len(each)}.")
    return take(value, np.repeat(np.arange(size), each), at)


def _repeats_of_each(repeats: Any) -> Array | None:
    """Returns how often each element comes, or None where it is one number, or one size, for all."""
    if isinstance(repeats, Value | HasValue):
        value = as_value(repeats)
        if not value.type.rank:
            return None
        each = known_array(value, "repeat", "Give one number for all elements, or numbers that are known.")
    else:
        each = np.asarray(repeats)
    if each.ndim == 1 and each.dtype.kind not in "iu":
        raise DTypeError(f"repeat needs whole numbers; got {each.dtype}. Cast them first: ops.cast(x, 'int32').")
    return each if each.ndim == 1 else None


def _multiplied(x: Value, axis: int, count: Size, place: int) -> Value:
    """Returns x with an axis `count` times as long: repeated at `place`, the axis itself or the one behind it."""
    if isinstance(count, int) and count == 0:
        return x[(*[np.s_[:]] * axis, np.s_[:0])]
    sizes = list(shape(x))
    sizes.insert(place, count)
    wide = broadcast_sizes(expand_dims(x, place), sizes)
    del sizes[place]
    sizes[axis] = sizes[axis] * count
    return reshape(wide, sizes)


def tile(x: Any, repeats: Any) -> Value:
    """Returns x laid side by side `repeats` times along each axis, counted from the last.

    Args:
        x: a tensor.
        repeats: numbers, or sizes as `ops.shape` gives them.
    """
    value = as_tensor(x)
    given = as_sizes(repeats, "tile")
    counts = (*[1] * (value.type.rank - len(given)), *given)
    value = expand_dims(value, tuple(range(len(counts) - value.type.rank)))
    for axis, count in enumerate(counts):
        if isinstance(count, int) and count > 0:
            value = concatenate([value] * count, axis)
        else:
            value = _multiplied(value, axis, count, axis)
    return value


def broadcast_to(x: Any, shape: Any) -> Value:
    """Returns x repeated along axes of size one until it has the given shape.

    Args:
        x: a tensor.
        shape: numbers, sizes as `ops.shape` gives them, or None where a size stays.
    """
    value = as_tensor(x)
    listed = listed_sizes(shape, "broadcast_to")
    before = len(listed) - value.type.rank
    sizes = [size_of(value, i - before) if d is None and i >= before else d for i, d in enumerate(listed)]
    return broadcast_sizes(value, as_sizes(sizes, "broadcast_to"))


def slice(inputs: Any, start_indices: Any, shape: Any) -> Value:
    """Returns the block of the given shape that starts at the given element; both have one number per axis.

    Args:
        inputs: a tensor.
        start_indices: numbers, or integer tensors without axes.
        shape: sizes as numbers or as `ops.shape` gives them; -1 for all that is left of an axis.

    Raises:
        ShapeError: the block does not lie within the tensor.
    """
    value = as_tensor(inputs)
    for axis, (start, wanted) in enumerate(zip(start_indices, shape, strict=True)):
        size = as_size(wanted, "slice")
        at = as_value(start) if isinstance(start, HasValue) else start
        if not isinstance(at, Value):
            _check_within(value, axis, int(at), size)
        if isinstance(size, int) and size == -1:
            value = slice_axis(value, axis, as_size(at, "slice"), None)
        elif isinstance(at, Value) and at.type.size is None:
            value = take(value, add(arange(size), at), axis)
        elif isinstance(at, Value) or isinstance(size, Value):
            value = crop(value, axis, as_size(at, "slice"), as_size(add(at, size), "slice"))
        else:
            value = slice_axis(value, axis, int(at), int(at) + size)
    return value


def _check_within(x: Value, axis: int, start: int, size: Size) -> None:
    length = x.type.shape[axis]
    most = length - start if isinstance(length, int) else None
    wrong = start < 0 or (most is not None and most < 0)
    if isinstance(size, int):
        wrong = wrong or size < -1 or (most is not None and size > most)
    if wrong:
        raise ShapeError(
            f"slice takes blocks within a tensor; got {size} elements from {start} on along axis {axis} of {x.type}."
        )


def roll(x: Any, shift: Any, axis: int | Sequence[int] | None = None) -> Value:
    """Returns x with its elements moved `shift` places along `axis`, those beyond the end first.

    Several axes are rolled one after the other, each by its own of as many shifts, or all by the same.
    """
    value = as_tensor(x)
    if isinstance(axis, Sequence):
        shifts = shift if isinstance(shift, Sequence) else [shift] * len(axis)
        if len(shifts) != len(axis):
            raise ConfigError(f"roll needs as many shifts as axes, or one; got {shift} and {axis}.")
        for places, at in zip(shifts, axis, strict=True):
            value = roll(value, places, at)
        return value
    if axis is None:
        return reshape(roll(ravel(value), shift, 0), shape(value))
    at = normalize_axis("roll", axis, value.type.rank)
    size = size_of(value, at)
    if isinstance(shift, Value) or (isinstance(size, Value) and not -1 <= shift <= 1):
        return take(value, mod(subtract(arange(size), shift), size), at)
    places = shift % size if isinstance(size, int) and size else shift
    if not places:
        return value
    return concatenate([slice_axis(value, at, -places, None), slice_axis(value, at, 0, -places)], at)


def diff(a: Any, n: int = 1, axis: int = -1) -> Value:
    """Returns the differences of neighbours along `axis`, taken n times."""
    value = as_value(a)
    at = normalize_axis("diff", axis, value.type.rank)
    apart = not_equal if value.dtype == "bool" else subtract
    for _ in range(n):
        value = apart(slice_axis(value, at, 1, None), slice_axis(value, at, 0, -1))
    return value


def vstack(xs: Sequence[Any]) -> Value:
    """Returns tensors joined along the first axis, vectors as rows."""
    return concatenate([_with_rank(x, 2) for x in xs], 0)


def hstack(xs: Sequence[Any]) -> Value:
    """Returns tensors joined along the second axis, vectors along their only one."""
    values = [_with_rank(x, 1) for x in xs]
    return concatenate(values, min(1, values[0].type.rank - 1))


def tril(x: Any, k: int = 0) -> Value:
    """Returns x with zeros above the diagonal k places right of the main one, in its last two axes."""
    value = as_value(x)
    return where(_below(value, k), value, scalar(0, value))


def triu(x: Any, k: int = 0) -> Value:
    """Returns x with zeros below the diagonal k places right of the main one, in its last two axes."""
    value = as_value(x)
    return where(_below(value, k - 1), scalar(0, value), value)


def _below(x: Value, k: int) -> Value:
    rows, columns = (size_of(x, axis) for axis in (x.type.rank - 2, x.type.rank - 1))
    if isinstance(rows, int) and isinstance(columns, int):
        return constant(np.tri(rows, columns, k, dtype=bool))
    return less_equal(diagonals(rows, columns), k)


def _with_rank(x: Any, rank: int) -> Value:
    """Returns x with axes of size one before its own, up to a rank."""
    value = as_value(x)
    return expand_dims(value, tuple(range(rank - value.type.rank)))
