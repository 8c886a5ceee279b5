"""Layers that scale their input by its own size: to a mean square, or a length, of one, or by groups of channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc import ops
from seqc.argument_kinds import taken
from seqc.errors import ArgumentTypeError, AxisError, ConfigError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.known_classes import known
from seqc.layers._arguments import keep_arguments
from seqc.layers._common import KerasShape
from seqc.layers.base import Layer
from seqc.layers.normalization import _Normalization


@known("layers")
class RMSNormalization(Layer):
    """x / sqrt(mean of x² over `axis` + epsilon) * scale (Zhang and Sennrich, 2019).

    Args:
        axis: the last axis, or the last ones. epsilon: added to the mean of squares.

    Shapes: any, the result like the input; one weight of the sizes of `axis`.
    """

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis, self.epsilon = _axes_as_given(axis), taken("epsilon", epsilon, "RMSNormalization")

    def build(self, input_shape: KerasShape) -> None:
        axes = _checked(self.axis, input_shape)
        shape = tuple(input_shape[a] for a in axes)
        if axes != list(range(axes[0], len(input_shape))):
            raise ShapeError(
                f"RMSNormalization scales along the last axes of its input, as Keras does; got axis={self.axis} for an "
                f"input of shape {tuple(input_shape)}. Put a Permute in front of it, or use LayerNormalization."
            )
        if None in shape:
            raise ShapeError(
                f"RMSNormalization has a scale for each element along {axes}; {input_shape} leaves one open."
            )
        self.scale = self.add_weight(shape, "ones", name="scale")
        self.input_rank = len(input_shape)
        self._input_sizes = {a: size for a, size in zip(axes, shape, strict=True) if size is not None}

    def call(self, x: Any) -> Value:
        value = as_value(x)
        axes = _checked(self.axis, value.shape)
        mean = ops.mean(ops.square(value), axes, keepdims=True)
        return value / ops.sqrt(mean + self.epsilon) * self.scale


@known("layers")
class UnitNormalization(Layer):
    """x divided by its length: the sum of squares over `axis` becomes one.

    Args:
        axis: one axis or several.

    Shapes: any, the result like the input.
    """

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _axes_as_given(axis)
        self.built = True

    def call(self, x: Any) -> Value:
        value = as_value(x)
        return ops.normalize(value, _checked(self.axis, value.shape), order=2, epsilon=1e-12)


@known("layers")
class GroupNormalization(_Normalization):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, over places and the channels of a group (Wu and He, 2018).

    Args:
        groups: how many groups of neighbouring channels there are; -1 for one channel in each.
        axis: the axis of channels. epsilon: added to the variance. center, scale: whether there are beta and gamma.
        The initializers, regularizers and constraints of both are as in `Dense`.

    Shapes: any of rank 2 or more, the result like the input; weights (channels,).
    """

    axis: int
    epsilon: float
    not_kept = ("groups",)  # which may be -1

    @keep_arguments
    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.groups, self.autocast = groups, False

    def build(self, input_shape: KerasShape) -> None:
        axis = self._known_axis(self.axis, input_shape)
        channels = input_shape[axis]
        if channels is None:
            raise ConfigError(
                f"Axis {self.axis} of input tensor should have a defined dimension but the layer received an input "
                f"with shape {input_shape}."
            )
        if self.groups == -1:
            self.groups = channels
        if not 0 < self.groups <= channels or channels % self.groups:
            raise ConfigError(
                f"The number of groups must divide the number of channels. Received: groups={self.groups}, "
                f"channels={channels}."
            )
        self._make_scale_and_offset((channels,), self.scale, self.center)
        self.input_rank = len(input_shape)
        self._input_sizes = {axis: channels}

    def call(self, x: Any) -> Value:
        value = self._wide(x)
        rank, sizes = value.type.rank, ops.shape(value)
        axis = self.axis % rank
        channels = self._input_sizes[axis]
        inside = (self.groups, channels // self.groups)
        if axis == 1:
            grouped, over = ops.reshape(value, (sizes[0], self.groups, -1)), [2]
        elif axis == rank - 1:
            grouped, over = ops.reshape(value, (sizes[0], -1, *inside)), [1, 3]
        else:
            grouped = ops.reshape(value, (*sizes[:axis], *inside, *sizes[axis + 1 :]))
            over = [i for i in range(1, rank + 1) if i != axis]
        mean, variance = ops.moments(grouped, over, keepdims=True)
        y = ops.reshape((grouped - mean) / ops.sqrt(variance + self.epsilon), sizes)
        others = [i for i in range(rank) if i != axis]
        if self.gamma is not None:
            y = y * ops.expand_dims(self._wide(self.gamma), others)
        if self.beta is not None:
            y = y + ops.expand_dims(self._wide(self.beta), others)
        return ops.cast(y, self.compute_dtype)


def _axes_as_given(axis: Any) -> Any:
    """Returns an axis, or a list of axes.

    Raises:
        ArgumentTypeError: it is neither.
    """
    if isinstance(axis, list | tuple):
        return list(axis)
    if not hasattr(axis, "__index__"):
        raise ArgumentTypeError(
            f"Invalid value for `axis` argument: expected an int or a list/tuple of ints. Received: axis={axis}"
        )
    return int(axis)


def _checked(axis: Any, shape: KerasShape) -> list[int]:
    """Returns axes, from 0 on and in order.

    Raises:
        AxisError: one does not exist.
    """
    axes = [axis] if isinstance(axis, int) else axis
    for one in axes:
        if not -len(shape) <= one < len(shape):
            raise AxisError(f"Axis {one} is out of bounds for input shape {tuple(shape)}. Received: axis={axis}")
    return sorted({one % len(shape) for one in axes})
