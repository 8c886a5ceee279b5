"""Activation functions under Keras's names: from a tensor to one of the same shape (only `glu` halves an axis)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from seqc import ops, serialization
from seqc.errors import ConfigError
from seqc.ir import Value, as_value

# Klambauer et al., 2017: the fixed point of zero mean and unit variance.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def linear(x: Any) -> Value:
    """Returns x."""
    return as_value(x)


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Value:
    """Returns x above `threshold`, at most `max_value`, and negative_slope * (x - threshold) below it."""
    if not negative_slope and max_value is None and not threshold:
        return ops.relu(x)
    if negative_slope and max_value is None and not threshold:
        return ops.leaky_relu(x, negative_slope)
    value = as_value(x)
    y = ops.where(ops.greater(value, threshold), value, 0.0) if threshold else ops.relu(value)
    if max_value is not None:
        y = ops.clip(y, 0.0, max_value)
    return y - ops.relu(threshold - value) * negative_slope if negative_slope else y


def relu6(x: Any) -> Value:
    """Returns x limited to [0, 6]."""
    return relu(x, max_value=6.0)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Value:
    """Returns x where positive, else negative_slope * x."""
    return ops.leaky_relu(x, negative_slope)


def elu(x: Any, alpha: float = 1.0) -> Value:
    """Returns x where positive, else alpha * (exp(x) - 1)."""
    return ops.elu(x, alpha)


def selu(x: Any) -> Value:
    """Returns elu with the constants that keep mean and variance (Klambauer et al., 2017)."""
    return ops.elu(x, _SELU_ALPHA) * _SELU_SCALE


def celu(x: Any, alpha: float = 1.0) -> Value:
    """Returns x where positive, else alpha * (exp(x / alpha) - 1) (Barron, 2017)."""
    return ops.elu(x) if alpha == 1 else ops.elu(ops.divide(x, alpha)) * alpha


def gelu(x: Any, approximate: bool = False) -> Value:
    """Returns x times the normal distribution's cumulative function at x (Hendrycks and Gimpel, 2016), or its
    approximation by tanh.
    """
    value = as_value(x)
    if approximate:
        inner = (value + value * value * value * 0.044715) * math.sqrt(2 / math.pi)
        return value * 0.5 * (ops.tanh(inner) + 1.0)
    # This order, with a division, is the one that onnxruntime fuses.
    return value * (ops.erf(value / math.sqrt(2)) + 1.0) * 0.5


def sigmoid(x: Any) -> Value:
    """Returns 1 / (1 + exp(-x))."""
    return ops.sigmoid(x)


def hard_sigmoid(x: Any) -> Value:
    """Returns x / 6 + 0.5 limited to [0, 1]."""
    return ops.clip(ops.add(ops.multiply(x, 1 / 6), 0.5), 0.0, 1.0)


def log_sigmoid(x: Any) -> Value:
    """Returns log(sigmoid(x))."""
    return ops.negative(ops.softplus(ops.negative(x)))


def silu(x: Any) -> Value:
    """Returns x * sigmoid(x) (Ramachandran et al., 2017)."""
    return ops.multiply(x, ops.sigmoid(x))


def hard_silu(x: Any) -> Value:
    """Returns x * hard_sigmoid(x) (Howard et al., 2019)."""
    return ops.multiply(x, hard_sigmoid(x))


def tanh(x: Any) -> Value:
    """Returns the hyperbolic tangent."""
    return ops.tanh(x)


def hard_tanh(x: Any) -> Value:
    """Returns x limited to [-1, 1]."""
    return ops.clip(x, -1.0, 1.0)


def tanh_shrink(x: Any) -> Value:
    """Returns x - tanh(x)."""
    return ops.subtract(x, ops.tanh(x))


def soft_shrink(x: Any, threshold: float = 0.5) -> Value:
    """Returns x moved towards 0 by `threshold`, at most to 0."""
    value = as_value(x)
    return ops.relu(value - threshold) - ops.relu(-threshold - value)


def hard_shrink(x: Any, threshold: float = 0.5) -> Value:
    """Returns x where |x| > threshold, else 0."""
    return ops.where(ops.greater(ops.absolute(x), threshold), x, 0.0)


def threshold(x: Any, threshold: float, default_value: float) -> Value:
    """Returns x where above `threshold`, else `default_value`."""
    return ops.where(ops.greater(x, threshold), x, default_value)


def softplus(x: Any) -> Value:
    """Returns log(1 + exp(x))."""
    return ops.softplus(x)


def softsign(x: Any) -> Value:
    """Returns x / (1 + |x|)."""
    return ops.softsign(x)


def exponential(x: Any) -> Value:
    """Returns e to the power x."""
    return ops.exp(x)


def mish(x: Any) -> Value:
    """Returns x * tanh(softplus(x)) (Misra, 2019)."""
    return ops.multiply(x, ops.tanh(ops.softplus(x)))


def squareplus(x: Any, b: float = 4) -> Value:
    """Returns (x + sqrt(x^2 + b)) / 2 (Barron, 2021)."""
    return ops.multiply(ops.add(ops.sqrt(ops.square(x) + float(b)), x), 0.5)


def sparse_plus(x: Any) -> Value:
    """Returns 0 up to -1, (x + 1)^2 / 4 up to 1, x from there on."""
    value = as_value(x)
    return ops.square(ops.clip(value + 1.0, 0.0, 2.0)) * 0.25 + ops.relu(value - 1.0)


def sparse_sigmoid(x: Any) -> Value:
    """Returns (x + 1) / 2 limited to [0, 1]."""
    return ops.clip(ops.add(ops.multiply(x, 0.5), 0.5), 0.0, 1.0)


def glu(x: Any, axis: int = -1) -> Value:
    """Returns the first half of x along `axis` times the sigmoid of the second (Dauphin et al., 2017)."""
    first, second = ops.split(x, 2, axis)
    return first * ops.sigmoid(second)


def softmax(x: Any, axis: int = -1) -> Value:
    """Returns exp(x) normalized to sum to one along `axis`."""
    return ops.softmax(x, axis)


def log_softmax(x: Any, axis: int = -1) -> Value:
    """Returns log(softmax(x)) along `axis`."""
    return ops.log_softmax(x, axis)


def sparsemax(x: Any, axis: int = -1) -> Value:
    """Returns the point of the probability simplex nearest to x along `axis` (Martins and Astudillo, 2016).

    An element is in the support when the elements above it exceed it by less than 1 in total; comparing all pairs
    finds that without sorting, at the price of memory quadratic in the axis.
    """
    value = as_value(x)
    axis = axis % value.type.rank
    above = ops.relu(ops.expand_dims(value, axis) - ops.expand_dims(value, axis + 1))
    inside = ops.cast(ops.less(ops.sum(above, axis + 1), 1.0), value.dtype)
    excess = (ops.sum(value * inside, axis, keepdims=True) - 1.0) / ops.sum(inside, axis, keepdims=True)
    return ops.relu(value - excess)


swish, hard_swish = silu, hard_silu

FUNCTIONS: dict[str, Callable[..., Value]] = {
    function.__name__: function
    for function in (
        relu, leaky_relu, relu6, softmax, celu, elu, selu, softplus, softsign, squareplus, soft_shrink, sparse_plus,
        silu, gelu, glu, tanh, tanh_shrink, threshold, sigmoid, sparse_sigmoid, exponential, hard_sigmoid, hard_silu,
        hard_tanh, hard_shrink, linear, mish, log_softmax, log_sigmoid, sparsemax,
    )
} | {"swish": silu, "hard_swish": hard_silu}  # fmt: skip


def get(identifier: Any) -> Any:
    """Returns the function that a name, a description or a function stands for; `linear` for None.

    Raises:
        ConfigError: it stands for none.
    """
    if identifier is None:
        return linear
    if isinstance(identifier, dict):
        identifier = serialization.revive(identifier)
    found = identifier
    if isinstance(identifier, str):
        found = serialization.get_registered_object(identifier) or FUNCTIONS.get(identifier)
    if not callable(found):
        raise ConfigError(
            f"Could not interpret activation function identifier: {identifier}. Known: {', '.join(sorted(FUNCTIONS))}."
        )
    return found


def serialize(activation: Any) -> Any:
    """Returns an activation as plain data: the bare name for those of this module."""
    return serialization.serialize(activation)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Returns the activation that plain data describe."""
    return get(serialization.revive(config, custom_objects))
