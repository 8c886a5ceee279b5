"""The window functions of NumPy under the names of `keras.ops`, and the functions they are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from seqc.errors import DTypeError
from seqc.graph.ir import Array, Emitter, Value, apply, constant
from seqc.ops._common import as_float, scalar
from seqc.ops.arithmetic import multiply
from seqc.ops.elementwise import Unary, equal, where
from seqc.ops.transcendental import sin

# Where the power series of a Bessel function gives way to the asymptotic one, and how many terms of each are needed so
# that what is left out is less than the rounding of double precision.
_BORDER = 20.0
_TERMS = 48, 38


def _window(name: str, function: Callable[..., Any], x: Any, *parameters: Any) -> Value:
    try:
        count = int(x)
    except (TypeError, ValueError):
        raise DTypeError(f"{name} needs the number of points as an integer. Received: {x!r}") from None
    return constant(np.asarray(function(count, *parameters), np.float32))


def bartlett(x: Any) -> Value:
    """Returns a triangle of x points (float32) that starts and ends at 0."""
    return _window("bartlett", np.bartlett, x)


def blackman(x: Any) -> Value:
    """Returns the Blackman window of x points (float32): a sum of three cosines."""
    return _window("blackman", np.blackman, x)


def hamming(x: Any) -> Value:
    """Returns the Hamming window of x points (float32): a raised cosine that does not fall to 0."""
    return _window("hamming", np.hamming, x)


def hanning(x: Any) -> Value:
    """Returns the Hann window of x points (float32): a raised cosine from 0 to 0."""
    return _window("hanning", np.hanning, x)


def kaiser(x: Any, beta: float) -> Value:
    """Returns the Kaiser window of x points (float32).

    Args:
        x: how many points.
        beta: the narrower, the larger it is; 0 gives ones.
    """
    return _window("kaiser", np.kaiser, x, float(beta))


def sinc(x: Any) -> Value:
    """Returns sin(pi x) / (pi x), and 1 where x is 0."""
    value = as_float(x)
    zero, one = equal(value, scalar(0, value)), scalar(1, value)
    angle = multiply(where(zero, one, value), math.pi)
    return where(zero, one, sin(angle) / angle)


def i0(x: Any) -> Value:
    """Returns the modified Bessel function of the first kind, of order 0."""
    return apply(Bessel(0), as_float(x))


@dataclass(frozen=True, repr=False, eq=False)
class Bessel(Unary):
    """The modified Bessel function of the first kind, of order 0 or 1.

    By its power series, and by the asymptotic series of Hankel for large numbers (Abramowitz and Stegun, 9.6.10 and
    9.7.1).
    """

    order: int

    def eval(self, x: Array) -> Any:
        near, far = _coefficients(self.order)
        kind, size = x.dtype.type, np.abs(x)
        small = np.minimum(size, kind(_BORDER)) / kind(_BORDER)
        large = np.maximum(size, kind(_BORDER))
        inside = _horner(near, small * small)
        outside = np.exp(large) / np.sqrt(large) * _horner(far, kind(_BORDER) / large)
        if self.order:
            inside, outside = inside * x, np.copysign(outside, x)
        return np.where(size < kind(_BORDER), inside, outside)

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        if self.order == 0:
            return (g * apply(Bessel(1), x),)
        one, zero = scalar(1, x), equal(x, scalar(0, x))
        return (g * (apply(Bessel(0), x) - where(zero, scalar(0.5, x), y / where(zero, one, x))),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        def number(value: float) -> str:
            return e.constant(np.array(value, y.type.dtype))

        near, far = _coefficients(self.order)
        size, border = e.node("Abs", x), number(_BORDER)
        small = e.node("Div", e.node("Min", size, border), border)
        large = e.node("Max", size, border)
        inside = _emit_polynomial(e, near, e.node("Mul", small, small), y.type.dtype)
        series = _emit_polynomial(e, far, e.node("Div", border, large), y.type.dtype)
        outside = e.node("Mul", e.node("Div", e.node("Exp", large), e.node("Sqrt", large)), series)
        if self.order:
            inside, outside = e.node("Mul", inside, x), e.node("Mul", outside, e.node("Sign", x))
        return e.node("Where", e.node("Less", size, border), inside, outside)


def _emit_polynomial(e: Emitter, coefficients: tuple[float, ...], x: str, dtype: str) -> str:
    """Writes a polynomial as one product: a chain of operations would be as long as it has terms."""
    last = e.constant(np.array([-1], np.int64))
    powers = e.node("Pow", e.node("Unsqueeze", x, last), e.constant(np.arange(len(coefficients), dtype=dtype)))
    return e.node("Squeeze", e.node("MatMul", powers, e.constant(np.array(coefficients, dtype)[:, None])), last)


def _horner(coefficients: tuple[float, ...], x: Array) -> Any:
    total = np.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total * x + x.dtype.type(c)
    return total


@lru_cache(maxsize=2)
def _coefficients(order: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns those of the power series in (x / border)^2, divided by x for order 1, and of the other in border / x."""
    near = [
        (_BORDER / 2) ** (2 * k) / (2**order * math.factorial(k) * math.factorial(k + order)) for k in range(_TERMS[0])
    ]
    far = [1 / math.sqrt(2 * math.pi)]
    for k in range(1, _TERMS[1]):
        far.append(far[-1] * ((2 * k - 1) ** 2 - 4 * order**2) / (8 * k * _BORDER))
    return tuple(near), tuple(far)
