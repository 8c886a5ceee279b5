"""Element-wise arithmetic and rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.ir import OPERATORS, Array, Emitter, Value, apply, as_value
from seqc.ops._common import as_operands, scalar
from seqc.ops.elementwise import Binary, Unary, binary, cast, logical_and, unary, unary_float, where


@dataclass(frozen=True, repr=False)
class Add(Binary):
    function = np.add

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return g, g


@dataclass(frozen=True, repr=False)
class Sub(Binary):
    function = np.subtract

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return g, -g


@dataclass(frozen=True, repr=False)
class Mul(Binary):
    function = np.multiply

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        a, b = xs
        return g * b, g * a


@dataclass(frozen=True, repr=False)
class Div(Binary):
    """Division; integers divide towards zero as ONNX does."""

    def eval(self, *arrays: Array) -> Any:
        a, b = arrays
        return np.divide(a, b) if np.issubdtype(a.dtype, np.floating) else (np.trunc(a / b)).astype(a.dtype)

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        a, b = xs
        return g / b, -(g * y) / b


@dataclass(frozen=True, repr=False)
class Max(Binary):
    """The larger operand; a tie sends half the gradient to each, as Keras's backends do."""

    function = np.maximum

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        a, b = xs
        return _share(g, a > b, a < b)


@dataclass(frozen=True, repr=False)
class Min(Binary):
    """The smaller operand; a tie sends half the gradient to each."""

    function = np.minimum

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        a, b = xs
        return _share(g, a < b, a > b)


def _share(g: Value, first: Value, second: Value) -> Sequence[Value]:
    half, one, none = scalar(0.5, g), scalar(1, g), scalar(0, g)
    part = where(first, one, where(second, none, half))
    return g * part, g * (one - part)


@dataclass(frozen=True, repr=False)
class Mod(Binary):
    """Remainder with the sign of the divisor; integers only in ONNX."""

    function = np.mod

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        if y.type.is_float:
            quotient = e.node("Floor", e.node("Div", *names))
            return e.node("Sub", names[0], e.node("Mul", quotient, names[1]))
        return e.node("Mod", *names)

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        a, b = xs
        return g, -(g * floor(a / b))


@dataclass(frozen=True, repr=False)
class BitwiseXor(Binary):
    """Exclusive or of integers (ONNX 18); the random generator mixes with it."""

    function = np.bitwise_xor


@dataclass(frozen=True, repr=False)
class Neg(Unary):
    function = np.negative
    float_only = False

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (-g,)


@dataclass(frozen=True, repr=False)
class Abs(Unary):
    """Absolute value; gradient 0 at 0."""

    function = np.abs
    float_only = False

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * sign(xs[0]),)


@dataclass(frozen=True, repr=False)
class Sign(Unary):
    function = np.sign
    float_only = False

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (None,)


@dataclass(frozen=True, repr=False)
class Floor(Unary):
    function = np.floor

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (None,)


@dataclass(frozen=True, repr=False)
class Ceil(Unary):
    function = np.ceil

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (None,)


@dataclass(frozen=True, repr=False)
class Round(Unary):
    """Rounds halves to even."""

    function = np.round

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (None,)


@dataclass(frozen=True, repr=False)
class Clip(Unary):
    """Limits to [low, high]; the gradient passes inside and on the borders."""

    low: float
    high: float
    float_only = False

    def eval(self, *arrays: Array) -> Any:
        kind = arrays[0].dtype.type
        return np.clip(arrays[0], kind(self.low), kind(self.high))

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        (x,) = xs
        inside = logical_and(x >= scalar(self.low, x), x <= scalar(self.high, x))
        return (where(inside, g, scalar(0, g)),)

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        low, high = (np.array(v, y.type.dtype) for v in (self.low, self.high))
        return e.node("Clip", *names, e.constant(low), e.constant(high))


add = binary(Add(), "Returns x1 + x2, broadcast.")
subtract = binary(Sub(), "Returns x1 - x2, broadcast.")
multiply = binary(Mul(), "Returns x1 * x2, broadcast.")
maximum = binary(Max(), "Returns the larger of x1 and x2, broadcast.")
minimum = binary(Min(), "Returns the smaller of x1 and x2, broadcast.")
mod = binary(Mod(), "Returns the remainder of x1 / x2 with the sign of x2.")
negative = unary(Neg(), "Returns -x.")
absolute = unary(Abs(), "Returns |x|.")
sign = unary(Sign(), "Returns -1, 0 or 1.")
floor = unary_float(Floor(), "Returns the largest integer not above x.")
ceil = unary_float(Ceil(), "Returns the smallest integer not below x.")
round = unary_float(Round(), "Returns x rounded, halves to even.")


def divide(x1: Any, x2: Any) -> Value:
    """Returns x1 / x2; integers are divided as floats, as Keras does."""
    a, b = as_operands(x1, x2)
    if not a.type.is_float:
        a, b = cast(a, "float32"), cast(b, "float32")
    return apply(Div(), a, b)


def clip(x: Any, x_min: float, x_max: float) -> Value:
    """Returns x limited to [x_min, x_max]."""
    return apply(Clip(float(x_min), float(x_max)), x)


def square(x: Any) -> Value:
    """Returns x * x."""
    value = as_value(x)
    return apply(Mul(), value, value)


def reciprocal(x: Any) -> Value:
    """Returns 1 / x."""
    return divide(1.0, x)


OPERATORS.update(
    add=add,
    subtract=subtract,
    multiply=multiply,
    divide=divide,
    negative=negative,
    absolute=absolute,
)
