"""Colors as other numbers: hue, saturation and value, shades of gray, and other ranges."""

from __future__ import annotations

from seqc import ops
from seqc.errors import ShapeError
from seqc.graph.ir import Value

Range = tuple[float, float]
BYTES = (0.0, 255.0)
# How bright red, green and blue look (ITU-R BT.601).
_GRAY = (0.2989, 0.587, 0.114)


def in_range(images: Value, old: Range, new: Range) -> Value:
    """Returns values of the range `old` in the range `new`."""
    if old == new:
        return images
    return (images - float(old[0])) / float(old[1] - old[0]) * float(new[1] - new[0]) + float(new[0])


def gray(images: Value) -> Value:
    """Returns images (..., 3) or (..., 1) in shades of gray (..., 1)."""
    if images.type.shape[-1] == 1:
        return images
    red, green, blue = channels(images)
    return red * _GRAY[0] + green * _GRAY[1] + blue * _GRAY[2]


def to_hsv(images: Value) -> Value:
    """Returns images of red, green and blue as hue, saturation (both from 0 to 1) and value (Smith, 1978)."""
    red, green, blue = channels(images)
    value = ops.maximum(ops.maximum(red, green), blue)
    spread = value - ops.minimum(ops.minimum(red, green), blue)
    colored = spread > 0
    sixth = 1.0 / (6.0 * ops.where(colored, spread, 1.0))
    hue = ops.where(
        ops.equal(red, value),
        sixth * (green - blue),
        ops.where(ops.equal(green, value), sixth * (blue - red) + 2 / 6, sixth * (red - green) + 4 / 6),
    )
    hue = ops.where(colored, ops.where(hue < 0, hue + 1.0, hue), 0.0)
    saturation = ops.where(value > 0, spread / ops.where(value > 0, value, 1.0), 0.0)
    return ops.concatenate([hue, saturation, value], -1)


def from_hsv(images: Value) -> Value:
    """Returns images of hue, saturation and value as red, green and blue (Smith, 1978)."""
    hue, saturation, value = channels(images)
    six = hue * 6.0
    parts = (ops.absolute(six - 3.0) - 1.0, 2.0 - ops.absolute(six - 2.0), 2.0 - ops.absolute(six - 4.0))
    pale = 1.0 - saturation
    return ops.concatenate([(pale + saturation * ops.clip(part, 0.0, 1.0)) * value for part in parts], -1)


def channels(images: Value) -> tuple[Value, Value, Value]:
    """Returns the three channels of images, each (..., 1).

    Raises:
        ShapeError: there are more or fewer.
    """
    if images.type.shape[-1] != 3:
        raise ShapeError(f"Colors are three channels, red, green and blue; got images of {images.type}.")
    return images[..., 0:1], images[..., 1:2], images[..., 2:3]
