"""Activation functions made of simpler operations, as `keras.ops` has them."""

from __future__ import annotations

import math
from typing import Any

from seqc.graph.ir import Value, as_value
from seqc.ops._common import as_number
from seqc.ops.arithmetic import absolute, add, clip, divide, multiply, negative, saturated, square, subtract
from seqc.ops.elementwise import cast, greater, less, where
from seqc.ops.nonlinear import elu, relu, sigmoid, softplus
from seqc.ops.reduce import sum
from seqc.ops.shape import expand_dims
from seqc.ops.slicing import split
from seqc.ops.transcendental import erf, sqrt, tanh

# Klambauer et al., 2017: the fixed point of zero mean and unit variance.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def relu6(x: Any) -> Value:
    """Returns x limited to [0, 6]."""
    value = as_number(x)
    return saturated(relu(value), 0.0, 6.0) if value.type.is_float else clip(value, 0, 6)


def selu(x: Any) -> Value:
    """Returns elu with the constants that keep mean and variance (Klambauer et al., 2017)."""
    return elu(x, _SELU_ALPHA) * _SELU_SCALE


def celu(x: Any, alpha: float = 1.0) -> Value:
    """Returns x where positive, else alpha * (exp(x / alpha) - 1) (Barron, 2017)."""
    return elu(x) if alpha == 1 else elu(divide(x, alpha)) * alpha


def gelu(x: Any, approximate: bool = True) -> Value:
    """Returns x times the normal distribution's cumulative function at x, or its approximation by tanh.

    See Hendrycks and Gimpel, 2016.
    """
    value = as_value(x)
    if approximate:
        inner = (value + value * value * value * 0.044715) * math.sqrt(2 / math.pi)
        return value * 0.5 * (tanh(inner) + 1.0)
    # This order, with a division, is the one that onnxruntime fuses.
    return value * (erf(value / math.sqrt(2)) + 1.0) * 0.5


def hard_sigmoid(x: Any) -> Value:
    """Returns x / 6 + 0.5 limited to [0, 1]."""
    return saturated(add(multiply(x, 1 / 6), 0.5), 0.0, 1.0)


def log_sigmoid(x: Any) -> Value:
    """Returns log(sigmoid(x))."""
    return negative(softplus(negative(x)))


def silu(x: Any) -> Value:
    """Returns x * sigmoid(x) (Ramachandran et al., 2017)."""
    return multiply(x, sigmoid(x))


def hard_silu(x: Any) -> Value:
    """Returns x * hard_sigmoid(x) (Howard et al., 2019)."""
    return multiply(x, hard_sigmoid(x))


def hard_tanh(x: Any) -> Value:
    """Returns x limited to [-1, 1]."""
    return clip(x, -1.0, 1.0)


def tanh_shrink(x: Any) -> Value:
    """Returns x - tanh(x)."""
    return subtract(x, tanh(x))


def soft_shrink(x: Any, threshold: float = 0.5) -> Value:
    """Returns x moved towards 0 by `threshold`, at most to 0."""
    value = as_value(x)
    return relu(value - threshold) - relu(-threshold - value)


def hard_shrink(x: Any, threshold: float = 0.5) -> Value:
    """Returns x where |x| > threshold, else 0."""
    return where(greater(absolute(x), threshold), x, 0.0)


def threshold(x: Any, threshold: float, default_value: float) -> Value:
    """Returns x where above `threshold`, else `default_value`."""
    return where(greater(x, threshold), x, default_value)


def squareplus(x: Any, b: float = 4) -> Value:
    """Returns (x + sqrt(x^2 + b)) / 2 (Barron, 2021)."""
    return multiply(add(sqrt(square(x) + float(b)), x), 0.5)


def sparse_plus(x: Any) -> Value:
    """Returns 0 up to -1, (x + 1)^2 / 4 up to 1, x from there on."""
    value = as_value(x)
    return square(clip(value + 1.0, 0.0, 2.0)) * 0.25 + relu(value - 1.0)


def sparse_sigmoid(x: Any) -> Value:
    """Returns (x + 1) / 2 limited to [0, 1]."""
    return saturated(add(multiply(x, 0.5), 0.5), 0.0, 1.0)


def glu(x: Any, axis: int = -1) -> Value:
    """Returns the first half of x along `axis` times the sigmoid of the second (Dauphin et al., 2017)."""
    first, second = split(as_value(x), 2, axis)
    return first * sigmoid(second)


def sparsemax(x: Any, axis: int = -1) -> Value:
    """Returns the point of the probability simplex nearest to x along `axis` (Martins and Astudillo, 2016).

    An element is in the support when the elements above it exceed it by less than 1 in total; comparing all pairs
    finds that without sorting, at the price of memory quadratic in the axis.
    """
    value = as_value(x)
    axis = axis % value.type.rank
    above = relu(expand_dims(value, axis) - expand_dims(value, axis + 1))
    inside = cast(less(sum(above, axis + 1), 1.0), value.dtype)
    excess = (sum(value * inside, axis, keepdims=True) - 1.0) / sum(inside, axis, keepdims=True)
    return relu(value - excess)
