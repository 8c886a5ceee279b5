"""Functions that join, cut apart and turn, made of simpler operations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.ops._common import as_tensor, normalize_axis
from seqc.ops.rearranging import ravel, swapaxes
from seqc.ops.shape import expand_dims
from seqc.ops.slicing import concatenate, flip, slice_axis, split


def append(x1: Any, x2: Any, axis: int | None = None) -> Value:
    """Returns x2 behind x1 along `axis`, or the elements of both in one axis."""
    if axis is None:
        return concatenate([ravel(x1), ravel(x2)])
    return concatenate([x1, x2], axis)


def dstack(xs: Sequence[Any]) -> Value:
    """Returns tensors joined along the third axis, vectors as (1, N, 1) and matrices as (M, N, 1)."""
    return concatenate([_with_depth(x) for x in xs], 2)


def _with_depth(x: Any) -> Value:
    value = as_value(x)
    return expand_dims(value, {0: (0, 1, 2), 1: (0, 2), 2: (2,)}.get(value.type.rank, ()))


def array_split(x: Any, indices_or_sections: int, axis: int = 0) -> list[Value]:
    """Returns x cut along `axis` into sections that differ by one element at most, the longer ones first.

    Args:
        x: a tensor.
        indices_or_sections: the number of sections; `split` takes positions.
        axis: where to cut; of known size unless the sections divide it.
    """
    value = as_value(x)
    at = normalize_axis("array_split", axis, value.type.rank)
    size = value.type.shape[at]
    if not isinstance(indices_or_sections, int) or indices_or_sections < 1:
        raise ConfigError(f"array_split needs a number of sections, 1 or more; got {indices_or_sections!r}.")
    if not isinstance(size, int):
        return split(value, indices_or_sections, at)
    least, longer = divmod(size, indices_or_sections)
    bounds = [i * least + min(i, longer) for i in range(indices_or_sections + 1)]
    return [slice_axis(value, at, a, b) for a, b in pairwise(bounds)]


def hsplit(x: Any, indices_or_sections: int | Sequence[Any]) -> list[Value]:
    """Returns x cut along its second axis, vectors along their only one; see `split`."""
    return split(x, indices_or_sections, 0 if as_value(x).type.rank == 1 else 1)


def vsplit(x: Any, indices_or_sections: int | Sequence[Any]) -> list[Value]:
    """Returns x cut along its first axis; see `split`."""
    return split(x, indices_or_sections, 0)


def dsplit(x: Any, indices_or_sections: int | Sequence[Any]) -> list[Value]:
    """Returns x cut along its third axis; see `split`."""
    return split(x, indices_or_sections, 2)


def fliplr(x: Any) -> Value:
    """Returns x with the order along its second axis reversed."""
    return flip(x, 1)


def flipud(x: Any) -> Value:
    """Returns x with the order along its first axis reversed."""
    return flip(x, 0)


def rot90(array: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Value:
    """Returns x turned by k quarters, from the first of two axes towards the second."""
    value = as_tensor(array)
    rank = value.type.rank
    first, second = (normalize_axis("rot90", a, rank) for a in axes)
    if rank < 2 or first == second:
        raise ShapeError(f"rot90 turns in the plane of two different axes; got {tuple(axes)} of {value.type}.")
    turns = k % 4
    if turns == 2:
        return flip(value, (first, second))
    if turns == 1:
        return swapaxes(flip(value, second), first, second)
    return flip(swapaxes(value, first, second), second) if turns else value
