"""A layer that covers a part of images in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.argument_kinds import is_number
from seqc.errors import ConfigError
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.layers._images import RandomImageLayer, RangeLike, checked_factor, checked_range, rectangle
from seqc.layers.noise import random_normal


@known("layers")
class RandomErasing(RandomImageLayer):
    """In training, covers a rectangle of some images (Zhong et al., 2017).

    Args:
        factor: how likely that is at most, or at least and at most, from 0 to 1; drawn for each image.
        scale: the square of the sides of the rectangle as parts of those of the image, the least and the largest.
        fill_value: what covers it, a number or one per channel; None for normally distributed numbers times the largest
        value of a pixel.
        value_range: the least and the largest value of a pixel, to which what covers is limited.
        seed: makes this layer's numbers independent of the global seed.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self,
        factor: float | RangeLike = 1.0,
        scale: float | RangeLike = (0.02, 0.33),
        fill_value: float | Sequence[float] | None = None,
        value_range: RangeLike = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.factor, self.scale = checked_factor(factor, "factor", 0, 1), checked_factor(scale, "scale", 0, 1)
        self.fill_value, self.value_range = fill_value, checked_range(value_range)
        several = isinstance(fill_value, list | tuple) and len(fill_value) == 3 and all(map(is_number, fill_value))
        if not (fill_value is None or is_number(fill_value) or several):
            raise ConfigError(
                f"The `fill_value` argument should be a number (or a list of three numbers). Received: {fill_value}"
            )

    def changed(self, images: Value) -> Value:
        sides = []
        for axis, length in enumerate(self.lengths(images), 1):
            side = ops.sqrt(self.drawn(images, *self.scale, 2 * axis)) * length
            sides.append((self.drawn(images, stream=2 * axis + 1) * (length - side), side))
        covered = ops.logical_and(self.chosen(images, self.factor, 0), rectangle(images, *sides))
        if self.fill_value is None:
            cover = random_normal(images, self.seed, self.name, 6) * float(self.value_range[1])
        else:
            cover = ops.cast(np.asarray(self.fill_value, self.compute_dtype), self.compute_dtype)
        return ops.where(covered, ops.clip(cover, *map(float, self.value_range)), images)
