"""Powers, exponentials, logarithms, and the functions of trigonometry and statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.ir import Value, apply
from seqc.operators import OPERATORS
from seqc.ops import _special
from seqc.ops._common import as_float, as_operands, scalar
from seqc.ops.arithmetic import absolute, add, divide, isinf, maximum, multiply, negative, square, subtract
from seqc.ops.elementwise import Binary, Unary, binary, equal, less, logical_not, logical_or, unary_float, where


class Pow(Binary):
    """a to the power b; the gradient is 0 with respect to a where b is 0, and to b where a is not positive."""

    function = np.power

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        a, b = xs
        one = scalar(1, b)
        lower = where(equal(b, scalar(0, b)), one, b - one)
        safe_log = log(where(a > 0, a, scalar(1, a)))
        return g * b * apply(Pow(), a, lower), g * y * safe_log


class Exp(Unary):
    function = np.exp

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * y,)


class Log(Unary):
    function = np.log

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g / xs[0],)


class Log1p(Unary):
    """log(1 + x) without loss for small x; in ONNX by W. Kahan's log(u) x / (u - 1) with u = 1 + x rounded."""

    function = np.log1p

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        (x,) = xs
        return (g / (scalar(1, x) + x),)

    def decompose(self, y: Value, *xs: Value) -> Value | tuple[Value, ...] | None:
        (x,) = xs
        one = scalar(1, x)
        u = x + one
        lost = logical_or(equal(u, one), isinf(u))
        return where(lost, x, log(u) * (x / where(lost, one, u - one)))


class Expm1(Unary):
    """exp(x) - 1 without loss for small x; in ONNX by W. Kahan's (u - 1) x / log(u) with u = exp(x) rounded."""

    function = np.expm1

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * (y + scalar(1, y)),)

    def decompose(self, y: Value, *xs: Value) -> Value | tuple[Value, ...] | None:
        (x,) = xs
        one = scalar(1, x)
        u = exp(x)
        near = less(absolute(x), scalar(0.5, x))
        corrected = (u - one) * (x / log(where(equal(u, one) | logical_not(near), scalar(2, x), u)))
        return where(equal(u, one), x, where(near, corrected, u - one))


class Sqrt(Unary):
    function = np.sqrt

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * scalar(0.5, g) / y,)


class Sin(Unary):
    function = np.sin

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * cos(xs[0]),)


class Cos(Unary):
    function = np.cos

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (-g * sin(xs[0]),)


class Tan(Unary):
    function = np.tan

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * (scalar(1, y) + y * y),)


class Atan(Unary):
    function = np.arctan

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        (x,) = xs
        return (g / (scalar(1, x) + x * x),)


class Sinh(Unary):
    function = np.sinh

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * cosh(xs[0]),)


class Cosh(Unary):
    function = np.cosh

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * sinh(xs[0]),)


class Tanh(Unary):
    function = np.tanh

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * (scalar(1, y) - y * y),)


class Erf(Unary):
    function = _special.erf

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        (x,) = xs
        return (g * scalar(2 / np.sqrt(np.pi), x) * exp(-(x * x)),)


exp = unary_float(Exp(), "Returns e to the power x.")
log = unary_float(Log(), "Returns the natural logarithm.")
sqrt = unary_float(Sqrt(), "Returns the square root.")
sin = unary_float(Sin(), "Returns the sine of x (radians).")
cos = unary_float(Cos(), "Returns the cosine of x (radians).")
tan = unary_float(Tan(), "Returns the tangent of x (radians).")
arctan = unary_float(Atan(), "Returns the angle (radians) in (-pi/2, pi/2) whose tangent is x.")
sinh = unary_float(Sinh(), "Returns the hyperbolic sine.")
cosh = unary_float(Cosh(), "Returns the hyperbolic cosine.")
tanh = unary_float(Tanh(), "Returns the hyperbolic tangent.")
erf = unary_float(Erf(), "Returns the error function.")
log1p = unary_float(Log1p(), "Returns log(1 + x), exact for small x.")
expm1 = unary_float(Expm1(), "Returns exp(x) - 1, exact for small x.")
_power = binary(Pow(), "")


def power(x1: Any, x2: Any) -> Value:
    """Returns x1 raised to x2, broadcast."""
    if isinstance(x2, int | float) and x2 == 2:
        return square(as_float(x1) if isinstance(x2, float) else x1)
    return _power(x1, x2)


def rsqrt(x: Any) -> Value:
    """Returns 1 / sqrt(x)."""
    return divide(1.0, sqrt(x))


def log2(x: Any) -> Value:
    """Returns the logarithm to base 2."""
    return multiply(log(x), 1 / math.log(2))


def log10(x: Any) -> Value:
    """Returns the logarithm to base 10."""
    return multiply(log(x), 1 / math.log(10))


def logaddexp(x1: Any, x2: Any) -> Value:
    """Returns log(exp(x1) + exp(x2)) without overflow."""
    a, b = (as_float(x) for x in as_operands(x1, x2))
    return add(maximum(a, b), log1p(exp(negative(absolute(subtract(a, b))))))


OPERATORS["power"] = power
