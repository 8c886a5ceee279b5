"""Numbers spaced evenly, or by even factors, and grids and powers of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.errors import ConfigError, ShapeError
from seqc.graph.element_types import FLOATS
from seqc.graph.ir import Constant, Value, as_value, constant
from seqc.ops._common import as_floats, as_number, dtype_name, normalize_axis
from seqc.ops.arithmetic import absolute, add, divide, floor, maximum, multiply, sign, subtract
from seqc.ops.creation import arange
from seqc.ops.elementwise import cast
from seqc.ops.shape import expand_dims, shape
from seqc.ops.sizes import Size, as_size, broadcast_sizes, size_of
from seqc.ops.transcendental import exp, log, power


def linspace(
    start: Any,
    stop: Any,
    num: Size = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """Returns `num` numbers evenly spaced from start to stop.

    Args:
        start, stop: numbers or tensors, which broadcast.
        num: how many, a number or a size as `ops.shape` gives it.
        endpoint: whether stop is the last of them; otherwise it would be the next.
        retstep: whether to return the distance, too.
        dtype: of the result (floating point by default); for integers the numbers are rounded down.
        axis: where the numbers lie among the axes of start and stop.
    """
    first, last = as_floats(start, stop)
    count = as_size(num, "linspace")
    gaps: Size = _gaps(count) if endpoint else count
    distance = divide(subtract(last, first), cast(gaps, first.dtype))
    numbers = _spaced(first, last, count, gaps, endpoint, axis)
    if dtype is not None and dtype_name(dtype) not in FLOATS:
        numbers = floor(numbers)
    result = numbers if dtype is None else cast(numbers, dtype)
    return (result, distance) if retstep else result


def _gaps(count: Size) -> Size:
    return max(count - 1, 1) if isinstance(count, int) else maximum(subtract(count, 1), 1)


def _spaced(first: Value, last: Value, count: Size, gaps: Size, endpoint: bool, axis: int) -> Value:
    if isinstance(count, int) and isinstance(first.op, Constant) and isinstance(last.op, Constant):
        # In double precision, and rounded once.
        a, b = (np.asarray(x, np.float64) for x in (first.op.array, last.op.array))
        return constant(np.linspace(a, b, count, endpoint, axis=axis).astype(first.dtype))
    rank = max(first.type.rank, last.type.rank) + 1
    at = normalize_axis("linspace", axis, rank)
    share = divide(arange(count, dtype=first.dtype), cast(gaps, first.dtype))
    share = expand_dims(share, tuple(i for i in range(rank) if i != at))
    # Each end times its share: both are met exactly.
    return add(multiply(_with_axis(first, rank, at), subtract(1.0, share)), multiply(_with_axis(last, rank, at), share))


def _with_axis(x: Value, rank: int, at: int) -> Value:
    """Returns x with a new axis where the numbers lie, in a result of so many axes."""
    missing = rank - 1 - x.type.rank
    return expand_dims(x, at - missing) if at > missing else x


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10, dtype: Any = None, axis: int = 0
) -> Value:
    """Returns `num` numbers from base^start to base^stop, each the same multiple of the one before.

    Args:
        start, stop: exponents, numbers or tensors, which broadcast.
        num: how many. endpoint: whether base^stop is the last of them.
        base: of the powers.
        dtype: of the result (floating point by default).
        axis: where the numbers lie among the axes of start and stop.
    """
    exponents = linspace(start, stop, num, endpoint, axis=axis)
    result = power(base, exponents)
    return result if dtype is None else cast(result, dtype)


def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Value:
    """Returns `num` numbers from start to stop, each the same multiple of the one before.

    Args:
        start, stop: numbers or tensors of one sign, none of them zero, which broadcast.
        num: how many. endpoint: whether stop is the last of them.
        dtype: of the result (floating point by default).
        axis: where the numbers lie among the axes of start and stop.
    """
    first, last = as_floats(start, stop)
    exponents = linspace(log(absolute(first)), log(absolute(last)), num, endpoint, axis=axis)
    rank = exponents.type.rank
    signs = _with_axis(sign(first), rank, normalize_axis("geomspace", axis, rank))
    result = multiply(signs, exp(exponents))
    return result if dtype is None else cast(result, dtype)


def meshgrid(*x: Any, indexing: str = "xy") -> list[Value]:
    """Returns one tensor per vector, all of one shape: the coordinates of each place of a grid.

    Args:
        x: vectors of coordinates, one for each axis of the grid.
        indexing: "ij" for axes in the order of the vectors, "xy" for the first two exchanged.
    """
    if indexing not in ("xy", "ij"):
        raise ConfigError(f"meshgrid knows indexing='xy' and 'ij'; got {indexing!r}.")
    vectors = [as_value(one) for one in x]
    for v in vectors:
        if v.type.rank > 1:
            raise ShapeError(f"meshgrid needs vectors; got {v.type}.")
    vectors = [expand_dims(v, 0) if v.type.rank == 0 else v for v in vectors]
    order = list(range(len(vectors)))
    if indexing == "xy" and len(order) > 1:
        order[:2] = [1, 0]
    sizes: list[Size] = [1] * len(vectors)
    for vector, axis in zip(vectors, order, strict=True):
        sizes[axis] = size_of(vector, 0)
    lying = (expand_dims(v, tuple(i for i in order if i != axis)) for v, axis in zip(vectors, order, strict=True))
    return [broadcast_sizes(v, sizes) for v in lying]


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Value:
    """Returns a matrix whose columns are the powers of a vector from N - 1 to 0, or from 0 on if `increasing`.

    Args:
        x: a vector.
        N: how many columns, as many as x has elements by default.
        increasing: which power comes first.
    """
    value = as_number(x)
    if value.type.rank != 1:
        raise ShapeError(f"vander needs a vector; got {value.type}.")
    count = shape(value)[0] if N is None else as_size(N, "vander")
    exponents = arange(count, dtype=value.dtype)
    if not increasing:
        exponents = subtract(cast(subtract(count, 1), value.dtype), exponents)
    return power(expand_dims(value, 1), exponents)
