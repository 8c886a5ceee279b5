"""Layers that bring images to a given size."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc import ops
from seqc.argument_kinds import is_number
from seqc.errors import ConfigError
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.layers._images import ImageLayer, RandomImageLayer, checked_choice, checked_size
from seqc.ops.image_frames import borders_of, part_of
from seqc.ops.resize import KERNELS


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
        return self.resized(images, self.interpolation)

    def mask_changed(self, masks: Value) -> Value:
        return self.resized(masks, "nearest")

    def resized(self, images: Value, interpolation: str) -> Value:
        """Returns images of the layer's size."""
        if self.crop_to_aspect_ratio or self.pad_to_aspect_ratio:
            self.space(images)
        return ops.image.resize(
            images,
            (self.height, self.width),
            interpolation,
            self.antialias,
            self.crop_to_aspect_ratio,
            self.pad_to_aspect_ratio,
            fill_value=self.fill_value,
        )

    def boxes_changed(self, boxes: dict[str, Value], images: Value) -> dict[str, Value]:
        (height, width), new = self.space(images), (self.height, self.width)
        if self.crop_to_aspect_ratio:
            return self.boxes_cut(boxes, images, *part_of((height, width), new), new)
        above, before = borders_of((height, width), new) if self.pad_to_aspect_ratio else (0, 0)
        rows, columns = (-above, height + 2 * above), (-before, width + 2 * before)
        return self.boxes_cut(boxes, images, rows, columns, new)


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
            return _fitted(images, (self.height, self.width))
        (top, _), (left, _) = self._part(images)
        return images[:, top : top + self.height, left : left + self.width]

    def mask_changed(self, masks: Value) -> Value:
        return self.changed(masks)

    def boxes_changed(self, boxes: dict[str, Value], images: Value) -> dict[str, Value]:
        return self.boxes_cut(boxes, images, *self._part(images), (self.height, self.width))

    def _part(self, images: Value) -> tuple[tuple[int, int], tuple[int, int]]:
        """Returns where the part of the images starts that is taken and how long it is, of rows and columns."""
        height, width = self.space(images)
        if height < self.height or width < self.width:
            return part_of((height, width), (self.height, self.width))
        return ((height - self.height) // 2, self.height), ((width - self.width) // 2, self.width)


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

    always = True

    def __init__(
        self, height: int, width: int, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.height, self.width = checked_size(height, width)
        self._training = False

    def result(self, images: Value, training: bool) -> Value:
        self._training = training
        return self.changed(ops.cast(images, self.compute_dtype))

    def changed(self, images: Value) -> Value:
        starts = self._starts(images)
        if starts is None:
            return _fitted(images, (self.height, self.width))
        for axis, start, wanted in zip((1, 2), starts, (self.height, self.width), strict=True):
            images = ops.take(images, start + np.arange(wanted, dtype="int32"), axis)
        return images

    def mask_changed(self, masks: Value) -> Value:
        return self.changed(masks)

    def boxes_changed(self, boxes: dict[str, Value], images: Value) -> dict[str, Value]:
        new, starts = (self.height, self.width), self._starts(images)
        if starts is None:
            return self.boxes_cut(boxes, images, *part_of(self.space(images), new), new)
        (top, left), (high, wide) = (ops.cast(start, self.compute_dtype) for start in starts), new
        return self.boxes_cut(boxes, images, (top, high), (left, wide), new)

    def _starts(self, images: Value) -> tuple[Value, ...] | None:
        """Returns the row and the column with which the part begins, None where it is no part."""
        height, width = self.space(images)
        if not self._training or height <= self.height or width <= self.width:
            return None
        free = (height - self.height + 1, width - self.width + 1)
        return tuple(
            ops.cast(self.drawn_once(1, stream=axis) * float(count), "int32") for axis, count in enumerate(free, 1)
        )


def _fitted(images: Value, wanted: tuple[int, int]) -> Value:
    """Returns the largest part in the middle that has the aspect ratio of a size, brought to that size."""
    return ops.image.resize(images, wanted, crop_to_aspect_ratio=True)
