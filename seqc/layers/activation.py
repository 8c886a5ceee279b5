"""Activation functions that are layers of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import activations, ops
from seqc.errors import AxisError, ConfigError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.known_classes import known
from seqc.layers._arguments import keep_arguments
from seqc.layers._common import KerasShape, as_axes
from seqc.layers.base import Layer
from seqc.layers.input_spec import InputSpec


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
        self.max_value = None if max_value is None else _not_negative(max_value, "max_value", "ReLU")
        self.negative_slope = _not_negative(negative_slope, "negative_slope", "ReLU")
        self.threshold = _not_negative(threshold, "threshold", "ReLU")
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
        self.negative_slope = _not_negative(slope, "negative_slope", "Leaky ReLU")
        self.built = True

    def call(self, x: Any) -> Value:
        return ops.leaky_relu(x, self.negative_slope)


@known("layers")
class ELU(Layer):
    """x where positive, else alpha * (exp(x) - 1) (Clevert et al., 2016).

    Args:
        alpha: how far below zero it goes.
    """

    supports_masking = True

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha
        self.built = True

    def call(self, x: Any) -> Value:
        return ops.elu(x, self.alpha)


@known("layers")
class PReLU(Layer):
    """x where positive, else alpha * x with slopes that are learned (He et al., 2015).

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint: of the slopes, as in `Dense`.
        shared_axes: axes, from 1 on, along which all elements share a slope; none by default.

    Shapes: any, the result like the input; one weight of the shape of a sample, 1 along shared axes.
    """

    supports_masking = True
    not_kept = ("shared_axes",)
    alpha_initializer: Any
    alpha_regularizer: Any
    alpha_constraint: Any

    @keep_arguments
    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        listed = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        self.shared_axes = None if listed is None else list(listed)

    def build(self, input_shape: KerasShape) -> None:
        rank, shared = len(input_shape), self.shared_axes or []
        for axis in shared:
            if not 1 <= axis < rank:
                raise AxisError(
                    f"PReLU shares slopes along axes from 1 to {rank - 1} of {input_shape}; got axis {axis}."
                )
        sizes = [1 if axis in shared else input_shape[axis] for axis in range(1, rank)]
        if None in sizes:
            raise ShapeError(
                f"PReLU has a slope for each element of a sample, and {input_shape} leaves a size open. Give the size, "
                "or share the slopes along that axis: shared_axes=[...]."
            )
        self.alpha = self._add_described_weight("alpha", tuple(sizes))
        fixed = {axis: input_shape[axis] for axis in range(1, rank) if axis not in shared}
        self.input_spec = InputSpec(ndim=rank, axes=fixed)

    def call(self, x: Any) -> Value:
        value = as_value(x)
        return ops.relu(value) - self.alpha * ops.relu(-value)


@known("layers")
class Softmax(Layer):
    """exp(x) normalized to sum to one along `axis` (an int, several, or None for all); masked elements get 0."""

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] | None = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        axes = None if axis is None else as_axes(axis, "axis", "Softmax")
        self.axis = axes[0] if axes is not None and hasattr(axis, "__index__") else axes
        self.built = True

    def call(self, x: Any, mask: Value | None = None) -> Value:
        value = as_value(x)
        if mask is None:
            return ops.softmax(value, self.axis)
        keep = as_value(mask)
        if not _spreads(keep.shape, value.shape):
            raise ShapeError(f"The mask of Softmax must broadcast to its input; got {keep.type} for {value.type}.")
        if keep.dtype != "bool":
            keep = ops.greater(keep, 0.5)
        # A number that float16 holds, so that where all is masked all is still alike and not NaN.
        masked = ops.where(keep, value, -3e4 if value.dtype == "float16" else -1e9)
        return ops.where(keep, ops.softmax(masked, self.axis), 0.0)


def _spreads(mask: KerasShape, x: KerasShape) -> bool:
    """Tells whether a mask broadcasts to an input, as far as their sizes are known."""
    pairs = zip(reversed(mask), reversed(x), strict=False)
    return len(mask) <= len(x) and all(None in pair or pair[0] in (1, pair[1]) for pair in pairs)


def _not_negative(value: Any, name: str, kind: str) -> float:
    if not isinstance(value, int | float | np.number) or not value >= 0:
        raise ConfigError(
            f"The {name} value of a {kind} layer cannot be None or negative value. Expected a number. "
            f"Received: {name}={value}"
        )
    return value  # type: ignore[return-value]
