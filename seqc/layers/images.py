"""Layers that bring images to a given size."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc import ops
from seqc.argument_kinds import is_number
from seqc.errors import ConfigError
from seqc.graph.ir import Value, constant
from seqc.layers._images import ImageLayer, RandomImageLayer, checked_choice, checked_size
from seqc.layers.regularization import random_uniform
from seqc.ops.image_sizes import resize_image
from seqc.ops.resize import KERNELS
from seqc.serialization import known


@known("layers")
class Resizing(ImageLayer):
    """Images of a given size, whatever size they had.

    Args:
        height, width: the size. interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        crop_to_aspect_ratio: whether the largest part in the middle with the aspect ratio of the result is taken, in
        place of all. pad_to_aspect_ratio: whether images get borders so that they have that aspect ratio.
        fill_mode: "constant". fill_value: what borders hold.
        antialias: whether each element of a smaller image takes from all those that it covers.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, any height, any width, channels) to (batch, height, width, channels), or the same without the batch.
    Images of integers stay so, rounded.
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.height, self.width = checked_size(height, width)
        self.interpolation = checked_choice(interpolation, "interpolation", ("nearest", *KERNELS))
        self.fill_mode = checked_choice(fill_mode, "fill_mode", ("constant",))
        if not is_number(fill_value):
            raise ConfigError(f"The `fill_value` argument should be a number. Received: fill_value={fill_value}")
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio = bool(crop_to_aspect_ratio), bool(pad_to_aspect_ratio)
        self.fill_value, self.antialias = float(fill_value), bool(antialias)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ConfigError("Only one of `pad_to_aspect_ratio` & `crop_to_aspect_ratio` can be `True`.")

    def result(self, images: Value, training: bool) -> Value:
        y = self.changed(images if images.type.is_float else ops.cast(images, self.compute_dtype))
        if images.type.is_float:
            return y
        if images.dtype == "bool":
            return ops.cast(ops.round(y), "bool")
        limits = np.iinfo(images.dtype)
        return ops.cast(ops.clip(ops.round(y), float(limits.min), float(limits.max)), images.dtype)

    def changed(self, images: Value) -> Value:
        if self.crop_to_aspect_ratio:
            images = _largest_part(images, self.space(images), (self.height, self.width))
        elif self.pad_to_aspect_ratio:
            height, width = self.space(images)
            above = (max(height, width * self.height // self.width) - height) // 2
            before = (max(width, height * self.width // self.height) - width) // 2
            borders = ((0, 0), (above, above), (before, before), (0, 0))
            images = ops.pad(images, borders, constant_values=self.fill_value) if above or before else images
        return resize_image(images, (self.height, self.width), self.interpolation, self.antialias)


@known("layers")
class CenterCrop(ImageLayer):
    """The middle of images; of those that are too small, the largest part of the same aspect ratio, made larger.

    Args:
        height, width: the size of the result. data_format: "channels_last" or "channels_first".

    Shapes: (batch, rows, columns, channels) to (batch, height, width, channels), or the same without the batch.
    """

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.height, self.width = checked_size(height, width)

    def changed(self, images: Value) -> Value:
        height, width = self.space(images)
        if height < self.height or width < self.width:
            return _fitted(images, (height, width), (self.height, self.width))
        top, left = (height - self.height) // 2, (width - self.width) // 2
        return images[:, top : top + self.height, left : left + self.width]


@known("layers")
class RandomCrop(RandomImageLayer):
    """In training, a part of images from anywhere, the same place for a whole batch.

    Otherwise, and where images are not larger than the part, what `CenterCrop` makes of images that are too small: the
    largest part in the middle that has the aspect ratio of the result, brought to its size.

    Args:
        height, width: the size of the part. seed: makes this layer's places independent of the global seed.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, rows, columns, channels) to (batch, height, width, channels), or the same without the batch.
    """

    def __init__(
        self, height: int, width: int, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.height, self.width = checked_size(height, width)

    def result(self, images: Value, training: bool) -> Value:
        images, (height, width) = ops.cast(images, self.compute_dtype), self.space(images)
        if not training or height <= self.height or width <= self.width:
            return _fitted(images, (height, width), (self.height, self.width))
        for axis, size, wanted in ((1, height, self.height), (2, width, self.width)):
            unit = random_uniform(constant(np.zeros((), self.compute_dtype)), self.seed, self.name, axis)
            start = ops.cast(unit * float(size - wanted + 1), "int32")
            images = ops.take(images, start + np.arange(wanted, dtype="int32"), axis)
        return images


def _fitted(images: Value, space: tuple[int, int], wanted: tuple[int, int]) -> Value:
    """Returns the largest part in the middle that has the aspect ratio of a size, brought to that size."""
    return resize_image(_largest_part(images, space, wanted), wanted, "bilinear")


def _largest_part(images: Value, space: tuple[int, int], wanted: tuple[int, int]) -> Value:
    """Returns the largest part in the middle of images that has the aspect ratio of a size."""
    (height, width), (rows, columns) = space, wanted
    high = max(min(height, width * rows // columns), 1)
    wide = max(min(width, height * columns // rows), 1)
    top, left = (height - high) // 2, (width - wide) // 2
    return images if (high, wide) == space else images[:, top : top + high, left : left + wide]
