"""Roots, powers of two, and the complementary and inverse error functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.errors import DTypeError
from seqc.graph.ir import Emitter, Value, apply, as_value
from seqc.ops import _error_functions
from seqc.ops._common import as_float, as_floats, scalar
from seqc.ops._numbers_onnx import Nodes, emit_cbrt, emit_erfc, emit_erfinv
from seqc.ops.arithmetic import floor_divide, maximum, multiply, negative, subtract
from seqc.ops.elementwise import Unary, apply_to_float, cast
from seqc.ops.transcendental import Pow, distance, exp, log1p


class Cbrt(Unary):
    """The cube root, of negative numbers too."""

    function = np.cbrt

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g / (scalar(3, y) * y * y),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return emit_cbrt(Nodes(e, y.type.dtype), x)


class Erfc(Unary):
    """1 - erf(x), without loss where erf(x) is close to one."""

    function = _error_functions.erfc

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * scalar(-2 / math.sqrt(math.pi), x) * exp(-(x * x)),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return emit_erfc(Nodes(e, y.type.dtype), x)


class Erfinv(Unary):
    """The number whose error function is x."""

    function = _error_functions.erfinv

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * scalar(math.sqrt(math.pi) / 2, x) * exp(y * y),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return emit_erfinv(Nodes(e, y.type.dtype), x)


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
    a, b = as_floats(x1, x2)
    rest = log1p(exp2(negative(distance(a, b))))
    return maximum(a, b) + multiply(rest, 1 / math.log(2))
