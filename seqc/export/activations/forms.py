"""Activation functions as ONNX has them.

Passes write them for inference. Training goes through what they are made of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.graph.ir import Array, Emitter, Value
from seqc.ops import _special
from seqc.ops.elementwise import Binary, Unary


class PRelu(Binary):
    """x where positive, else x times a slope (He et al., 2015)."""

    def eval(self, x: Array, slope: Array) -> Any:
        return np.where(x > 0, x, x * slope)


# What is in Gelu's error function, and in the tanh of its approximation: coefficients by ascending power.
GELU = (0.0, math.sqrt(0.5))
GELU_TANH = (0.0, math.sqrt(2 / math.pi), 0.0, 0.044715 * math.sqrt(2 / math.pi))


@dataclass(frozen=True, repr=False, eq=False)
class HardSigmoid(Unary):
    """alpha * x + beta limited to [0, 1].

    Attributes:
        limits: 0 and 1, but for the rounding of the constants that the function was written with. What the operator
        computes in single precision is the same; in double precision, in which passes are checked, it shows.
    """

    alpha: float
    beta: float
    limits: tuple[float, float] = (0.0, 1.0)

    def eval(self, x: Array) -> Any:
        alpha, beta, low, high = (x.dtype.type(v) for v in (self.alpha, self.beta, *self.limits))
        return np.clip(x * alpha + beta, low, high)

    def lower(self, e: Emitter, y: Value, x: str) -> str:
        if self.beta == 0:  # OpenVINO reads a zero as ONNX's default, which is one half
            ends = (e.constant(np.array(n, y.dtype)) for n in (0, 1))
            return e.node("Clip", e.node("Mul", x, e.constant(np.array(self.alpha, y.dtype))), *ends)
        return e.node("HardSigmoid", x, alpha=self.alpha, beta=self.beta)

    def places_of_one(self) -> float:
        return abs(self.beta)  # which is added


@dataclass(frozen=True, repr=False, eq=False)
class HardSwish(HardSigmoid):
    """x * (x / 6 + 1 / 2 limited to [0, 1]) (Howard et al., 2019); the numbers are these but for rounding."""

    alpha: float = 1 / 6
    beta: float = 0.5

    def eval(self, x: Array) -> Any:
        return x * super().eval(x)

    def lower(self, e: Emitter, y: Value, x: str) -> str:
        if e.target.supports("HardSwish", dtype=y.dtype):
            return e.node("HardSwish", x)
        return e.node("Mul", x, super().lower(e, y, x))

    def places_of_one(self) -> float:
        return 1.0  # one half is added, and the sum multiplied with x, which is -3 where the result is small


@dataclass(frozen=True, repr=False, eq=False)
class Gelu(Unary):
    """x times the normal distribution's cumulative function at x (Hendrycks and Gimpel, 2016): x * (erf(u) + 1) / 2.

    Attributes:
        inner: the coefficients of u as a polynomial in x, by ascending power: x / sqrt(2), but for rounding. Of degree
        three they are those of the approximation with tanh in the place of erf.
    """

    inner: tuple[float, ...] = GELU

    @property
    def approximate(self) -> bool:
        return len(self.inner) > 2

    def eval(self, x: Array) -> Any:
        kind = x.dtype.type
        u = np.zeros_like(x)
        for c in reversed(self.inner):
            u = u * x + kind(c)
        bend = np.tanh if self.approximate else _special.erf
        return x * (bend(u) + kind(1)) * kind(0.5)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        if self.approximate or e.target.supports("Gelu", "approximate", dtype=y.dtype):
            return e.node("Gelu", x, approximate="tanh" if self.approximate else "none")
        # This order, with a division, is the one that onnxruntime fuses.
        root, one, half = (e.constant(np.array(v, y.type.dtype)) for v in (1 / self.inner[1], 1, 0.5))
        normal = e.node("Add", e.node("Erf", e.node("Div", x, root)), one)
        return e.node("Mul", e.node("Mul", x, normal), half)

    def places_of_one(self) -> float:
        return 1.0  # one is added to erf
