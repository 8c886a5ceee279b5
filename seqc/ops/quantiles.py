"""Quantiles, and the median among them."""

from __future__ import annotations

import math
from typing import Any

from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import HasValue, Value, as_value
from seqc.ops._common import as_float, normalize_axes, scalar
from seqc.ops.arithmetic import add, ceil, divide, floor, maximum, multiply, subtract
from seqc.ops.creation import full
from seqc.ops.elementwise import cast, equal, greater, isnan, less_equal, where
from seqc.ops.gather import take, take_along_axis
from seqc.ops.rearranging import moveaxis
from seqc.ops.reduce import Axis, sum
from seqc.ops.shape import expand_dims, reshape, shape, squeeze, transpose
from seqc.ops.sizes import product
from seqc.ops.sorting import sort

_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def quantile(x: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Value:
    """Returns the numbers along `axis` below which the shares q of the elements lie; NaN where one of them is NaN.

    Args:
        x: numbers.
        q: a share from 0 to 1, or several, which become the first axis of the result.
        axis: one, several, or None for all.
        method: what is taken of the two elements that such a number lies between: "linear" for a mean by how close they
            are, "lower", "higher", "midpoint" or "nearest".
        keepdims: whether the axes stay with size one.
    """
    return _quantile(x, q, 1, axis, method, keepdims, skip=False)


def nanquantile(x: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Value:
    """Returns what `quantile` does of the elements that are numbers; NaN where none is."""
    return _quantile(x, q, 1, axis, method, keepdims, skip=True)


def percentile(x: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Value:
    """Returns what `quantile` does, for shares in percent."""
    return _quantile(x, q, 100, axis, method, keepdims, skip=False)


def nanpercentile(x: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Value:
    """Returns what `nanquantile` does, for shares in percent."""
    return _quantile(x, q, 100, axis, method, keepdims, skip=True)


def median(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the element in the middle along `axis`, or the mean of the two there; NaN where one element is NaN."""
    return quantile(x, 0.5, axis, "midpoint", keepdims)


def nanmedian(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the number in the middle along `axis`, or the mean of the two there; NaN where there is none."""
    return nanquantile(x, 0.5, axis, "midpoint", keepdims)


def _quantile(x: Any, q: Any, whole: int, axis: Axis, method: str, keepdims: bool, skip: bool) -> Value:
    if method not in _METHODS:
        raise ConfigError(f"A quantile's method is one of {', '.join(_METHODS)}; got {method!r}.")
    value = as_float(x)
    part = cast(q, value.dtype) if isinstance(q, Value | HasValue) else as_value(q, value.dtype)
    if part.type.rank > 1:
        raise ShapeError(f"A quantile's q is a number or a vector; got {part.type}.")
    several = part.type.rank == 1
    axes = normalize_axes("quantile", axis, value.type.rank)
    shares = divide(part if several else expand_dims(part, 0), whole)
    lines = _lines(value, axes)
    found = _between(*_neighbours(lines, shares, skip), method)
    found = moveaxis(found, -1, 0) if several else squeeze(found, -1)
    return expand_dims(found, tuple(a + several for a in axes)) if keepdims else found


def _lines(x: Value, axes: tuple[int, ...]) -> Value:
    """Returns x with the given axes as one, the last."""
    kept = [a for a in range(x.type.rank) if a not in axes]
    moved = transpose(x, [*kept, *axes])
    sizes = shape(moved)
    return reshape(moved, [*sizes[: len(kept)], product(sizes[len(kept) :])]) if len(axes) != 1 else moved


def _neighbours(lines: Value, shares: Value, skip: bool) -> tuple[Value, Value, Value]:
    """Returns the elements below and above the places of shares along the last axis.

    Also how far above the lower one they are.
    """
    if skip and lines.type.shape[-1] == 0:  # a number that is none, to find no other beside
        lines = full([*shape(lines)[:-1], 1], math.nan, lines.dtype)
    missing = isnan(lines)
    # They come last, where no place is.
    ordered = sort(where(missing, scalar(math.inf, lines), lines), -1)
    number = sum(cast(missing, lines.dtype), -1, True)
    count = cast(shape(lines)[-1], lines.dtype)
    if skip:
        count = subtract(count, number)
        places = maximum(multiply(shares, subtract(count, 1)), 0)
        low, high = (take_along_axis(ordered, cast(f(places), "int32"), -1) for f in (floor, ceil))
        gone = equal(count, 0)
    else:
        places = multiply(shares, subtract(count, 1))
        low, high = (take(ordered, cast(f(places), "int32"), -1) for f in (floor, ceil))
        gone = greater(number, 0)
    nothing = scalar(math.nan, lines)
    return where(gone, nothing, low), where(gone, nothing, high), subtract(places, floor(places))


def _between(low: Value, high: Value, share: Value, method: str) -> Value:
    if method == "lower":
        return low
    if method == "higher":
        return high
    if method == "midpoint":
        return multiply(add(low, high), 0.5)
    if method == "nearest":
        return where(less_equal(share, 0.5), low, high)
    # Nothing of the upper one is nothing even where that is infinite.
    return where(equal(share, 0), low, add(multiply(low, subtract(1.0, share)), multiply(high, share)))
