"""Powers, exponentials, logarithms, and the functions of trigonometry and statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.graph.ir import Value, apply
from seqc.graph.operators import OPERATORS
from seqc.graph.target import Target
from seqc.ops import _special
from seqc.ops._common import as_float, as_floats, scalar
from seqc.ops.arithmetic import absolute, add, divide, maximum, multiply, negative, square, subtract
from seqc.ops.elementwise import (
    Binary,
    Unary,
    apply_binary,
    apply_to_float,
    equal,
    less,
    logical_not,
    logical_or,
    where,
)


class Pow(Binary):
    """a to the power b; the gradient is 0 with respect to a where b is 0, and to b where a is not positive."""

    function = np.power

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        one = scalar(1, b)
        lower = where(equal(b, scalar(0, b)), one, b - one)
        safe_log = log(where(a > 0, a, scalar(1, a)))
        return g * b * apply(Pow(), a, lower), g * y * safe_log


class Exp(Unary):
    """e to the power x."""

    function = np.exp

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * y,)


class Log(Unary):
    """Natural logarithm."""

    function = np.log

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g / x,)


class Log1p(Unary):
    """log(1 + x) without loss for small x; in ONNX by W. Kahan's log(u) x / (u - 1) with u = 1 + x rounded."""

    function = np.log1p

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g / (scalar(1, x) + x),)

    def decompose(self, target: Target, y: Value, x: Value) -> Value | tuple[Value, ...] | None:
        one = scalar(1, x)
        u = x + one
        lost = logical_or(equal(u, one), equal(u, scalar(np.inf, x)))
        return where(lost, x, log(u) * (x / where(lost, one, u - one)))


class Expm1(Unary):
    """exp(x) - 1 without loss for small x; in ONNX by W. Kahan's (u - 1) x / log(u) with u = exp(x) rounded."""

    function = np.expm1

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * (y + scalar(1, y)),)

    def decompose(self, target: Target, y: Value, x: Value) -> Value | tuple[Value, ...] | None:
        one = scalar(1, x)
        u = exp(x)
        near = less(absolute(x), scalar(0.5, x))
        corrected = (u - one) * (x / log(where(equal(u, one) | logical_not(near), scalar(2, x), u)))
        return where(equal(u, one), x, where(near, corrected, u - one))


class Sqrt(Unary):
    """Square root."""

    function = np.sqrt

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * scalar(0.5, g) / y,)


class Sin(Unary):
    """Sine of radians."""

    function = np.sin

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * cos(x),)


class Cos(Unary):
    """Cosine of radians."""

    function = np.cos

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (-g * sin(x),)


class Tan(Unary):
    """Tangent of radians."""

    function = np.tan

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * (scalar(1, y) + y * y),)


class Atan(Unary):
    """Inverse of the tangent, in radians."""

    function = np.arctan

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g / (scalar(1, x) + x * x),)


class Atanh(Unary):
    """Inverse of the hyperbolic tangent."""

    function = np.arctanh

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g / (scalar(1, x) - x * x),)


class Sinh(Unary):
    """Hyperbolic sine."""

    function = np.sinh

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * cosh(x),)


class Cosh(Unary):
    """Hyperbolic cosine."""

    function = np.cosh

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * sinh(x),)


class Tanh(Unary):
    """Hyperbolic tangent."""

    function = np.tanh

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * (scalar(1, y) - y * y),)


class Erf(Unary):
    """Error function: 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""

    function = _special.erf

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * scalar(2 / np.sqrt(np.pi), x) * exp(-(x * x)),)


def exp(x: Any) -> Value:
    """Returns e to the power x."""
    return apply_to_float(Exp(), x)


def log(x: Any) -> Value:
    """Returns the natural logarithm."""
    return apply_to_float(Log(), x)


def sqrt(x: Any) -> Value:
    """Returns the square root."""
    return apply_to_float(Sqrt(), x)


def sin(x: Any) -> Value:
    """Returns the sine of x (radians)."""
    return apply_to_float(Sin(), x)


def cos(x: Any) -> Value:
    """Returns the cosine of x (radians)."""
    return apply_to_float(Cos(), x)


def tan(x: Any) -> Value:
    """Returns the tangent of x (radians)."""
    return apply_to_float(Tan(), x)


def arctan(x: Any) -> Value:
    """Returns the angle (radians) in (-pi/2, pi/2) whose tangent is x."""
    return apply_to_float(Atan(), x)


def arctanh(x: Any) -> Value:
    """Returns the number whose hyperbolic tangent is x; infinite at -1 and 1, NaN beyond."""
    return apply_to_float(Atanh(), x)


def sinh(x: Any) -> Value:
    """Returns the hyperbolic sine."""
    return apply_to_float(Sinh(), x)


def cosh(x: Any) -> Value:
    """Returns the hyperbolic cosine."""
    return apply_to_float(Cosh(), x)


def tanh(x: Any) -> Value:
    """Returns the hyperbolic tangent."""
    return apply_to_float(Tanh(), x)


def erf(x: Any) -> Value:
    """Returns the error function."""
    return apply_to_float(Erf(), x)


def log1p(x: Any) -> Value:
    """Returns log(1 + x), exact for small x."""
    return apply_to_float(Log1p(), x)


def expm1(x: Any) -> Value:
    """Returns exp(x) - 1, exact for small x."""
    return apply_to_float(Expm1(), x)


def power(x1: Any, x2: Any) -> Value:
    """Returns x1 raised to x2, broadcast."""
    if isinstance(x2, int | float) and x2 == 2:
        return square(as_float(x1) if isinstance(x2, float) else x1)
    return apply_binary(Pow(), x1, x2)


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
    a, b = as_floats(x1, x2)
    return add(maximum(a, b), log1p(exp(negative(distance(a, b)))))


def distance(a: Value, b: Value) -> Value:
    """Returns |a - b|, of which equal infinities are none apart."""
    same, none = equal(a, b), scalar(0, a)
    return absolute(subtract(where(same, none, a), where(same, none, b)))


OPERATORS["power"] = power
