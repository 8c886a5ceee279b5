"""Layers that make images sharper or blur them in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.argument_kinds import is_whole
from seqc.errors import ConfigError
from seqc.graph import dims
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.layers._images import RandomImageLayer, RangeLike, checked_factor, checked_range

# What smooths an image for RandomSharpness: mostly the element itself.
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13


@known("layers")
class RandomSharpness(RandomImageLayer):
    """In training, makes each image sharper or smoother by a random factor.

    Args:
        factor: the largest factor, or the least and the largest, from 0 to 1: 0 smooths, 0.5 leaves an image as it is,
        1 makes it as much sharper.
        value_range: the least and the largest value of a pixel, to which the result is limited.
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
        self.factor, self.value_range = checked_factor(factor, "factor", 0, 1), checked_range(value_range)

    def changed(self, images: Value) -> Value:
        (count,) = dims.known(images.type.shape[-1:])
        window = np.repeat(_SMOOTH[:, :, None, None].astype(images.dtype), count, 2)
        smooth = ops.depthwise_conv(images, window, padding="same")
        mixed = images + (1.0 - self.drawn(images, *self.factor) * 2.0) * (smooth - images)
        return ops.clip(mixed, *map(float, self.value_range))


@known("layers")
class RandomGaussianBlur(RandomImageLayer):
    """In training, blurs some images by a bell-shaped window.

    Args:
        factor: how likely that is at most, or at least and at most, from 0 to 1; drawn for each image.
        kernel_size: width and height of the window in elements, two odd numbers or one for both.
        sigma: its largest standard deviation in elements, or the least and the largest, from 0 to 1; drawn for all
        images of a batch, one for the width and one for the height.
        value_range: the least and the largest value of a pixel, to which the result is limited.
        data_format: "channels_last" or "channels_first".
        seed: makes this layer's numbers independent of the global seed.

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self,
        factor: float | RangeLike = 1.0,
        kernel_size: int | Sequence[int] = 3,
        sigma: float | RangeLike = 1.0,
        value_range: RangeLike = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.factor, self.sigma = checked_factor(factor, "factor", 0, 1), checked_factor(sigma, "sigma", 0, 1)
        sizes = tuple(kernel_size) if isinstance(kernel_size, tuple | list) else (kernel_size,) * 2
        if len(sizes) != 2 or not all(is_whole(n) and n > 0 and n % 2 for n in sizes):
            raise ConfigError(f"kernel_size must be an odd number, or two of them. Received: kernel_size={kernel_size}")
        self.kernel_size, self.value_range = sizes, checked_range(value_range)

    def changed(self, images: Value) -> Value:
        sigma = self.drawn_once(2, *self.sigma, 2) + 1e-6
        blurred = ops.image.gaussian_blur(images, self.kernel_size, sigma)
        mixed = ops.where(self.chosen(images, self.factor, 0), blurred, images)
        return ops.clip(mixed, *map(float, self.value_range))
