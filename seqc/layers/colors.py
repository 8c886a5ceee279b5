"""Layers that change the colors of images, most in training only, and each image in its own way."""

from __future__ import annotations

from typing import Any

from seqc import ops
from seqc.graph.ir import Value
from seqc.layers._images import RandomImageLayer, Range, checked_factor, checked_range
from seqc.serialization import known


@known("layers")
class RandomContrast(RandomImageLayer):
    """In training, multiplies how far each image is from its mean, channel by channel.

    Args:
        factor: the factor is at most so much above 1; or by how much it is at most below and above, from 0 to 1.
        value_range: the least and the largest value of a pixel, to which the result is limited.
        seed: makes this layer's numbers independent of the global seed.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self, factor: float | Range, value_range: Range = (0, 255), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, **kwargs)
        self.factor, self.value_range = checked_factor(factor, "factor", 0, 1), checked_range(value_range)

    def changed(self, images: Value) -> Value:
        mean = ops.mean(images, (1, 2), keepdims=True)
        factor = self.drawn(images, 1 - self.factor[0], 1 + self.factor[1])
        return ops.clip((images - mean) * factor + mean, *map(float, self.value_range))


@known("layers")
class RandomBrightness(RandomImageLayer):
    """In training, adds one number to all pixels of each image.

    Args:
        factor: the largest number as a part of the range of values, or the least and the largest; from -1 to 1.
        value_range: the least and the largest value of a pixel, to which the result is limited.
        seed: makes this layer's numbers independent of the global seed.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self, factor: float | Range, value_range: Range = (0, 255), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, **kwargs)
        self.factor, self.value_range = checked_factor(factor, "factor", -1, 1), checked_range(value_range)

    def changed(self, images: Value) -> Value:
        low, high = map(float, self.value_range)
        return ops.clip(images + self.drawn(images, *self.factor) * (high - low), low, high)
