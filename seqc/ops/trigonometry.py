"""Inverse trigonometric and hyperbolic functions, angles of points, and degrees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.graph.ir import Emitter, Value, apply
from seqc.ops._common import as_float, as_floats, scalar
from seqc.ops._numbers_onnx import Nodes, emit_atan2
from seqc.ops.arithmetic import absolute, divide, maximum, minimum, multiply, square
from seqc.ops.elementwise import Binary, Unary, apply_to_float, equal, logical_or, where
from seqc.ops.transcendental import sqrt


class Acos(Unary):
    """Inverse of the cosine, in radians."""

    function = np.arccos

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (-g / sqrt(scalar(1, x) - x * x),)


class Acosh(Unary):
    """Inverse of the hyperbolic cosine."""

    function = np.arccosh

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g / sqrt(x * x - scalar(1, x)),)


class Asin(Unary):
    """Inverse of the sine, in radians."""

    function = np.arcsin

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g / sqrt(scalar(1, x) - x * x),)


class Asinh(Unary):
    """Inverse of the hyperbolic sine."""

    function = np.arcsinh

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g / sqrt(scalar(1, x) + x * x),)


class Atan2(Binary):
    """The angle of the point (b, a), in [-pi, pi]; signs of zeros count."""

    function = np.arctan2

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        share = g / (a * a + b * b)
        return share * b, -share * a

    def lower(self, e: Emitter, y: Value, a: str, b: str) -> str | tuple[str, ...]:
        return emit_atan2(Nodes(e, y.type.dtype), a, b)


def arccos(x: Any) -> Value:
    """Returns the angle (radians) in [0, pi] whose cosine is x; NaN beyond -1 and 1."""
    return apply_to_float(Acos(), x)


def arccosh(x: Any) -> Value:
    """Returns the number that is not negative and whose hyperbolic cosine is x; NaN below 1."""
    return apply_to_float(Acosh(), x)


def arcsin(x: Any) -> Value:
    """Returns the angle (radians) in [-pi/2, pi/2] whose sine is x; NaN beyond -1 and 1."""
    return apply_to_float(Asin(), x)


def arcsinh(x: Any) -> Value:
    """Returns the number whose hyperbolic sine is x."""
    return apply_to_float(Asinh(), x)


def arctan2(x1: Any, x2: Any) -> Value:
    """Returns the angle (radians) in [-pi, pi] of the point whose second coordinate is x1 and whose first is x2."""
    a, b = as_floats(x1, x2)
    return apply(Atan2(), a, b)


def hypot(x1: Any, x2: Any) -> Value:
    """Returns sqrt(x1^2 + x2^2), which overflows only where the result does."""
    a, b = (absolute(x) for x in as_floats(x1, x2))
    longer, shorter = maximum(a, b), minimum(a, b)
    plain = logical_or(equal(longer, 0.0), equal(longer, math.inf))
    ratio = divide(shorter, where(plain, scalar(1, longer), longer))
    return where(plain, longer, multiply(longer, sqrt(square(ratio) + scalar(1, ratio))))


def deg2rad(x: Any) -> Value:
    """Returns an angle given in degrees in radians."""
    return multiply(as_float(x), math.pi / 180)


def rad2deg(x: Any) -> Value:
    """Returns an angle given in radians in degrees."""
    return multiply(as_float(x), 180 / math.pi)
