"""Images seen through windows: blurred, their edges, their patches, and how alike two are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.errors import ConfigError
from seqc.graph import dims
from seqc.graph.ir import Value, constant
from seqc.ops._pictures import as_batch, as_computed, pair, windows_of, with_pictures
from seqc.ops.creation import arange
from seqc.ops.elementwise import cast
from seqc.ops.images import conv, depthwise_conv
from seqc.ops.rearranging import moveaxis
from seqc.ops.reduce import mean, sum
from seqc.ops.shape import reshape, shape
from seqc.ops.slicing import stack
from seqc.ops.transcendental import exp

# The derivative along an axis, smoothed along the other (Sobel and Feldman, 1968).
_SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)


def gaussian_blur(
    images: Any,
    kernel_size: Sequence[int] = (3, 3),
    sigma: Any = (1.0, 1.0),
    data_format: str | None = None,
) -> Value:
    """Returns images blurred by a bell-shaped window, with zeros around them.

    Args:
        images: (height, width, channels), or (batch, height, width, channels).
        kernel_size: of the window, its width and its height, in elements.
        sigma: standard deviations along the width and the height, in elements; numbers or a tensor (2,).
        data_format: whether channels come last or first.
    """
    sizes, given = pair(kernel_size, "kernel_size"), sigma if isinstance(sigma, Value) else pair(sigma, "sigma")
    bells = [bell(int(sizes[i]), given[i]) for i in (0, 1)]
    return with_pictures(images, lambda x: as_computed(x, lambda y: blurred(y, bells[0], bells[1])), data_format)


def bell(size: int, sigma: Any) -> Value:
    """Returns a bell-shaped window (size,) that adds up to one, with a standard deviation in elements."""
    heights = exp(-0.5 * ((arange(size, dtype="float32") - (size - 1) / 2) / sigma) ** 2)
    return heights / sum(heights)


def blurred(images: Value, across: Value, down: Value, padding: str = "same") -> Value:
    """Returns images (batch, height, width, channels) blurred by one window along their width, one along the height."""
    (count,) = dims.known(images.type.shape[-1:])
    window = cast(reshape(down, (-1, 1, 1, 1)) * reshape(across, (1, -1, 1, 1)), images.dtype)
    return depthwise_conv(images, window * np.ones((1, 1, count, 1), images.dtype), padding=padding)


def sobel_edges(images: Any, data_format: str | None = None) -> Value:
    """Returns how images change along their height and their width, by Sobel's windows, with zeros around them.

    Args:
        images: (height, width, channels), or (batch, height, width, channels). data_format: whether channels come last
        or first.

    Returns: the shape of the images and a last axis of two: along the height, along the width.
    """

    def edges(x: Value) -> Value:
        (count,) = dims.known(x.type.shape[-1:])
        windows = [np.repeat(w[:, :, None, None].astype(x.dtype), count, 2) for w in (_SOBEL.T, _SOBEL)]
        return stack([depthwise_conv(x, w, padding="same") for w in windows], -1)

    return with_pictures(images, lambda x: as_computed(x, edges), data_format, restore=lambda y: moveaxis(y, 3, 1))


def extract_patches(
    images: Any,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Value:
    """Returns the patches of images, each as one long channel axis.

    Args:
        images: (height, width, channels) or (batch, height, width, channels); or volumes with a depth before that.
        size: of a patch, one number or one per axis; three of them for volumes.
        strides: from one patch to the next, by default its size. dilation_rate: between the elements of a patch.
        padding: "valid" or "same". data_format: whether channels come last or first.

    Returns: (batch, rows, columns, height of a patch * its width * channels).
    """
    axes = 3 if isinstance(size, Sequence) and len(size) == 3 else 2
    return _patches(images, pair(size, "size", axes), strides, dilation_rate, padding, data_format)


def extract_patches_3d(
    volumes: Any,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Value:
    """Returns the patches of volumes (depth, height, width, channels), or batches of them; see `extract_patches`."""
    return _patches(volumes, pair(size, "size", 3), strides, dilation_rate, padding, data_format)


def _patches(
    images: Any, size: tuple[int, ...], strides: Any, dilation_rate: Any, padding: str, data_format: str | None
) -> Value:
    if not all(isinstance(n, int | np.integer) and n > 0 for n in size):
        raise ConfigError(f"Invalid `size` argument. Expected positive integers. Received: size={size}")
    steps = pair(strides, "strides", len(size)) if strides else size

    def cut(x: Value) -> Value:
        (count,) = dims.known(x.type.shape[-1:])
        length = int(np.prod(size)) * count
        if not x.type.is_float:
            windows = windows_of(x, size, steps, pair(dilation_rate, "dilation_rate", len(size)), padding)
            return reshape(windows, (*shape(windows)[: len(size) + 1], length))
        kernel = np.eye(length, dtype=x.dtype).reshape(*size, count, length)
        return conv(x, constant(kernel), steps, padding, dilation_rate=dilation_rate)

    return with_pictures(images, lambda x: as_computed(x, cut, moves=True), data_format, axes=len(size))


def ssim(
    image1: Any,
    image2: Any,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Value:
    """Returns how alike images are in their structure, one number for each (Wang et al., 2004).

    Args:
        image1, image2: (height, width, channels), or (batch, height, width, channels).
        max_val: the range of their values. filter_size, filter_sigma: of the bell-shaped window, in elements.
        k1, k2: what keeps the terms of brightness and contrast finite.
        data_format: whether channels come last or first.
    """
    (a, single), (b, _) = (as_batch(x, data_format) for x in (image1, image2))
    dtype = a.dtype
    a, b = (x if x.type.is_float else cast(x, "float32") for x in (a, b))
    window = bell(filter_size, filter_sigma)
    c1, c2 = float((k1 * max_val) ** 2), float((k2 * max_val) ** 2)

    def smooth(x: Value) -> Value:
        return blurred(x, window, window, "valid")

    mean_a, mean_b = smooth(a), smooth(b)
    squares, both = mean_a * mean_a + mean_b * mean_b, mean_a * mean_b
    spread, common = smooth(a * a) + smooth(b * b) - squares, smooth(a * b) - both
    alike = (2.0 * both + c1) / (squares + c1) * (2.0 * common + c2) / (spread + c2)
    y = mean(alike, (1, 2, 3))
    return cast(reshape(y, ()) if single else y, dtype)
