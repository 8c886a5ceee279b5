"""Inverse trigonometric and hyperbolic functions, angles of points, and degrees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.graph.ir import Value, apply
from seqc.graph.target import Target
from seqc.ops._common import as_float, as_operands, scalar
from seqc.ops.arithmetic import absolute, divide, maximum, minimum, multiply, sign, square
from seqc.ops.elementwise import Binary, Unary, apply_to_float, equal, logical_and, logical_or, where
from seqc.ops.rounding import signbit
from seqc.ops.transcendental import arctan, sqrt


class Acos(Unary):
    function = np.arccos

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (-g / sqrt(scalar(1, x) - x * x),)


class Acosh(Unary):
    function = np.arccosh

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g / sqrt(x * x - scalar(1, x)),)


class Asin(Unary):
    function = np.arcsin

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g / sqrt(scalar(1, x) - x * x),)


class Asinh(Unary):
    function = np.arcsinh

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g / sqrt(scalar(1, x) + x * x),)


class Atan2(Binary):
    """The angle of the point (b, a), in [-pi, pi]; signs of zeros count."""

    function = np.arctan2

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        share = g / (a * a + b * b)
        return share * b, -share * a

    def decompose(self, target: Target, y: Value, a: Value, b: Value) -> Value | tuple[Value, ...] | None:
        # The angle of the line through the point and the origin, turned round where the point is left of it.
        endless = logical_and(equal(absolute(a), math.inf), equal(absolute(b), math.inf))
        rise, run = where(endless, sign(a), a), where(endless, sign(b), b)
        nowhere = logical_and(equal(a, 0.0), equal(b, 0.0))
        angle = where(nowhere, a, arctan(rise / where(nowhere, scalar(1, b), run)))
        half_turn = where(signbit(a), scalar(-math.pi, a), scalar(math.pi, a))
        return where(signbit(b), angle + half_turn, angle)


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
    a, b = (as_float(x) for x in as_operands(x1, x2))
    return apply(Atan2(), a, b)


def hypot(x1: Any, x2: Any) -> Value:
    """Returns sqrt(x1^2 + x2^2), which overflows only where the result does."""
    a, b = (absolute(as_float(x)) for x in as_operands(x1, x2))
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
