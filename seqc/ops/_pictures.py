"""What the functions of images share: one image or several, channels last or first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from seqc.errors import ConfigError, ShapeError
from seqc.graph import dims
from seqc.graph.ir import Value, as_value
from seqc.ops.arithmetic import clip, round
from seqc.ops.elementwise import cast
from seqc.ops.rearranging import moveaxis
from seqc.ops.shape import expand_dims, squeeze


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


def as_computed(x: Value, compute: Callable[[Value], Value], rounded: bool = True) -> Value:
    """Returns what a function of floats makes of numbers, in their dtype: integers rounded, or cut, and limited."""
    if x.type.is_float:
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
