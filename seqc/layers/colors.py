"""Layers that change contrast, brightness, saturation and hue of images in training, each image in its own way."""

from __future__ import annotations

from typing import Any

from seqc import ops
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.layers._images import RandomImageLayer, Range, RangeLike, checked_factor, checked_range, in_range
from seqc.ops.colors import channels

# Keras's, which keeps the largest saturation finite.
_LEAST = 1e-7


class _Color(RandomImageLayer):
    """Changes a quality of images; the same changes, in this order, are in RandomColorJitter."""

    value_range: Range

    def contrasted(self, images: Value, factor: Range, stream: int = 0) -> Value:
        mean = ops.mean(images, (1, 2), keepdims=True)
        drawn = self.drawn(images, 1 - factor[0], 1 + factor[1], stream)
        return ops.clip((images - mean) * drawn + mean, *map(float, self.value_range))

    def brightened(self, images: Value, factor: Range, stream: int = 0) -> Value:
        low, high = map(float, self.value_range)
        return ops.clip(images + self.drawn(images, *factor, stream) * (high - low), low, high)

    def saturated(self, images: Value, factor: Range, stream: int = 0) -> Value:
        hue, saturation, value = channels(ops.image.rgb_to_hsv(images))
        drawn = self.drawn(images, *factor, stream)
        saturation = ops.clip(saturation * (drawn / (1.0 - drawn + _LEAST)), *map(float, self.value_range))
        return ops.image.hsv_to_rgb(ops.concatenate([hue, saturation, value], -1))

    def turned(self, images: Value, factor: Range, stream: int = 0) -> Value:
        hue, saturation, value = channels(ops.image.rgb_to_hsv(in_range(images, self.value_range, (0, 1))))
        way = ops.where(self.drawn(images, stream=stream + 1) > 0.5, -0.5, 0.5)
        hue = hue + way * self.drawn(images, *factor, stream)
        hue = ops.where(hue > 1.0, hue - 1.0, hue)
        hue = ops.where(hue < 0.0, hue + 1.0, hue)
        colors = ops.clip(ops.image.hsv_to_rgb(ops.concatenate([hue, saturation, value], -1)), 0.0, 1.0)
        return in_range(colors, (0, 1), self.value_range)


@known("layers")
class RandomContrast(_Color):
    """In training, multiplies how far each image is from its mean, channel by channel.

    Args:
        factor: the factor is at most so much above 1; or by how much it is at most below and above, from 0 to 1.
        value_range: the least and the largest value of a pixel, to which the result is limited.
        seed: makes this layer's numbers independent of the global seed.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self, factor: float | RangeLike, value_range: RangeLike = (0, 255), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, **kwargs)
        self.factor, self.value_range = checked_factor(factor, "factor", 0, 1), checked_range(value_range)

    def changed(self, images: Value) -> Value:
        return self.contrasted(images, self.factor)


@known("layers")
class RandomBrightness(_Color):
    """In training, adds one number to all pixels of each image.

    Args:
        factor: the largest number as a part of the range of values, or the least and the largest; from -1 to 1.
        value_range, seed, data_format: see `RandomContrast`.

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self, factor: float | RangeLike, value_range: RangeLike = (0, 255), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, **kwargs)
        self.factor, self.value_range = checked_factor(factor, "factor", -1, 1), checked_range(value_range)

    def changed(self, images: Value) -> Value:
        return self.brightened(images, self.factor)


@known("layers")
class RandomSaturation(_Color):
    """In training, multiplies the saturation of each image by f / (1 - f).

    Args:
        factor: the largest f, or the least and the largest, from 0 (gray) by 0.5 (as it is) to 1 (all that there is).
        value_range, seed, data_format: see `RandomContrast`.

    Shapes: (batch, height, width, 3), or one image (height, width, 3); the result like the input.
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
        return self.saturated(images, self.factor)


@known("layers")
class RandomHue(_Color):
    """In training, turns the hue of each image, one way or the other.

    Args:
        factor: how far at most, or at least and at most: from 0 to 1, which is half a turn.
        value_range, seed, data_format: see `RandomContrast`.

    Shapes: (batch, height, width, 3), or one image (height, width, 3); the result like the input.
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
        self.factor, self.value_range = checked_factor(factor, "factor", 0, 1), checked_range(value_range)

    def changed(self, images: Value) -> Value:
        return self.turned(images, self.factor)


@known("layers")
class RandomColorJitter(_Color):
    """In training, changes brightness, contrast, saturation and hue of each image, one after another.

    Args:
        value_range, seed, data_format: see `RandomContrast`.
        brightness_factor, contrast_factor, saturation_factor, hue_factor: as `RandomBrightness`, `RandomContrast`,
        `RandomSaturation` and `RandomHue` take them; None to leave it.

    Shapes: (batch, height, width, 3), or one image (height, width, 3); the result like the input.
    """

    def __init__(
        self,
        value_range: RangeLike = (0, 255),
        brightness_factor: float | RangeLike | None = None,
        contrast_factor: float | RangeLike | None = None,
        saturation_factor: float | RangeLike | None = None,
        hue_factor: float | RangeLike | None = None,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.value_range = checked_range(value_range)
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor
        given = (
            (self.brightened, brightness_factor, "brightness_factor", -1),
            (self.contrasted, contrast_factor, "contrast_factor", 0),
            (self.saturated, saturation_factor, "saturation_factor", -1),
            (self.turned, hue_factor, "hue_factor", 0),
        )
        self._changes = [
            (change, checked_factor(factor, name, low, 1)) for change, factor, name, low in given if factor is not None
        ]

    def changed(self, images: Value) -> Value:
        for stream, (change, factor) in enumerate(self._changes):
            images = change(images, factor, stream)
        return images
