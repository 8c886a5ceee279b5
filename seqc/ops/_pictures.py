"""What the functions of images share: one image or several, channels last or first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seqc.errors import ConfigError, ShapeError
from seqc.graph import dims
from seqc.graph.ir import Value, as_value
from seqc.ops.arithmetic import clip, maximum, minimum, round
from seqc.ops.creation import arange
from seqc.ops.elementwise import cast, logical_and, where
from seqc.ops.gather import take
from seqc.ops.rearranging import moveaxis
from seqc.ops.shape import expand_dims, reshape, shape, squeeze, transpose


def is_first(data_format: str | None) -> bool:
    """Tells whether channels come first.

    Raises:
        ConfigError: there is no such order.
    """
    if data_format not in (None, "channels_last", "channels_first"):
        raise ConfigError(f"data_format is 'channels_last' or 'channels_first'; got {data_format!r}.")
    return data_format == "channels_first"


def with_pictures(
    images: Any,
    change: Callable[[Value], Value],
    data_format: str | None,
    axes: int = 2,
    restore: Callable[[Value], Value] | None = None,
) -> Value:
    """Returns what a function of a batch (batch, *space, channels) makes of images as they came.

    Args:
        images: one or several. change: the function; its result has the channels in the same place.
        data_format: "channels_last" or "channels_first". axes: of space.
        restore: puts the result's axes where they belong, by default its last one where channels were.
    """
    x, single = as_batch(images, data_format, axes)
    y = change(x)
    if is_first(data_format):
        y = moveaxis(y, -1, 1) if restore is None else restore(y)
    return squeeze(y, 0) if single else y


def as_batch(images: Any, data_format: str | None, axes: int = 2) -> tuple[Value, bool]:
    """Returns images as (batch, *space, channels), and whether it is one alone.

    Raises:
        ShapeError: these are no images.
    """
    x = as_value(images)
    if x.type.rank not in (axes + 1, axes + 2):
        raise ShapeError(
            f"Invalid images rank: expected rank {axes + 1} (single image) or rank {axes + 2} (batch of images). "
            f"Received input with shape: images.shape={x.shape}"
        )
    single = x.type.rank == axes + 1
    x = expand_dims(x, 0) if single else x
    return moveaxis(x, 1, -1) if is_first(data_format) else x, single


def as_computed(x: Value, compute: Callable[[Value], Value], rounded: bool = True, moves: bool = False) -> Value:
    """Returns what a function of floats makes of numbers, in their dtype: integers rounded, or cut, and limited.

    `moves` says that the function only moves elements: it takes any dtype, and no float has all integers of 32 bits.
    """
    if moves or x.type.is_float:
        return compute(x)
    y = compute(cast(x, "float32"))
    y = round(y) if rounded else y
    if x.dtype == "bool":
        return cast(y, "bool")
    low, high = limits(x.dtype)
    return cast(clip(y, low, high), x.dtype)


def limits(dtype: str) -> tuple[float, float]:
    """Returns the smallest and the largest integer of a dtype, as a float of 32 bits that is none beyond it."""
    bits = int(dtype.lstrip("uint"))
    high = float(2 ** (bits - (not dtype.startswith("u"))) - 1)
    low = 0.0 if dtype.startswith("u") else -high - 1
    # From 25 bits on, the next float up is beyond the largest integer.
    return low, high if bits < 25 else high * (1 - 2.0**-24)


def fill_of(dtype: str, value: float) -> float:
    """Returns what stands where there is no element, as a number of a dtype: of integers the nearest."""
    if dtype == "bool":
        return bool(np.rint(value))
    if not dtype.startswith(("int", "uint")):
        return float(value)
    bounds = np.iinfo(dtype)
    return int(min(max(int(bounds.min), float(np.rint(value))), int(bounds.max)))


def windows_of(
    x: Value, size: Sequence[int], steps: Sequence[int], spacing: Sequence[int], padding: str = "valid"
) -> Value:
    """Returns the windows of images (batch, *space, channels) of any dtype: (batch, *windows, *size, channels).

    A convolution does the same for floats, and at once.
    """
    for i, (wide, step, apart) in enumerate(zip(size, steps, spacing, strict=True)):
        axis = 1 + 2 * i  # each axis before this one has become two
        length, reach = shape(x)[axis], (wide - 1) * apart + 1
        count = (length - reach) // step + 1 if padding == "valid" else (length + step - 1) // step
        starts = expand_dims(arange(count, dtype="int32") * int(step), 1)
        places = starts + np.arange(wide, dtype="int32") * int(apart)
        if padding == "valid":
            x = take(x, places, axis)
            continue
        places = places - maximum(count * step - step + reach - length, 0) // 2
        inside = logical_and(places >= 0, places < length)
        found = take(x, minimum(maximum(places, 0), length - 1), axis)
        shown = reshape(inside, (*(1,) * axis, -1, wide, *(1,) * (found.type.rank - axis - 2)))
        x = where(shown, found, fill_of(x.dtype, 0.0))
    last = 1 + 2 * len(size)
    return transpose(x, (0, *range(1, last, 2), *range(2, last, 2), last))


def known_space(who: str, x: Value) -> tuple[int, int]:
    """Returns height and width of images (batch, height, width, channels).

    Raises:
        ShapeError: they are not known.
    """
    found = x.type.shape[1:3]
    if not dims.is_known(found):
        raise ShapeError(
            f"{who} needs images of a known height and width; got {x.type}. Say them in the model's Input."
        )
    height, width = dims.known(found)
    return height, width


def pair(given: Any, name: str, count: int = 2) -> tuple[Any, ...]:
    """Returns numbers given as one for all or as one each.

    Raises:
        ConfigError: there are more or fewer.
    """
    numbers = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,) * count
    if len(numbers) != count:
        raise ConfigError(f"Invalid `{name}` argument. Expected {count} numbers. Received: {name}={given}")
    return numbers
