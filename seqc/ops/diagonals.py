"""Diagonals of matrices, taken and made."""

from __future__ import annotations

from typing import Any

from seqc.errors import ShapeError
from seqc.graph.ir import Value, apply, as_value
from seqc.ops._common import as_number, normalize_axis, scalar
from seqc.ops.creation import eye
from seqc.ops.elementwise import cast, where
from seqc.ops.padding import pad
from seqc.ops.rearranging import moveaxis, ravel
from seqc.ops.reduce import sum
from seqc.ops.shape import Reshape, expand_dims
from seqc.ops.sizes import Size, dim_of, size_of
from seqc.ops.slicing import slice_axis


def diag(x: Any, k: int = 0) -> Value:
    """Returns a matrix with a vector on the diagonal k places right of the main one, or that diagonal of a matrix."""
    value = as_value(x)
    if value.type.rank not in (1, 2):
        raise ShapeError(f"diag needs a vector or a matrix; got {value.type}.")
    return diagonal(value, k) if value.type.rank == 2 else _with_diagonal(value, k)


def diagflat(x: Any, k: int = 0) -> Value:
    """Returns a matrix with all elements of x in order on the diagonal k places right of the main one."""
    return _with_diagonal(ravel(as_value(x)), k)


def _with_diagonal(x: Value, k: int) -> Value:
    places = pad(x, ((abs(k), 0),)) if k else x
    side = size_of(places, 0)
    # What lies above the main diagonal is found by its column, what lies below it by its row.
    shown = expand_dims(places, 0 if k >= 0 else 1)
    return where(eye(side, k=k, dtype="bool"), shown, scalar(0, x))


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Value:
    """Returns the diagonals of matrices as the last axis.

    Args:
        x: a tensor of two axes or more.
        offset: how many places right of the main diagonal.
        axis1, axis2: the rows and columns of the matrices.

    Raises:
        ShapeError: x has no such axes, or which of them is the shorter is not known yet.
    """
    value, n, m = _matrices(x, axis1, axis2, "diagonal")
    at = value.type.rank - 2
    if isinstance(n, int) and isinstance(m, int):
        # A step along the diagonal is one row and one column further.
        length = max(min(n, m - offset) - max(0, -offset), 0)
        first = offset if offset >= 0 else -offset * m
        flat = apply(Reshape((*[0] * at, n * m)), value)
        return slice_axis(flat, at, first, first + (length - 1) * (m + 1) + 1 if length else first, m + 1)
    if dim_of(n) != dim_of(m):
        raise ShapeError(
            f"diagonal of {value.type}: how long it is depends on which of {dim_of(n)} and {dim_of(m)} is smaller. "
            "Give the model sizes that are known, or equal."
        )
    on_it = _summed(value, n, m, offset, -1)
    return cast(slice_axis(on_it, at, max(-offset, 0), -offset if offset > 0 else None), value.dtype)


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Value:
    """Returns the sums along diagonals of matrices; the arguments are those of `diagonal`."""
    value, n, m = _matrices(x, axis1, axis2, "trace")
    if isinstance(n, int) and isinstance(m, int):
        return sum(diagonal(value, offset, -2, -1), -1)
    return _summed(value, n, m, offset, (-2, -1))


def _matrices(x: Any, axis1: int, axis2: int, who: str) -> tuple[Value, Size, Size]:
    """Returns x with the matrices in its last two axes, and their sizes."""
    value = as_value(x)
    rank = value.type.rank
    rows, columns = (normalize_axis(who, a, rank) for a in (axis1, axis2))
    if rows == columns:
        raise ShapeError(f"{who} needs two different axes of a tensor; got {axis1} and {axis2} of {value.type}.")
    value = moveaxis(value, (rows, columns), (-2, -1))
    return value, size_of(value, rank - 2), size_of(value, rank - 1)


def _summed(x: Value, n: Size, m: Size, offset: int, axis: int | tuple[int, ...]) -> Value:
    """Returns sums of matrices of which nothing but a diagonal is left."""
    number = as_number(x)
    return sum(where(eye(n, m, offset, "bool"), number, scalar(0, number)), axis)
