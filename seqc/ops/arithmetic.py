"""Element-wise arithmetic and rounding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seqc.graph import dims
from seqc.graph.dims import Dim
from seqc.graph.element_types import HALVES
from seqc.graph.ir import Array, Constant, Emitter, Value, apply, as_value
from seqc.graph.operators import OPERATORS
from seqc.ops._common import as_float, as_floats, as_number, as_operands, scalar
from seqc.ops.elementwise import (
    And,
    Binary,
    Or,
    Unary,
    apply_binary,
    apply_to_float,
    apply_to_number,
    cast,
    equal,
    less,
    logical_and,
    logical_xor,
    not_equal,
    where,
)


class Add(Binary):
    """a + b."""

    function = np.add

    def of_sizes(self, a: Dim, b: Dim) -> Dim | None:
        return a + b

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        return g, g


class Sub(Binary):
    """a - b."""

    function = np.subtract

    def of_sizes(self, a: Dim, b: Dim) -> Dim | None:
        return a - b

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        return g, -g


class Mul(Binary):
    """a b."""

    function = np.multiply

    def of_sizes(self, a: Dim, b: Dim) -> Dim | None:
        return a * b

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        return g * b, g * a


class Div(Binary):
    """Division; integers divide towards zero as ONNX does."""

    def of_sizes(self, a: Dim, b: Dim) -> Dim | None:
        return dims.exact_quotient(a, b)

    def eval(self, a: Array, b: Array) -> Any:
        if a.dtype.kind not in "biu":
            return np.divide(a, b)
        floor = np.floor_divide(a, b)
        return floor + ((floor < 0) & (floor * b != a)).astype(a.dtype)

    def lower(self, e: Emitter, y: Value, a: str, b: str) -> str | tuple[str, ...]:
        if y.type.dtype not in ("int32", "int64") or y.type.size is not None:
            return e.node("Div", a, b)
        # onnxruntime divides by the processor, which ends the process over the smallest number by -1, a server's too.
        # a / b = (a s) / (b s) for s = -1, 1; only a product may leave its type, and wraps around as it does in NumPy.
        one, divisor = np.ones((), y.type.dtype), y.inputs[1].op
        if not isinstance(divisor, Constant):
            sign = e.node("Where", e.node("Equal", b, e.constant(-one)), e.constant(-one), e.constant(one))
            return e.node("Div", e.node("Mul", a, sign), e.node("Mul", b, sign))
        signs = np.where(divisor.array == -1, -one, one)
        if np.all(signs == 1):
            return e.node("Div", a, b)
        turned = e.node("Mul", a, e.constant(signs))
        return turned if np.all(signs == -1) else e.node("Div", turned, e.constant(divisor.array * signs))

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        return g / b, -(g * y) / b


class Max(Binary):
    """The larger operand; a tie sends half the gradient to each, as Keras's backends do."""

    function = np.maximum

    def of_sizes(self, a: Dim, b: Dim) -> Dim | None:
        return _larger(a, b)

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        return _share(g, a > b, a < b)


class Min(Binary):
    """The smaller operand; a tie sends half the gradient to each."""

    function = np.minimum

    def of_sizes(self, a: Dim, b: Dim) -> Dim | None:
        return _smaller(a, b)

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        return _share(g, a < b, a > b)


def _larger(a: Dim, b: Dim) -> Dim | None:
    return a if dims.is_never_less(a, b) else b if dims.is_never_less(b, a) else None


def _smaller(a: Dim, b: Dim) -> Dim | None:
    return b if dims.is_never_less(a, b) else a if dims.is_never_less(b, a) else None


def _remainder(a: Dim, b: Dim) -> Dim | None:
    if isinstance(b, int):
        return a - b * (a // b) if b > 0 else None
    quotient = dims.exact_quotient(a, b)
    return None if quotient is None else 0


def _share(g: Value, first: Value, second: Value) -> Sequence[Value]:
    half, one, none = scalar(0.5, g), scalar(1, g), scalar(0, g)
    part = where(first, one, where(second, none, half))
    return g * part, g * (one - part)


class Mod(Binary):
    """Remainder with the sign of the divisor."""

    function = np.mod

    def of_sizes(self, a: Dim, b: Dim) -> Dim | None:
        return _remainder(a, b)

    def lower(self, e: Emitter, y: Value, a: str, b: str) -> str | tuple[str, ...]:
        if not y.type.is_float:
            return e.node("Mod", a, b)
        # ONNX has that of C for floats, exact as this is, with the sign of a. What a - floor(a / b) b leaves of large
        # numbers is nothing but rounding.
        rest, zero = e.node("Mod", a, b, fmod=1), e.constant(np.zeros((), y.type.dtype))
        divisor = y.inputs[1].op
        if isinstance(divisor, Constant) and np.all(divisor.array > 0):
            wrong = e.node("Less", rest, zero)
        else:
            wrong = e.node("Less", e.node("Mul", e.node("Sign", rest), b), zero)
        return e.node("Where", wrong, e.node("Add", rest, b), rest)

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        return g, -(g * floor(a / b))


class Neg(Unary):
    """-x."""

    function = np.negative
    float_only = False

    def of_sizes(self, x: Dim) -> Dim | None:
        return x * -1

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (-g,)


class Abs(Unary):
    """Absolute value; gradient 0 at 0."""

    function = np.abs
    float_only = False

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * sign(x),)


class Sign(Unary):
    """-1, 0 or 1, as x is below, at or above zero; gradient 0, as in TensorFlow, which has none for `Floor`."""

    function = np.sign
    float_only = False

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * 0,)


class Floor(Unary):
    """The largest whole number not above x."""

    function = np.floor

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (None,)


class Ceil(Unary):
    """The smallest whole number not below x."""

    function = np.ceil

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (None,)


class Round(Unary):
    """Rounds halves to even."""

    function = np.round

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (None,)


@dataclass(frozen=True, repr=False, eq=False)
class Clip(Unary):
    """Limits to [low, high], the lower limit first.

    The gradient passes inside, and on the borders unless `within`: activations that saturate have none there.
    """

    low: float
    high: float
    within: bool = field(default=False, repr=False)
    float_only = False

    def eval(self, x: Array) -> Any:
        kind = x.dtype.type
        return np.clip(x, kind(self.low), kind(self.high))

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        low, high = scalar(self.low, x), scalar(self.high, x)
        inside = logical_and(x > low, x < high) if self.within else logical_and(x >= low, x <= high)
        return (where(inside, g, scalar(0, g)),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        low, high = (np.array(v, y.type.dtype) for v in (self.low, self.high))
        return e.node("Clip", x, e.constant(low), e.constant(high))


def add(x1: Any, x2: Any) -> Value:
    """Returns x1 + x2, broadcast."""
    return apply_binary(Add(), x1, x2, on_booleans=Or())


def subtract(x1: Any, x2: Any) -> Value:
    """Returns x1 - x2, broadcast."""
    return apply_binary(Sub(), x1, x2)


def multiply(x1: Any, x2: Any) -> Value:
    """Returns x1 * x2, broadcast."""
    return apply_binary(Mul(), x1, x2, on_booleans=And())


def maximum(x1: Any, x2: Any) -> Value:
    """Returns the larger of x1 and x2, broadcast."""
    return apply_binary(Max(), x1, x2, on_booleans=Or())


def minimum(x1: Any, x2: Any) -> Value:
    """Returns the smaller of x1 and x2, broadcast."""
    return apply_binary(Min(), x1, x2, on_booleans=And())


def mod(x1: Any, x2: Any) -> Value:
    """Returns the remainder of x1 / x2 with the sign of x2."""
    return apply_binary(Mod(), x1, x2)


def negative(x: Any) -> Value:
    """Returns -x."""
    return apply_to_number(Neg(), x)


def absolute(x: Any) -> Value:
    """Returns |x|; booleans stay as they are."""
    value = as_value(x)
    return value if value.dtype == "bool" else apply(Abs(), value)


def sign(x: Any) -> Value:
    """Returns -1, 0 or 1."""
    return apply_to_number(Sign(), x)


def floor(x: Any) -> Value:
    """Returns the largest integer not above x."""
    return apply_to_float(Floor(), x)


def ceil(x: Any) -> Value:
    """Returns the smallest integer not below x."""
    return apply_to_float(Ceil(), x)


def divide(x1: Any, x2: Any) -> Value:
    """Returns x1 / x2; integers are divided as floats, as Keras does."""
    return apply(Div(), *as_floats(x1, x2))


def divide_no_nan(x1: Any, x2: Any) -> Value:
    """Returns x1 / x2, and 0 where x2 is 0."""
    a, b = as_floats(x1, x2)
    return where(equal(b, 0), scalar(0, b), divide(a, where(equal(b, 0), scalar(1, b), b)))


def floor_divide(x1: Any, x2: Any) -> Value:
    """Returns the largest integer not above x1 / x2, in the dtype of the operands."""
    a, b = (as_number(x) for x in as_operands(x1, x2))
    return floor(divide(a, b)) if a.type.is_float else _floor_of_integers(a, b)


def _floor_of_integers(a: Value, b: Value) -> Value:
    if a.type.size is not None and b.type.size is not None:
        return apply(Div(), subtract(a, mod(a, b)), b)  # as dims says it; no size is near the end of its type
    quotient = apply(Div(), a, b)
    if a.dtype.startswith("uint"):
        return quotient
    # Nothing here leaves the type: a less its remainder may.
    apart = logical_xor(less(a, scalar(0, a)), less(b, scalar(0, b)))
    above = logical_and(apart, not_equal(mod(a, b), scalar(0, a)))
    return subtract(quotient, cast(above, a.dtype))


def round(x: Any, decimals: int = 0) -> Value:
    """Returns x rounded to so many decimals, halves to even, in its dtype; -1 means tens."""
    value = as_number(x)
    if decimals == 0:
        return apply(Round(), value) if value.type.is_float else value
    if decimals > 0 and not value.type.is_float:
        return value
    if value.dtype in HALVES:  # of which the factor may make infinities
        return cast(round(cast(value, "float32"), decimals), value.dtype)
    factor = 10.0**decimals
    rounded = divide(apply(Round(), multiply(as_float(value), factor)), factor)
    return cast(rounded, value.dtype)


def clip(x: Any, x_min: Any, x_max: Any) -> Value:
    """Returns x limited to [x_min, x_max]: numbers, or tensors that broadcast with x. None means no limit."""
    value = as_number(x)
    numbers = [v for v in (x_min, x_max) if v is not None]
    if all(isinstance(v, int | float) for v in numbers):
        if any(isinstance(v, float) for v in numbers):
            value = as_float(value)
        if not value.type.is_float:
            x_min, x_max = (_inside(v, value.dtype) for v in (x_min, x_max))
        low = -math.inf if x_min is None else x_min
        high = math.inf if x_max is None else x_max
        if value.type.is_float or len(numbers) == 2:
            low, high = (float(n) if n == float(n) else n for n in (low, high))
            return apply(Clip(low, high), value)
    if x_min is not None:
        value = maximum(value, x_min)
    return value if x_max is None else minimum(value, x_max)


def _inside(bound: int | None, dtype: str) -> int | None:
    """Returns a bound as the number of an integer type that is nearest to it: beyond that there is nothing to cut."""
    limits = np.iinfo(dtype)
    return None if bound is None else int(min(max(bound, limits.min), limits.max))


def saturated(x: Any, low: float, high: float) -> Value:
    """Returns x limited to [low, high] as activations are, without a gradient on the borders."""
    return apply(Clip(low, high, True), as_float(x))


def square(x: Any) -> Value:
    """Returns x * x."""
    value = as_number(x)
    return apply(Mul(), value, value)


def reciprocal(x: Any) -> Value:
    """Returns 1 / x."""
    return divide(1.0, x)


def isinf(x: Any) -> Value:
    """Returns where x is infinite."""
    return equal(absolute(as_float(x)), math.inf)


def isfinite(x: Any) -> Value:
    """Returns where x is neither infinite nor NaN."""
    return less(absolute(as_float(x)), math.inf)


OPERATORS.update(
    add=add,
    subtract=subtract,
    multiply=multiply,
    divide=divide,
    floor_divide=floor_divide,
    mod=mod,
    negative=negative,
    absolute=absolute,
)
