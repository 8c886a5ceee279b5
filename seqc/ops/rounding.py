"""Remainders, signs, and numbers that are not finite, made of simpler operations where ONNX has no operator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.errors import ConfigError, NoLoweringError
from seqc.graph.element_types import float_info
from seqc.graph.ir import Emitter, Value, apply, as_value
from seqc.ops._common import as_float, as_floats, as_number, as_operands, dtype_name, scalar
from seqc.ops.arithmetic import (
    absolute,
    add,
    ceil,
    clip,
    floor,
    isfinite,
    maximum,
    minimum,
    multiply,
    reciprocal,
    subtract,
)
from seqc.ops.elementwise import (
    Binary,
    apply_binary,
    cast,
    equal,
    greater,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_or,
    where,
)
from seqc.ops.statistics import all


class Fmod(Binary):
    """Remainder with the sign of the dividend."""

    function = np.fmod

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        return g, -(g * trunc(a / b))

    def lower(self, e: Emitter, y: Value, a: str, b: str) -> str | tuple[str, ...]:
        return e.node("Mod", a, b, fmod=1)


class NextAfter(Binary):
    """The number next to the first operand on the way to the second, as the dtype tells numbers apart."""

    function = np.nextafter
    bits = True

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        return g, None

    def lower(self, e: Emitter, y: Value, a: str, b: str) -> str | tuple[str, ...]:
        raise NoLoweringError(f"{self.name} cannot be expressed in ONNX, whose operators do not show bits.")


def fmod(x1: Any, x2: Any) -> Value:
    """Returns the remainder of x1 / x2 with the sign of x1."""
    return apply_binary(Fmod(), x1, x2)


def nextafter(x1: Any, x2: Any) -> Value:
    """Returns the number next to x1 on the way to x2. ONNX cannot say it."""
    a, b = as_floats(x1, x2)
    return apply(NextAfter(), a, b)


def trunc(x: Any) -> Value:
    """Returns x without its fraction. Integers stay as they are."""
    value = as_value(x)
    return where(less(value, 0.0), ceil(value), floor(value)) if value.type.is_float else value


def fabs(x: Any) -> Value:
    """Returns |x| as a floating-point number."""
    return absolute(as_float(x))


def signbit(x: Any) -> Value:
    """Returns where x is negative, -0.0 included. The sign of a NaN counts for nothing."""
    value = as_number(x)
    if not value.type.is_float:
        return less(value, 0)
    return less(where(equal(value, 0.0), reciprocal(value), value), 0.0)


def heaviside(x1: Any, x2: Any) -> Value:
    """Returns 0 where x1 is negative, 1 where it is positive, and x2 where it is zero."""
    a, b = as_floats(x1, x2)
    step = where(greater(a, 0.0), scalar(1, a), where(less(a, 0.0), scalar(0, a), a))
    return where(equal(a, 0.0), b, step)


def isposinf(x: Any) -> Value:
    """Returns where x is infinite and positive."""
    return equal(as_float(x), math.inf)


def isneginf(x: Any) -> Value:
    """Returns where x is infinite and negative."""
    return equal(as_float(x), -math.inf)


def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Value:
    """Returns x with numbers in the place of what is not finite.

    Args:
        x: a tensor; integers stay as they are.
        nan: for NaN.
        posinf: for infinity; None means the largest number of the dtype.
        neginf: for minus infinity; None means the smallest number of the dtype.
    """
    value = as_value(x)
    if not value.type.is_float:
        return value
    most = float(float_info(value.dtype).max)
    value = where(isnan(value), scalar(nan, value), value)
    value = where(isposinf(value), scalar(most if posinf is None else posinf, value), value)
    return where(isneginf(value), scalar(-most if neginf is None else neginf, value), value)


def isclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Value:
    """Returns where |x1 - x2| <= atol + rtol * |x2|, or both are infinite with one sign.

    Args:
        x1, x2: tensors, which broadcast.
        rtol: how far apart they may be for their size.
        atol: how far apart they may be in any case.
        equal_nan: whether NaN is close to NaN.
    """
    a, b = as_floats(x1, x2)
    near = less_equal(absolute(subtract(a, b)), add(multiply(absolute(b), rtol), atol))
    close = logical_or(logical_and(near, isfinite(b)), equal(a, b))
    return logical_or(close, logical_and(isnan(a), isnan(b))) if equal_nan else close


def allclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Value:
    """Returns whether all elements of x1 and x2 are close to each other; see `isclose`."""
    return all(isclose(x1, x2, rtol, atol, equal_nan))


def fmax(x1: Any, x2: Any) -> Value:
    """Returns the larger of x1 and x2, broadcast; where one is NaN, the other."""
    return _but_nan(maximum, x1, x2)


def fmin(x1: Any, x2: Any) -> Value:
    """Returns the smaller of x1 and x2, broadcast; where one is NaN, the other."""
    return _but_nan(minimum, x1, x2)


def _but_nan(choose: Any, x1: Any, x2: Any) -> Value:
    a, b = as_operands(x1, x2)
    if not a.type.is_float:
        return choose(a, b)  # type: ignore[no-any-return]
    return choose(where(isnan(a), b, a), where(isnan(b), a, b))  # type: ignore[no-any-return]


def saturate_cast(x: Any, dtype: Any) -> Value:
    """Returns x in another element type; what lies beyond its numbers becomes the nearest of them."""
    value, name = as_value(x), dtype_name(dtype)
    if value.dtype == "bool" or (value.dtype == name and not value.type.is_float):
        return cast(value, name)
    (low, high), (least, most) = _limits(value.dtype), _limits(name)
    if value.type.is_float:
        # The last number of the wider type that the narrower can hold: 2^31 - 1 is no float32.
        least, most = (_towards_zero(limit, value.dtype) for limit in (least, most))
    if value.type.is_float or low < least or high > most:  # of floats for their infinities
        value = clip(value, type(low)(max(least, low)), type(high)(min(most, high)))
    return cast(value, name)


def _limits(dtype: str) -> tuple[Any, Any]:
    """Returns the smallest and the largest number of an element type."""
    if dtype == "bool":
        return 0, 1
    found: Any = np.iinfo(dtype) if dtype.startswith(("int", "uint")) else float_info(dtype)
    kind = int if dtype.startswith(("int", "uint")) else float
    return kind(found.min), kind(found.max)


def _towards_zero(limit: float, dtype: str) -> float:
    """Returns a limit as a number of a floating-point type that is not beyond it."""
    most = float(float_info(dtype).max)
    near = np.dtype(dtype).type(min(max(limit, -most), most))
    return float(np.nextafter(near, near.dtype.type(0)) if abs(int(near)) > abs(int(limit)) else near)


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Value:
    """Returns, element by element, the choice of the first condition that holds, and `default` where none does.

    Args:
        condlist: conditions, which broadcast with the choices.
        choicelist: as many tensors.
        default: a number or a tensor.
    """
    if len(condlist) != len(choicelist) or not condlist:
        raise ConfigError(
            f"select needs as many choices as conditions, at least one; got {len(condlist)} conditions and "
            f"{len(choicelist)} choices."
        )
    *choices, result = as_operands(*choicelist, default)
    for condition, choice in reversed(list(zip(condlist, choices, strict=True))):
        result = where(condition, choice, result)
    return result
