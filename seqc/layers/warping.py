"""Layers that shear, bend and distort images in training, each image in its own way."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc import ops
from seqc.argument_kinds import is_number
from seqc.errors import ConfigError
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.layers._images import RandomImageLayer, Range, RangeLike, checked_choice, checked_factor, checked_range
from seqc.layers.augmentation import FILL_MODES_OF_LAYERS, checked_fill
from seqc.layers.noise import normal_of
from seqc.ops import sampling
from seqc.ops.image_warps import displaced, homography
from seqc.ops.sampling import ORDERS, project
from seqc.utils.bounding_boxes import around


@known("layers")
class RandomShear(RandomImageLayer):
    """In training, moves the rows of each image sideways the more the lower they are, and its columns alike.

    Args:
        x_factor, y_factor: by how much of a row or column they move from one to the next at most, or at least and at
        most; from 0 to 1. Every second image goes the other way.
        interpolation: "bilinear" or "nearest".
        fill_mode: what is beyond an image: "reflect" (the image mirrored at its edge), "wrap" (the image again),
        "nearest" (its border) or "constant". fill_value: the constant.
        data_format: "channels_last" or "channels_first".
        seed: makes this layer's numbers independent of the global seed.

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self,
        x_factor: float | RangeLike = 0.0,
        y_factor: float | RangeLike = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.x_factor = _checked_shear(x_factor, "x_factor")
        self.y_factor = _checked_shear(y_factor, "y_factor")
        self.fill_mode = checked_choice(fill_mode, "fill_mode", FILL_MODES_OF_LAYERS)
        self.interpolation = checked_choice(interpolation, "interpolation", tuple(ORDERS))
        self.fill_value = checked_fill(fill_value)

    def changed(self, images: Value) -> Value:
        return self._seen(images, self.interpolation)

    def mask_changed(self, masks: Value) -> Value:
        return self._seen(masks, "nearest")

    def boxes_changed(self, boxes: dict[str, Value], images: Value) -> dict[str, Value]:
        across, down = self._shares(images)
        whole = 1.0 - across * down
        move = lambda x, y: ((x - across * y) / whole, (y - down * x) / whole)  # noqa: E731
        return self.boxes_moved(boxes, images, lambda at: around(at, move))

    def _shares(self, images: Value) -> tuple[Value, Value]:
        """Returns by how much rows and columns move, (batch, 1, 1) each."""
        way = ops.where(self.drawn(images, stream=0) > 0.5, -1.0, 1.0)
        down, across = self.drawn(images, *self.y_factor, 1), self.drawn(images, *self.x_factor, 2)
        return ops.squeeze(across * way, -1), ops.squeeze(down * way, -1)

    def _seen(self, images: Value, interpolation: str) -> Value:
        across, down = self._shares(images)
        numbers = (1.0, across, 0.0, down, 1.0, 0.0)
        return project(images, numbers, interpolation, self.fill_mode, self.fill_value)


def _checked_shear(given: Any, name: str) -> Range:
    """Returns the range that a factor stands for: around zero, or from one number to another."""
    if isinstance(given, tuple | list) and len(given) == 2 and is_number(given[1]) and given[0] == -given[1]:
        given = given[1]  # as it is written to files
    low, high = checked_factor(given, name, 0, 1, each=True)
    return (low, high) if isinstance(given, tuple | list) else (-high, high)


@known("layers")
class RandomPerspective(RandomImageLayer):
    """In training, shows some images from elsewhere: their corners come to lie somewhere else.

    Args:
        factor: how likely that is at most, or at least and at most, from 0 to 1; drawn for each image.
        scale: by how much of their place corners move, at most half of it either way; from 0 to 1.
        interpolation: "bilinear" or "nearest". fill_value: what is beyond an image.
        seed: makes this layer's numbers independent of the global seed.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self,
        factor: float | RangeLike = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.factor, self.scale = checked_factor(factor, "factor", 0, 1), scale
        if not is_number(scale) or not 0 <= scale <= 1:
            raise ConfigError(f"The `scale` argument should be a number in the range [0,1]. Received: scale={scale}")
        self.interpolation = checked_choice(interpolation, "interpolation", tuple(ORDERS))
        self.fill_value = checked_fill(fill_value)

    def changed(self, images: Value) -> Value:
        return self._seen(images, self.interpolation)

    def mask_changed(self, masks: Value) -> Value:
        return self._seen(masks, "nearest")

    def boxes_changed(self, boxes: dict[str, Value], images: Value) -> dict[str, Value]:
        start, end = self._corners(images)
        a, b, c, d, e, f, g, h = homography(start, end)
        chosen = ops.squeeze(self.chosen(images, self.factor, 0), -1)

        def move(x: Value, y: Value) -> tuple[Value, Value]:
            k = g * x + h * y + 1.0
            return (a * x + b * y + c) / k, (d * x + e * y + f) / k

        return self.boxes_moved(boxes, images, lambda at: ops.where(chosen, around(at, move), at))

    def _corners(self, images: Value) -> tuple[Value, Value]:
        """Returns where the corners of images are, and where they come to lie (batch, 4, 2)."""
        height, width = self.lengths(images)
        last = ops.cast(ops.stack([width - 1.0, height - 1.0]), self.compute_dtype)
        start = last * np.array([[[0, 0], [1, 0], [0, 1], [1, 1]]], self.compute_dtype)
        each = ops.broadcast_to(images[:, 0, 0, :1] * 0.0, (None, 8))
        moves = ops.reshape(self.unit(each, -0.5 * self.scale, 0.5 * self.scale, 2), (-1, 4, 2))
        return start + ops.zeros_like(moves), start + start * moves

    def _seen(self, images: Value, interpolation: str) -> Value:
        start, end = self._corners(images)
        seen = project(images, homography(end, start), interpolation, "constant", self.fill_value)
        return ops.where(self.chosen(images, self.factor, 0), seen, images)


@known("layers")
class RandomElasticTransform(RandomImageLayer):
    """In training, moves the elements of some images at random, neighbours nearly alike (Simard et al., 2003).

    Args:
        factor: how likely that is at most, or at least and at most, from 0 to 1; drawn for each image.
        scale: how strongly at most, or at least and at most, from 0 to 1; drawn for all images of a batch.
        interpolation: "bilinear" or "nearest".
        fill_mode: what is beyond an image: "reflect" (the image mirrored at its edge), "mirror" (at the middle of its
        last element), "wrap" (the image again), "nearest" (its border) or "constant". fill_value: the constant.
        value_range: the least and the largest value of a pixel, to which the result is limited.
        seed: makes this layer's numbers independent of the global seed.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self,
        factor: float | RangeLike = 1.0,
        scale: float | RangeLike = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: RangeLike = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.factor, self.scale = checked_factor(factor, "factor", 0, 1), checked_factor(scale, "scale", 0, 1)
        self.interpolation = checked_choice(interpolation, "interpolation", tuple(ORDERS))
        self.fill_mode = checked_choice(fill_mode, "fill_mode", sampling.FILL_MODES)
        self.fill_value, self.value_range = checked_fill(fill_value), checked_range(value_range)

    def changed(self, images: Value) -> Value:
        return ops.clip(self._seen(images, self.interpolation), *map(float, self.value_range))

    def mask_changed(self, masks: Value) -> Value:
        return self._seen(masks, "nearest")

    def boxes_changed(self, boxes: dict[str, Value], images: Value) -> dict[str, Value]:
        raise ConfigError(
            f"{type(self).__name__} moves each element in its own way, so that boxes around something do not follow. "
            "Leave 'bounding_boxes' out."
        )

    def _seen(self, images: Value, interpolation: str) -> Value:
        if not self.scale[1] or not self.factor[1]:
            return images
        height, width = self.space(images)
        strength = self.drawn_once(1, *self.scale, 2)
        least = 0.05 * min(height, width)
        plane = images[..., :1] * 0.0
        ways = [normal_of(self.unit(plane, 0, 1, stream), self.unit(plane, 0, 1, stream + 1)) for stream in (3, 5)]
        moved = displaced(
            images,
            ways,
            strength * (0.1 * max(height, width)),
            strength * least,
            int(6 * least * self.scale[1]) | 1,
            interpolation,
            self.fill_mode,
            self.fill_value,
        )
        return ops.where(self.chosen(images, self.factor, 0), moved, images)
