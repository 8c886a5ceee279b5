"""Images of other sizes: resized, cut, with borders, scaled and moved; under the names of `keras.ops.image`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.errors import ConfigError
from seqc.graph.ir import Value, as_value
from seqc.ops._pictures import as_computed, fill_of, known_space, with_pictures
from seqc.ops.arithmetic import absolute, maximum
from seqc.ops.contraction import tensordot
from seqc.ops.creation import arange
from seqc.ops.elementwise import cast, logical_and, where
from seqc.ops.image_sizes import resize_image
from seqc.ops.padding import pad
from seqc.ops.rearranging import moveaxis, slice
from seqc.ops.reduce import sum
from seqc.ops.resize import KERNELS
from seqc.ops.shape import expand_dims, shape
from seqc.ops.transcendental import sin


def resize(
    images: Any,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Value:
    """Returns images of a given size, in their dtype.

    Args:
        images: (height, width, channels), or (batch, height, width, channels).
        size: height and width.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        antialias: whether each element of a smaller image takes from all those that it covers.
        crop_to_aspect_ratio: whether the largest part in the middle with the aspect ratio of the result is taken, in
        place of all. pad_to_aspect_ratio: whether images get borders so that they have that aspect ratio.
        fill_mode: "constant". fill_value: what borders hold. data_format: whether channels come last or first.

    Raises:
        ConfigError: an argument is none of these. ShapeError: a size that matters is not known.
    """
    if len(size) != 2 or not all(n > 0 for n in size):
        raise ConfigError(f"Expected `size` to be a tuple of 2 positive integers. Received: size={size}")
    if interpolation not in ("nearest", *KERNELS):
        raise ConfigError(
            f"Invalid value for argument `interpolation`. Expected of one {('nearest', *KERNELS)}. Received: "
            f"interpolation={interpolation}"
        )
    if fill_mode != "constant":
        raise ConfigError(f"Only `fill_mode='constant'` is supported. Received: fill_mode={fill_mode}")
    if pad_to_aspect_ratio and crop_to_aspect_ratio:
        raise ConfigError("Only one of `pad_to_aspect_ratio` & `crop_to_aspect_ratio` can be `True`.")

    def resized(x: Value) -> Value:
        if crop_to_aspect_ratio:
            (top, high), (left, wide) = part_of(known_space("resize", x), size)
            x = x[:, top : top + high, left : left + wide]
        elif pad_to_aspect_ratio:
            above, before = borders_of(known_space("resize", x), size)
            x = pad(x, ((0, 0), (above, above), (before, before), (0, 0)), constant_values=fill_of(x.dtype, fill_value))
        return resize_image(x, tuple(int(n) for n in size), interpolation, antialias)

    return with_pictures(images, lambda x: as_computed(x, resized, moves=interpolation == "nearest"), data_format)


def part_of(space: Sequence[int], wanted: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns where the largest part in the middle with the aspect ratio of a size starts, by axis, and its length."""
    (height, width), (rows, columns) = space, wanted
    high, wide = (
        max(min(height, width * rows // columns), 1),
        max(min(width, height * columns // rows), 1),
    )
    return ((height - high) // 2, high), ((width - wide) // 2, wide)


def borders_of(space: Sequence[int], wanted: Sequence[int]) -> tuple[int, int]:
    """Returns how many rows above and columns before an image give it, with as many after it, the ratio of a size."""
    (height, width), (rows, columns) = space, wanted
    above = (max(height, width * rows // columns) - height) // 2
    return above, 0 if above else (max(width, height * columns // rows) - width) // 2


def pad_images(
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Value:
    """Returns images with zeros around them.

    Args:
        images: (height, width, channels), or (batch, height, width, channels).
        top_padding, bottom_padding, target_height: rows above and below, and in all; two of the three.
        left_padding, right_padding, target_width: columns before and after, and in all; two of the three.
        data_format: whether channels come last or first.

    Raises:
        ConfigError: not two of them are given, or one is below 0.
    """
    rows = ("top_padding", top_padding), ("bottom_padding", bottom_padding), ("target_height", target_height)
    columns = ("left_padding", left_padding), ("right_padding", right_padding), ("target_width", target_width)
    _check_two(rows)
    _check_two(columns)

    def padded(x: Value) -> Value:
        _, height, width, _ = shape(x)
        added = [_frame(height, *rows, sign=1), _frame(width, *columns, sign=1)]
        return pad(x, ((0, 0), *added, (0, 0)))

    return with_pictures(images, padded, data_format)


def crop_images(
    images: Any,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Value:
    """Returns images without some of their rows and columns.

    Args:
        images: (height, width, channels), or (batch, height, width, channels).
        top_cropping, bottom_cropping, target_height: rows to leave out above and below, and to keep; two of the three.
        left_cropping, right_cropping, target_width: columns before and after, and to keep; two of the three.
        data_format: whether channels come last or first.

    Raises:
        ConfigError: not two of them are given, or one is below 0.
    """
    rows = ("top_cropping", top_cropping), ("bottom_cropping", bottom_cropping), ("target_height", target_height)
    columns = ("left_cropping", left_cropping), ("right_cropping", right_cropping), ("target_width", target_width)
    _check_two(rows)
    _check_two(columns)

    def cropped(x: Value) -> Value:
        batch, height, width, channels = shape(x)
        (top, below), (left, after) = _frame(height, *rows, sign=-1), _frame(width, *columns, sign=-1)
        return slice(x, (0, top, left, 0), (batch, height - top - below, width - left - after, channels))

    return with_pictures(images, cropped, data_format)


_Named = tuple[str, Any]


def _check_two(named: Sequence[_Named]) -> None:
    names = ", ".join(name for name, _ in named)
    if [value for _, value in named].count(None) != 1:
        got = ", ".join(f"{name}={value}" for name, value in named)
        raise ConfigError(f"Must specify exactly two of {names}. Received: {got}")
    for name, value in named:
        _check_positive(name, value)


def _check_positive(name: str, value: Any) -> None:
    if isinstance(value, int | np.integer) and value < 0:
        raise ConfigError(f"{name} must be >= 0. Received: {name}={value}")


def _frame(size: Any, first: _Named, last: _Named, whole: _Named, sign: int) -> tuple[Any, Any]:
    """Returns how many elements come first and last on an axis: more of them (sign 1), or fewer (sign -1)."""
    before, after, wanted = first[1], last[1], whole[1]
    if before is None:
        before = (wanted - size) * sign - after
    if after is None:
        after = (wanted - size) * sign - before
    _check_positive(first[0], before)
    _check_positive(last[0], after)
    if sign < 0 and isinstance(size, int):
        _check_positive(whole[0], size - before - after)
    return before, after


_METHODS = {
    **dict.fromkeys(("linear", "bilinear", "trilinear"), "bilinear"),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), "bicubic"),
    "lanczos3": "lanczos3",
    "lanczos5": "lanczos5",
}


def scale_and_translate(
    images: Any,
    output_shape: Sequence[int],
    scale: Any,
    translation: Any,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> Value:
    """Returns a tensor with some of its axes stretched and moved.

    What was at x along an axis is then at x * scale + translation, counted from the edge of the first element.

    Args:
        images: a tensor. output_shape: of the result, all its axes.
        scale, translation: one number per axis of `spatial_dims`, or tensors; they have a gradient.
        spatial_dims: the axes. method: "linear", "cubic", "lanczos3" or "lanczos5".
        antialias: whether each element of a smaller result takes from all those that it covers.

    Raises:
        ConfigError: there is no such method, or not one number per axis.
    """
    if method not in _METHODS:
        raise ConfigError(f"Invalid value for argument `method`. Expected of one {set(_METHODS)}. Received: {method}")
    x, by, to = as_value(images), cast(scale, "float32"), cast(translation, "float32")
    if any(numbers.type.shape != (len(spatial_dims),) for numbers in (by, to)):
        raise ConfigError(f"scale_and_translate needs one scale and translation for each of {spatial_dims}.")

    def moved(y: Value) -> Value:
        for place, axis in enumerate(spatial_dims):
            along = axis % y.type.rank
            shares = _shares(
                shape(y)[along], int(output_shape[along]), by[place], to[place], _METHODS[method], antialias
            )
            y = moveaxis(tensordot(y, cast(shares, y.dtype), [[along], [0]]), -1, along)
        return y

    return as_computed(x, moved)


def _shares(size: Any, wanted: int, scale: Value, translation: Value, kind: str, antialias: bool) -> Value:
    """Returns how much each element of an axis has of each of `wanted` ones (size, wanted)."""
    step = 1.0 / scale
    at = (arange(wanted, dtype="float32") + 0.5) * step - translation * step - 0.5
    away = absolute(expand_dims(at, 0) - expand_dims(arange(size, dtype="float32"), 1))
    heights = _kernel(away / (maximum(step, 1.0) if antialias else 1.0), kind)
    whole = sum(heights, 0, keepdims=True)
    some = absolute(whole) > 1000 * float(np.finfo(np.float32).eps)
    shares = where(some, heights / where(some, whole, 1.0), 0.0)
    return where(logical_and(at >= -0.5, at <= cast(size, "float32") - 0.5), shares, 0.0)


def _kernel(x: Value, kind: str) -> Value:
    """Returns the weight of an element at a distance; the same as `seqc.ops.resize.KERNELS`, with a gradient."""
    if kind == "bilinear":
        return maximum(1.0 - x, 0.0)
    if kind == "bicubic":
        near = (1.5 * x - 2.5) * x * x + 1.0
        far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
        return where(x < 1.0, near, where(x < 2.0, far, 0.0))
    radius = float(kind[-1])
    safe = where(x > 1e-3, x, 1.0)
    wave = radius * sin(math.pi * safe) * sin(math.pi * safe / radius) / (math.pi**2 * safe * safe)
    return where(x > radius, 0.0, where(x > 1e-3, wave, 1.0))
