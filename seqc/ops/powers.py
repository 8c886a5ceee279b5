"""Roots, powers of two, and the complementary and inverse error functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.errors import DTypeError
from seqc.graph.ir import Value, apply, as_value
from seqc.graph.target import Target
from seqc.ops import _error_functions
from seqc.ops._common import as_float, as_operands, scalar
from seqc.ops.arithmetic import absolute, floor_divide, maximum, multiply, negative, sign, square, subtract
from seqc.ops.elementwise import Unary, apply_to_float, cast, equal, less, where
from seqc.ops.transcendental import Pow, erf, exp, log, log1p, power, sqrt


class Cbrt(Unary):
    """The cube root, of negative numbers too."""

    function = np.cbrt

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g / (scalar(3, y) * y * y),)

    def decompose(self, target: Target, y: Value, x: Value) -> Value | tuple[Value, ...] | None:
        return sign(x) * power(absolute(x), 1 / 3)


class Erfc(Unary):
    """1 - erf(x), without loss where erf(x) is close to one."""

    function = _error_functions.erfc

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * scalar(-2 / math.sqrt(math.pi), x) * exp(-(x * x)),)

    def decompose(self, target: Target, y: Value, x: Value) -> Value | tuple[Value, ...] | None:
        size = absolute(x)
        t = scalar(1, x) / (scalar(1, x) + size * scalar(0.5, x))
        tail = t * exp(-(x * x)) * _polynomial(_error_functions.tail_of(x.dtype), t + t - scalar(1, x))
        return where(less(x, 0.0), scalar(2, x) - tail, tail)


class Erfinv(Unary):
    """The number whose error function is x."""

    function = _error_functions.erfinv

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * scalar(math.sqrt(math.pi) / 2, x) * exp(y * y),)

    def decompose(self, target: Target, y: Value, x: Value) -> Value | tuple[Value, ...] | None:
        one = scalar(1, x)
        ends = equal(absolute(x), one)
        inside = where(ends, scalar(0, x), x)
        w = negative(log((one - inside) * (one + inside)))
        if x.dtype == "float64":
            result = self._refined(inside, w)
        else:
            near = _polynomial(_error_functions.INVERSE_NEAR, w - scalar(2.5, x))
            far = _polynomial(_error_functions.INVERSE_FAR, sqrt(w) - scalar(3, x))
            result = inside * where(less(w, scalar(5, w)), near, far)
        return where(ends, x * scalar(math.inf, x), result)

    def _refined(self, x: Value, w: Value) -> Value:
        shift = scalar(_error_functions.START, x) - w * scalar(0.5, w)
        y = sign(x) * sqrt(sqrt(square(shift) + w * scalar(1 / _error_functions.START_A, w)) - shift)
        for _ in range(_error_functions.STEPS):
            step = (erf(y) - x) * exp(y * y) * scalar(math.sqrt(math.pi) / 2, x)
            y = y - step / (scalar(1, x) + y * step)
        return y


def _polynomial(coefficients: Sequence[float], x: Value) -> Value:
    """Returns a polynomial by Horner's rule; the constant term comes first."""
    y = scalar(coefficients[-1], x)
    for c in coefficients[-2::-1]:
        y = y * x + scalar(c, x)
    return y


def cbrt(x: Any) -> Value:
    """Returns the cube root of x."""
    return apply_to_float(Cbrt(), x)


def erfc(x: Any) -> Value:
    """Returns 1 - erf(x), exact where that is small."""
    return apply_to_float(Erfc(), x)


def erfinv(x: Any) -> Value:
    """Returns the number whose error function is x; infinite at -1 and 1, NaN beyond."""
    return apply_to_float(Erfinv(), x)


def exp2(x: Any) -> Value:
    """Returns 2 to the power x."""
    value = as_float(x)
    return apply(Pow(), scalar(2, value), value)


def ldexp(x1: Any, x2: Any) -> Value:
    """Returns x1 * 2^x2 for whole numbers x2.

    Raises:
        DTypeError: x2 is not of integers.
    """
    exponent = as_value(x2)
    if not exponent.dtype.startswith(("int", "uint")):
        raise DTypeError(f"ldexp needs whole numbers as its second operand; got {exponent.type}. Use ops.cast.")
    value = as_float(x1)
    half = floor_divide(exponent, 2)
    # In two parts, each of which is a power that the dtype has wherever the result is a number that it has.
    return multiply(multiply(value, exp2(cast(half, value.dtype))), exp2(cast(subtract(exponent, half), value.dtype)))


def logaddexp2(x1: Any, x2: Any) -> Value:
    """Returns log2(2^x1 + 2^x2) without overflow."""
    a, b = (as_float(x) for x in as_operands(x1, x2))
    rest = log1p(exp2(negative(absolute(subtract(a, b)))))
    return maximum(a, b) + multiply(rest, 1 / math.log(2))
