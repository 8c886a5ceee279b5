"""Activation functions that are layers of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc import activations, ops
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.layers.base import Layer
from seqc.serialization import known


@known("layers")
class ReLU(Layer):
    """max(x, 0), with a limit, a slope below and a threshold if wanted.

    Args:
        max_value: the largest result, None for no limit. negative_slope: slope below the threshold.
        threshold: x counts above it.
    """

    supports_masking = True

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if max_value is not None and max_value < 0:
            raise ConfigError(f"max_value of a ReLU layer cannot be a negative value. Received: max_value={max_value}")
        self.max_value = max_value
        self.negative_slope = _not_negative(negative_slope, "negative_slope")
        self.threshold = _not_negative(threshold, "threshold")
        self.built = True

    def call(self, x: Any) -> Value:
        return activations.relu(x, self.negative_slope, self.max_value, self.threshold)


@known("layers")
class LeakyReLU(Layer):
    """x where positive, else negative_slope * x.

    Args:
        negative_slope: 0.3 by default (the function `leaky_relu` has 0.2). `alpha` is its old name.
    """

    supports_masking = True

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        slope = kwargs.pop("alpha", negative_slope)
        super().__init__(**kwargs)
        if slope is None or slope < 0:
            raise ConfigError(
                "The negative_slope value of a Leaky ReLU layer cannot be None or negative value. Expected a float. "
                f"Received: negative_slope={slope}"
            )
        self.negative_slope = slope
        self.built = True

    def call(self, x: Any) -> Value:
        return ops.leaky_relu(x, self.negative_slope)


@known("layers")
class Softmax(Layer):
    """exp(x) normalized to sum to one along `axis` (an int or several); masked elements get 0."""

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.built = True

    def call(self, x: Any, mask: Value | None = None) -> Value:
        value = as_value(x)
        if mask is None:
            return ops.softmax(value, self.axis)
        if mask.type.rank != value.type.rank:
            raise ShapeError(f"The mask of Softmax must broadcast to its input; got {mask.type} for {value.type}.")
        return ops.where(mask, ops.softmax(ops.where(mask, value, -1e9), self.axis), 0.0)


def _not_negative(value: float | None, name: str) -> float:
    if value is None or value < 0:
        raise ConfigError(f"{name} of a ReLU layer cannot be None or a negative value. Received: {name}={value}")
    return value
