"""Powers, exponentials, logarithms, and the functions of trigonometry and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.ir import OPERATORS, Value
from seqc.ops import _special
from seqc.ops._common import scalar
from seqc.ops.arithmetic import add, divide, subtract
from seqc.ops.elementwise import Binary, Unary, binary, unary_float, where


@dataclass(frozen=True, repr=False)
class Pow(Binary):
    function = np.power

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        a, b = xs
        safe_log = log(where(a > 0, a, scalar(1, a)))
        return g * b * a ** (b - scalar(1, b)), g * y * safe_log


@dataclass(frozen=True, repr=False)
class Exp(Unary):
    function = np.exp

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * y,)


@dataclass(frozen=True, repr=False)
class Log(Unary):
    function = np.log

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g / xs[0],)


@dataclass(frozen=True, repr=False)
class Sqrt(Unary):
    function = np.sqrt

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * scalar(0.5, g) / y,)


@dataclass(frozen=True, repr=False)
class Sin(Unary):
    function = np.sin

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * cos(xs[0]),)


@dataclass(frozen=True, repr=False)
class Cos(Unary):
    function = np.cos

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (-g * sin(xs[0]),)


@dataclass(frozen=True, repr=False)
class Tanh(Unary):
    function = np.tanh

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * (scalar(1, y) - y * y),)


@dataclass(frozen=True, repr=False)
class Erf(Unary):
    function = _special.erf

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        (x,) = xs
        return (g * scalar(2 / np.sqrt(np.pi), x) * exp(-(x * x)),)


power = binary(Pow(), "Returns x1 raised to x2, broadcast.")
exp = unary_float(Exp(), "Returns e to the power x.")
log = unary_float(Log(), "Returns the natural logarithm.")
sqrt = unary_float(Sqrt(), "Returns the square root.")
sin = unary_float(Sin(), "Returns the sine of x (radians).")
cos = unary_float(Cos(), "Returns the cosine of x (radians).")
tanh = unary_float(Tanh(), "Returns the hyperbolic tangent.")
erf = unary_float(Erf(), "Returns the error function.")


def rsqrt(x: Any) -> Value:
    """Returns 1 / sqrt(x)."""
    return divide(1.0, sqrt(x))


def log1p(x: Any) -> Value:
    """Returns log(1 + x)."""
    return log(add(x, 1.0))


def expm1(x: Any) -> Value:
    """Returns exp(x) - 1."""
    return subtract(exp(x), 1.0)


OPERATORS["power"] = power
