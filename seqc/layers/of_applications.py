"""The layers that Keras keeps beside models of its applications; they stand in files of these.

Two are of ConvNeXt (Liu et al., 2022), one of Inception-ResNet (Szegedy et al., 2016).
"""

from __future__ import annotations

from typing import Any

from seqc import initializers, ops
from seqc.argument_kinds import is_number
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.known_classes import known
from seqc.layers._common import KerasShape
from seqc.layers.base import Layer
from seqc.layers.regularization import random_uniform
from seqc.ops.slicing import slice_axis


@known("layers")
class LayerScale(Layer):
    """x times a weight per channel.

    Args:
        init_values: what the weight starts from. projection_dim: the number of channels.
    """

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.init_values, self.projection_dim = init_values, projection_dim

    def build(self, input_shape: KerasShape) -> None:
        self.gamma = self.add_weight((self.projection_dim,), initializers.Constant(self.init_values), name="variable")

    def call(self, x: Any) -> Value:
        return ops.cast(x, self.compute_dtype) * self.gamma


@known("layers")
class StochasticDepth(Layer):
    """In training, zeroes the whole of some samples and divides the others by the part that stays.

    Args:
        drop_path_rate: the part to zero, from 0 to 1, without 1.
    """

    def __init__(self, drop_path_rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(drop_path_rate, int | float) or not 0 <= drop_path_rate < 1:
            raise ConfigError(f"drop_path_rate is a number from 0 to 1, without 1. Received: {drop_path_rate!r}")
        self.drop_path_rate = drop_path_rate
        self.built = True

    def call(self, x: Any, training: bool = False) -> Value:
        value = as_value(x)
        if not training:
            return value
        one_each = value
        for axis in range(1, value.type.rank):
            one_each = slice_axis(one_each, axis, 0, 1)
        kept = 1 - self.drop_path_rate
        return value / kept * ops.floor(kept + random_uniform(one_each, None, self.name, 0))


@known("layers")
class CustomScaleLayer(Layer):
    """Of two tensors, the first plus the second times a number.

    Args:
        scale: the number.
    """

    takes_several = True

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not is_number(scale):
            raise ConfigError(f"scale is a number. Received: {scale!r}")
        self.scale = scale
        self.built = True

    def call(self, inputs: Any) -> Value:
        if not isinstance(inputs, list | tuple) or len(inputs) != 2:
            raise ShapeError("A `CustomScaleLayer` layer should be called on a list of 2 inputs.")
        return as_value(inputs[0]) + as_value(inputs[1]) * self.scale
