"""Layers that map the tones of images: to gray, to their opposites, to few, or to all that there are."""

from __future__ import annotations

from typing import Any

from seqc import ops
from seqc.argument_kinds import is_number
from seqc.errors import ConfigError
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.layers._images import (
    BYTES,
    ImageLayer,
    RandomImageLayer,
    RangeLike,
    checked_factor,
    checked_range,
    in_range,
)


@known("layers")
class RandomGrayscale(RandomImageLayer):
    """In training, makes some images gray, with as many channels as before.

    Args:
        factor: the part of images, from 0 to 1. data_format: "channels_last" or "channels_first".
        seed: makes this layer's choices independent of the global seed.

    Shapes: (batch, height, width, 3), or one image (height, width, 3), also with 1 channel; the result like the input.
    """

    def __init__(
        self, factor: float = 0.5, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        if not is_number(factor) or not 0 <= factor <= 1:
            raise ConfigError(f"`factor` should be between 0 and 1. Received: factor={factor}")
        self.factor = factor

    def changed(self, images: Value) -> Value:
        return ops.where(self.drawn(images) < float(self.factor), ops.image.rgb_to_grayscale(images), images)


@known("layers")
class RandomColorDegeneration(RandomImageLayer):
    """In training, mixes each image with its shades of gray.

    Args:
        factor: the largest part of gray, or the least and the largest, from 0 (as it is) to 1 (gray).
        value_range: the least and the largest value of a pixel, to which the result is limited.
        data_format: "channels_last" or "channels_first".
        seed: makes this layer's numbers independent of the global seed.

    Shapes: (batch, height, width, 3), or one image (height, width, 3), also with 1 channel; the result like the input.
    """

    def __init__(
        self,
        factor: float | RangeLike,
        value_range: RangeLike = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.factor, self.value_range = checked_factor(factor, "factor", -1, 1), checked_range(value_range)

    def changed(self, images: Value) -> Value:
        mixed = images + self.drawn(images, *self.factor) * (ops.image.rgb_to_grayscale(images) - images)
        return ops.clip(mixed, *map(float, self.value_range))


@known("layers")
class RandomInvert(RandomImageLayer):
    """In training, turns some images into their negatives.

    Args:
        factor: how likely that is at most, or at least and at most, from 0 to 1; drawn for each image.
        value_range: the least and the largest value of a pixel; a negative is the largest minus the image.
        seed: makes this layer's choices independent of the global seed.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self,
        factor: float | RangeLike = 1.0,
        value_range: RangeLike = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.factor, self.value_range = checked_factor(factor, "factor", 0, 1), checked_range(value_range)

    def changed(self, images: Value) -> Value:
        return ops.where(self.chosen(images, self.factor, 0), float(self.value_range[1]) - images, images)


@known("layers")
class Solarization(RandomImageLayer):
    """In training, makes each image brighter by a number, and what is then above a threshold its negative.

    Args:
        addition_factor: the largest number in units of the range of values; or the least, in units of a 255th of that
        range, and the largest; from 0 to 1. threshold_factor: the same of the threshold.
        value_range: the least and the largest value of a pixel.
        seed: makes this layer's numbers independent of the global seed.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self,
        addition_factor: float | RangeLike = 0.0,
        threshold_factor: float | RangeLike = 0.0,
        value_range: RangeLike = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.addition_factor = checked_factor(addition_factor, "addition_factor", 0, 1, each=True)
        self.threshold_factor = checked_factor(threshold_factor, "threshold_factor", 0, 1, each=True)
        self.value_range = checked_range(value_range)

    def changed(self, images: Value) -> Value:
        # As in Keras, only the upper ends of these ranges are in units of the range of values.
        added, threshold = (
            self.drawn(images, low, high * 255, stream)
            for stream, (low, high) in enumerate((self.addition_factor, self.threshold_factor))
        )
        brighter = ops.clip(in_range(images, self.value_range, BYTES) + added, *BYTES)
        return in_range(ops.where(brighter < threshold, brighter, 255.0 - brighter), BYTES, self.value_range)


@known("layers")
class RandomPosterization(RandomImageLayer):
    """In training, leaves only the first bits of each value of a pixel, as many for all pixels of an image.

    Args:
        factor: a number below which the bits are drawn from 1 on, or the least number of bits and one below which they
        are; two equal ones are the number of bits. From 1 to 8.
        value_range: the least and the largest value of a pixel, which are those with no and with all eight bits.
        data_format: "channels_last" or "channels_first".
        seed: makes this layer's numbers independent of the global seed.

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self,
        factor: float | RangeLike,
        value_range: RangeLike = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.factor, self.value_range = checked_factor(factor, "factor", 1, 8), checked_range(value_range)

    def changed(self, images: Value) -> Value:
        step = ops.power(2.0, 8.0 - ops.floor(self.drawn(images, *self.factor)))
        return in_range(ops.floor(in_range(images, self.value_range, BYTES) / step) * step, BYTES, self.value_range)


@known("layers")
class AutoContrast(ImageLayer):
    """Stretches each channel of each image over the whole range of values; in training and otherwise.

    Args:
        value_range: the least and the largest value of a pixel. data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input, and a
    channel with one value only as it was.
    """

    def __init__(self, value_range: RangeLike = (0, 255), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value_range = checked_range(value_range)

    def changed(self, images: Value) -> Value:
        tones = in_range(images, self.value_range, BYTES)
        low, high = ops.min(tones, (1, 2), keepdims=True), ops.max(tones, (1, 2), keepdims=True)
        flat = ops.equal(low, high)
        scale = 255.0 / ops.where(flat, 1.0, high - low)
        return ops.where(flat, images, in_range(ops.clip(tones * scale - low * scale, *BYTES), BYTES, self.value_range))
