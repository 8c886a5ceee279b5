"""Colors as other numbers: shades of gray, and hue, saturation and value."""

from __future__ import annotations

from typing import Any

from seqc.errors import DTypeError, ShapeError
from seqc.graph.element_types import float_info
from seqc.graph.ir import Value
from seqc.ops._pictures import as_computed, with_pictures
from seqc.ops.arithmetic import absolute, clip, maximum, minimum, mod
from seqc.ops.elementwise import equal, where
from seqc.ops.slicing import concatenate

# How bright red, green and blue look (ITU-R BT.601).
_GRAY = (0.2989, 0.587, 0.114)


def rgb_to_grayscale(images: Any, data_format: str | None = None) -> Value:
    """Returns images of red, green and blue in shades of gray, with one channel; those that are gray as they are.

    Args:
        images: (height, width, 3), or (batch, height, width, 3). data_format: whether channels come last or first.
    """
    return with_pictures(images, lambda x: as_computed(x, _gray, rounded=False), data_format)


def rgb_to_hsv(images: Any, data_format: str | None = None) -> Value:
    """Returns images of red, green and blue as hue, saturation (both from 0 to 1) and value (Smith, 1978).

    Args:
        images: floats (height, width, 3), or (batch, height, width, 3). data_format: whether channels come last or
        first.
    """
    return with_pictures(images, _to_hsv, data_format)


def hsv_to_rgb(images: Any, data_format: str | None = None) -> Value:
    """Returns images of hue, saturation and value as red, green and blue (Smith, 1978). Arguments: see `rgb_to_hsv`."""
    return with_pictures(images, _from_hsv, data_format)


def channels(images: Value) -> tuple[Value, Value, Value]:
    """Returns the three channels of images, each (..., 1).

    Raises:
        ShapeError: there are more or fewer.
    """
    if images.type.shape[-1] != 3:
        raise ShapeError(f"Colors are three channels, red, green and blue; got images of {images.type}.")
    return images[..., 0:1], images[..., 1:2], images[..., 2:3]


def _gray(images: Value) -> Value:
    if images.type.shape[-1] == 1:
        return images
    red, green, blue = channels(images)
    return red * _GRAY[0] + green * _GRAY[1] + blue * _GRAY[2]


def _to_hsv(images: Value) -> Value:
    _check_float(images)
    # As in Keras, what is next to nothing is nothing.
    images = where(absolute(images) < float(float_info(images.dtype).eps), 0.0, images)
    red, green, blue = channels(images)
    value = maximum(maximum(red, green), blue)
    spread = value - minimum(minimum(red, green), blue)
    colored = spread > 0
    sixth = 1.0 / (6.0 * where(colored, spread, 1.0))
    hue = where(
        equal(red, value),
        sixth * (green - blue),
        where(equal(green, value), sixth * (blue - red) + 2 / 6, sixth * (red - green) + 4 / 6),
    )
    hue = where(colored, where(hue < 0, hue + 1.0, hue), 0.0)
    saturation = where(value > 0, spread / where(value > 0, value, 1.0), 0.0)
    return concatenate([hue, saturation, value], -1)


def _from_hsv(images: Value) -> Value:
    _check_float(images)
    hue, saturation, value = channels(images)
    six = mod(hue, 1.0) * 6.0
    parts = (absolute(six - 3.0) - 1.0, 2.0 - absolute(six - 2.0), 2.0 - absolute(six - 4.0))
    pale = 1.0 - saturation
    return concatenate([(pale + saturation * clip(part, 0.0, 1.0)) * value for part in parts], -1)


def _check_float(images: Value) -> None:
    if not images.type.is_float:
        raise DTypeError(f"Invalid images dtype: expected float dtype. Received: images.dtype={images.dtype}")
