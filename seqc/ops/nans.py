"""Reductions that leave out what is not a number (NaN)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from seqc.graph.ir import Value, as_value
from seqc.ops._common import scalar
from seqc.ops.arithmetic import divide, square, subtract
from seqc.ops.elementwise import cast, isnan, logical_not, where
from seqc.ops.reduce import Axis, argmax, argmin, cumsum, is_empty, max, mean, min, prod, sum
from seqc.ops.running import cumprod
from seqc.ops.statistics import all, var
from seqc.ops.transcendental import sqrt


def _filled(x: Any, number: float) -> Value:
    """Returns x with a number in the place of NaN."""
    value = as_value(x)
    return where(isnan(value), scalar(number, value), value) if value.type.is_float else value


def nansum(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the sum along `axis`, NaN counting as zero."""
    return sum(_filled(x, 0), axis, keepdims)


def nanprod(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the product along `axis`, NaN counting as one."""
    return prod(_filled(x, 1), axis, keepdims)


def nancumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Value:
    """Returns the sums up to and including each element along `axis`, NaN counting as zero."""
    return cumsum(_filled(x, 0), axis, dtype)


def nancumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Value:
    """Returns the products up to and including each element along `axis`, NaN counting as one."""
    return cumprod(_filled(x, 1), axis, dtype)


def nanmax(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the largest number along `axis`; NaN where there is none."""
    return _chosen(max, x, axis, keepdims, -math.inf)


def nanmin(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the smallest number along `axis`; NaN where there is none."""
    return _chosen(min, x, axis, keepdims, math.inf)


def _chosen(choose: Callable[..., Value], x: Any, axis: Axis, keepdims: bool, last: float) -> Value:
    value = as_value(x)
    if not value.type.is_float:
        return choose(value, axis, keepdims)
    # Of nothing at all, too, there is no number.
    found = choose(_filled(value, last), axis, keepdims, last if is_empty(value, axis) else None)
    return where(all(isnan(value), axis, keepdims), scalar(math.nan, value), found)


def nanargmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Value:
    """Returns the position (int32) of the largest number along `axis`, or among all; -1 where there is none."""
    return _position(argmax, x, axis, keepdims, -math.inf)


def nanargmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Value:
    """Returns the position (int32) of the smallest number along `axis`, or among all; -1 where there is none."""
    return _position(argmin, x, axis, keepdims, math.inf)


def _position(choose: Callable[..., Value], x: Any, axis: int | None, keepdims: bool, last: float) -> Value:
    value = as_value(x)
    if not value.type.is_float:
        return choose(value, axis, keepdims)
    return where(all(isnan(value), axis, keepdims), -1, choose(_filled(value, last), axis, keepdims))


def nanmean(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the mean of the numbers along `axis`; NaN where there are none."""
    value = as_value(x)
    if not value.type.is_float:
        return mean(value, axis, keepdims)
    return divide(nansum(value, axis, keepdims), _numbers(value, axis, keepdims))


def nanvar(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the (biased) variance of the numbers along `axis`; NaN where there are none."""
    value = as_value(x)
    if not value.type.is_float:
        return var(value, axis, keepdims)
    # NaN is left out before the difference and after it: one that met a gradient of zero would make it NaN.
    apart = where(isnan(value), scalar(0, value), subtract(_filled(value, 0), nanmean(value, axis, True)))
    return divide(sum(square(apart), axis, keepdims), _numbers(value, axis, keepdims))


def nanstd(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the (biased) standard deviation of the numbers along `axis`; NaN where there are none."""
    return sqrt(nanvar(x, axis, keepdims))


def _numbers(x: Value, axis: Axis, keepdims: bool) -> Value:
    """Returns how many numbers there are along `axis`."""
    return sum(cast(logical_not(isnan(x)), x.dtype), axis, keepdims)
