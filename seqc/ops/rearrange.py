"""Functions that repeat, roll and re-order, made of simpler operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.dims import Dim, known
from seqc.errors import ConfigError, ShapeError
from seqc.ir import Value, apply, as_value, constant
from seqc.ops._common import normalize_axis, scalar
from seqc.ops.arithmetic import subtract
from seqc.ops.elementwise import where
from seqc.ops.shape import expand_dims, repeat_new_axis, reshape, squeeze, transpose
from seqc.ops.slicing import Slice, concatenate, slice_axis


def swapaxes(x: Any, axis1: int, axis2: int) -> Value:
    """Returns x with two axes exchanged."""
    value = as_value(x)
    perm = list(range(value.type.rank))
    a, b = (normalize_axis("swapaxes", axis, len(perm)) for axis in (axis1, axis2))
    perm[a], perm[b] = b, a
    return transpose(value, perm)


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Value:
    """Returns x with the axes `source` at `destination`, the others in order."""
    value = as_value(x)
    rank = value.type.rank
    sources, places = (
        [normalize_axis("moveaxis", a, rank) for a in ([axes] if isinstance(axes, int) else axes)]
        for axes in (source, destination)
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


def repeat(x: Any, repeats: int, axis: int | None = None) -> Value:
    """Returns x with each element along `axis` repeated, or each of all elements in order."""
    value = as_value(x)
    if axis is None:
        value, axis = ravel(value), 0
    at = normalize_axis("repeat", axis, value.type.rank)
    shape, count = value.type.shape, int(repeats)
    return reshape(repeat_new_axis(value, count, at + 1), (*shape[:at], shape[at] * count, *shape[at + 1 :]))


def tile(x: Any, repeats: int | Sequence[int]) -> Value:
    """Returns x laid side by side `repeats` times along each axis, counted from the last."""
    value = as_value(x)
    counts = [int(n) for n in ([repeats] if isinstance(repeats, int) else repeats)]
    counts = [1] * (value.type.rank - len(counts)) + counts
    value = expand_dims(value, tuple(range(len(counts) - value.type.rank)))
    for axis, count in enumerate(counts):
        value = concatenate([value] * count, axis)
    return value


def broadcast_to(x: Any, shape: Sequence[int | Dim | None]) -> Value:
    """Returns x repeated along axes of size one until it has the given shape; None keeps a size."""
    value = as_value(x)
    extra = len(shape) - value.type.rank
    grown = value if extra < 0 else expand_dims(value, tuple(range(extra)))
    for axis, wanted in enumerate(shape):
        if extra < 0 or wanted not in (None, grown.type.shape[axis]):
            if extra < 0 or grown.type.shape[axis] != 1 or not isinstance(wanted, int):
                raise ShapeError(f"broadcast_to cannot give {value.type} the shape {tuple(shape)}.")
            grown = repeat_new_axis(squeeze(grown, axis), wanted, axis)
    return grown


def slice(inputs: Any, start_indices: Sequence[int], shape: Sequence[int]) -> Value:
    """Returns the block of the given shape that starts at the given element; both have one number per axis."""
    value = as_value(inputs)
    starts = tuple(int(start) for start in start_indices)
    ends = tuple(start + int(size) for start, size in zip(starts, shape, strict=True))
    rank = value.type.rank
    return apply(Slice(tuple(range(rank)), starts, ends, (1,) * rank), value)


def roll(x: Any, shift: int, axis: int | None = None) -> Value:
    """Returns x with its elements moved `shift` places along `axis`, those beyond the end first."""
    value = as_value(x)
    if axis is None:
        return reshape(roll(ravel(value), shift, 0), value.type.shape)
    at = normalize_axis("roll", axis, value.type.rank)
    size = value.type.shape[at]
    places = shift % size if isinstance(size, int) and size else shift
    if not places:
        return value
    return concatenate([slice_axis(value, at, -places, None), slice_axis(value, at, 0, -places)], at)


def diff(a: Any, n: int = 1, axis: int = -1) -> Value:
    """Returns the differences of neighbours along `axis`, taken n times."""
    value = as_value(a)
    at = normalize_axis("diff", axis, value.type.rank)
    for _ in range(n):
        value = subtract(slice_axis(value, at, 1, None), slice_axis(value, at, 0, -1))
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
    rows, columns = known(x.type.shape[-2:])
    return constant(np.tri(rows, columns, k, dtype=bool))


def _with_rank(x: Any, rank: int) -> Value:
    """Returns x with axes of size one before its own, up to a rank."""
    value = as_value(x)
    return expand_dims(value, tuple(range(rank - value.type.rank)))
