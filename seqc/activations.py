"""Activation functions under Keras's names: from a tensor to one of the same shape (only `glu` halves an axis)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seqc import ops, serialization
from seqc.errors import ConfigError
from seqc.graph.ir import Value, as_value
from seqc.ops import (
    celu,
    elu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    tanh,
    tanh_shrink,
    threshold,
)
from seqc.utils.absent import absent

# What is of `seqc.ops` is this module's, too.
__all__ = [
    "celu",
    "deserialize",
    "elu",
    "exponential",
    "gelu",
    "get",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
]


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
        # Keras takes relu6 for a limit of 6, which has no gradient there.
        y = ops.relu6(value) if max_value == 6 and not threshold else ops.clip(y, 0.0, max_value)
    return y - ops.relu(threshold - value) * negative_slope if negative_slope else y


def gelu(x: Any, approximate: bool = False) -> Value:
    """Returns x times the normal distribution's cumulative function at x, or its approximation by tanh.

    See Hendrycks and Gimpel, 2016.
    """
    return ops.gelu(x, approximate)


def exponential(x: Any) -> Value:
    """Returns e to the power x."""
    return ops.exp(x)


def mish(x: Any) -> Value:
    """Returns x * tanh(softplus(x)) (Misra, 2019)."""
    return ops.multiply(x, ops.tanh(ops.softplus(x)))


def hard_sigmoid_keras2(x: Any) -> Value:
    """Returns x / 5 + 0.5 limited to [0, 1], which Keras 1 and 2 called hard_sigmoid."""
    return ops.clip(ops.add(ops.multiply(x, 0.2), 0.5), 0.0, 1.0)


swish, hard_swish = silu, hard_silu

FUNCTIONS: dict[str, Callable[..., Value]] = {
    function.__name__: function
    for function in (
        relu, leaky_relu, relu6, softmax, celu, elu, selu, softplus, softsign, squareplus, soft_shrink, sparse_plus,
        silu, gelu, glu, tanh, tanh_shrink, threshold, sigmoid, sparse_sigmoid, exponential, hard_sigmoid, hard_silu,
        hard_tanh, hard_shrink, linear, mish, log_softmax, log_sigmoid, sparsemax, hard_sigmoid_keras2,
    )
} | {"swish": silu, "hard_swish": hard_silu}  # fmt: skip

# Functions of `seqc.ops` that some use as an activation, and that a file therefore may name.
ELEMENTWISE: dict[str, Callable[..., Value]] = {
    function.__name__: function
    for function in (
        ops.absolute, ops.arctan, ops.ceil, ops.cos, ops.cosh, ops.erf, ops.exp, ops.expm1, ops.floor, ops.log,
        ops.log1p, ops.negative, ops.reciprocal, ops.round, ops.rsqrt, ops.sign, ops.sin, ops.sinh, ops.sqrt,
        ops.square, ops.tan,
    )
}  # fmt: skip


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
        found = serialization.get_registered_object(identifier) or (FUNCTIONS | ELEMENTWISE).get(identifier)
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


__getattr__ = absent(__name__, __all__)
