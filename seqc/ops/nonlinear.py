"""Activation functions that ONNX has as one operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.graph.ir import Array, Emitter, Value, apply
from seqc.graph.target import Target
from seqc.ops import _special
from seqc.ops._common import as_float, fits_attribute, scalar
from seqc.ops.arithmetic import absolute, maximum, minimum
from seqc.ops.elementwise import Binary, Unary, apply_to_float, apply_to_number, where
from seqc.ops.transcendental import exp, expm1, log1p


class Sigmoid(Unary):
    """1 / (1 + exp(-x))."""

    function = _special.sigmoid

    def places_of_one(self) -> float:
        return 1.0  # 0.5 and a rational function of x are added

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * y * (scalar(1, y) - y),)


class Softplus(Unary):
    """log(1 + exp(x)), without overflow."""

    function = _special.softplus

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * sigmoid(x),)

    def decompose(self, target: Target, y: Value, x: Value) -> Value | tuple[Value, ...] | None:
        if x.dtype != "float64":  # onnxruntime's operator overflows in double precision
            return None
        return maximum(x, scalar(0, x)) + log1p(exp(-absolute(x)))


class Softsign(Unary):
    """x / (1 + |x|)."""

    function = _special.softsign

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        root = scalar(1, y) - absolute(y)
        return (g * root * root,)


class Relu(Unary):
    """max(x, 0); gradient 0 at 0."""

    float_only = False

    def eval(self, x: Array) -> Any:
        return np.maximum(x, x.dtype.type(0))

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (apply(ReluGrad(), g, y),)

    def decompose(self, target: Target, y: Value, x: Value) -> Value | tuple[Value, ...] | None:
        return None if target.supports("Relu", dtype=x.dtype) else maximum(x, scalar(0, x))


class ReluGrad(Binary):
    """`g` where the output `y` of Relu is positive, else 0."""

    def eval(self, g: Array, y: Array) -> Any:
        return np.multiply(g, y > 0)

    def decompose(self, target: Target, y: Value, g: Value, out: Value) -> Value | tuple[Value, ...] | None:
        return where(out > 0, g, scalar(0, g))

    def vjp(self, g: Value, y: Value, upstream: Value, out: Value) -> Sequence[Value | None]:
        return apply(ReluGrad(), g, out), None


@dataclass(frozen=True, repr=False, eq=False)
class Elu(Unary):
    """x where positive, else alpha * (exp(x) - 1)."""

    alpha: float = 1.0

    def eval(self, x: Array) -> Any:
        return np.where(x > 0, x, x.dtype.type(self.alpha) * np.expm1(np.minimum(x, x.dtype.type(0))))

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * where(x > 0, scalar(1, x), y + scalar(self.alpha, x)),)

    def decompose(self, target: Target, y: Value, x: Value) -> Value | tuple[Value, ...] | None:
        if fits_attribute(self.alpha, x.dtype):
            return None
        return where(x > 0, x, scalar(self.alpha, x) * expm1(minimum(x, scalar(0, x))))

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return e.node("Elu", x, alpha=self.alpha)

    def places_of_one(self) -> float:
        return abs(self.alpha)  # one is subtracted from exp(x)


@dataclass(frozen=True, repr=False, eq=False)
class LeakyRelu(Unary):
    """x where positive, else alpha * x; gradient alpha at 0."""

    alpha: float

    def eval(self, x: Array) -> Any:
        return np.where(x > 0, x, x * x.dtype.type(self.alpha))

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g * where(x > 0, scalar(1, x), scalar(self.alpha, x)),)

    def decompose(self, target: Target, y: Value, x: Value) -> Value | tuple[Value, ...] | None:
        return None if fits_attribute(self.alpha, x.dtype) else where(x > 0, x, x * scalar(self.alpha, x))

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return e.node("LeakyRelu", x, alpha=self.alpha)


def relu(x: Any) -> Value:
    """Returns max(x, 0)."""
    return apply_to_number(Relu(), x)


def sigmoid(x: Any) -> Value:
    """Returns 1 / (1 + exp(-x))."""
    return apply_to_float(Sigmoid(), x)


def softplus(x: Any) -> Value:
    """Returns log(1 + exp(x))."""
    return apply_to_float(Softplus(), x)


def softsign(x: Any) -> Value:
    """Returns x / (1 + |x|)."""
    return apply_to_float(Softsign(), x)


def elu(x: Any, alpha: float = 1.0) -> Value:
    """Returns x where positive, else alpha * (exp(x) - 1)."""
    return apply(Elu(float(alpha)), as_float(x))


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Value:
    """Returns x where positive, else negative_slope * x."""
    return apply(LeakyRelu(float(negative_slope)), as_float(x))
