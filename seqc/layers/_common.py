"""Small things that layers share: names, shapes, dtypes, and where a layer was written."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqc.errors import ArgumentTypeError, ConfigError
from seqc.graph import dims
from seqc.graph.ir import Shape

KerasShape = tuple[int | None, ...]
_PACKAGE = str(Path(__file__).resolve().parent.parent)


def checked_shape(shape: Any) -> KerasShape:
    """Returns a shape as a tuple of sizes and None.

    Raises:
        ConfigError: it holds anything else.
    """
    if isinstance(shape, str) or not isinstance(shape, Iterable):
        raise ConfigError(f"Cannot convert '{shape}' to a shape: it takes a tuple such as (28, 28, 1).")
    sizes = tuple(shape)
    for size in sizes:
        if size is not None and not hasattr(size, "__index__"):
            raise ConfigError(
                f"Cannot convert '{sizes}' to a shape. Found invalid dimension '{size}' of type '{type(size)}'."
            )
        if size is not None and size < 0:
            raise ConfigError(f"Cannot convert '{sizes}' to a shape. Negative dimensions are not allowed.")
    return tuple(None if size is None else int(size) for size in sizes)


def symbolic_shape(shape: KerasShape, over_time: bool = False) -> Shape:
    """Returns a Keras shape with names for the unknown sizes: batch first, then time, height, width by rank.

    Args:
        shape: with the batch first.
        over_time: whether the second axis is time, whatever comes after it.
    """
    if over_time and len(shape) > 3:
        batch, steps, *inner = shape
        named = symbolic_shape((batch, *inner))
        own = (dims.symbol("step") if d == dims.symbol("time") else d for d in named[1:])
        return (named[0], dims.symbol("time") if steps is None else steps, *own)
    names = {
        2: ["batch", "features"],
        3: ["batch", "time", "features"],
        4: ["batch", "height", "width", "channels"],
        5: ["batch", "depth", "height", "width", "channels"],
    }.get(len(shape), ["batch", *(f"dim_{i}" for i in range(1, len(shape)))])
    return tuple(dims.symbol(n) if d is None else d for n, d in zip(names, shape, strict=False))


def constructed_at() -> str:
    """Returns 'file:line' of the user's line that made the layer."""
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith(_PACKAGE) and not path.startswith("<"):
            shown = Path(path)
            try:
                shown = shown.relative_to(Path.cwd())
            except (ValueError, OSError):  # elsewhere, or the working folder is gone
                shown = Path(shown.name)
            return f"{shown}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return ""


def as_tuple(value: Any, length: int, name: str, smallest: int = 1) -> tuple[int, ...]:
    """Returns an argument given as one number or one per axis as a tuple of ints.

    Raises:
        ConfigError: it is neither, or a number is below `smallest`.
    """
    given = (value,) * length if isinstance(value, int | np.integer) else value
    wanted = f"The `{name}` argument must be a tuple of {length} integers. Received {name}={value}"
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigError(wanted)
    numbers = tuple(given)
    if len(numbers) != length or not all(isinstance(n, int | np.integer) for n in numbers):
        raise ConfigError(wanted)
    wrong = {int(n) for n in numbers if n < smallest}
    if wrong:
        bound = "`value > 0`" if smallest == 1 else f"`value >= {smallest}`"
        raise ConfigError(f"{wanted}, including values {wrong} that do not satisfy {bound}")
    return tuple(int(n) for n in numbers)


def as_axes(value: Any, name: str, who: str) -> tuple[int, ...]:
    """Returns an argument given as one number or as several as a tuple of ints.

    Raises:
        ArgumentTypeError: it is neither.
    """
    given = (value,) if hasattr(value, "__index__") else value
    if not isinstance(given, list | tuple) or not all(hasattr(n, "__index__") for n in given):
        raise ArgumentTypeError(f"{who} needs an integer or a list of integers as `{name}`. Received: {name}={value!r}")
    return tuple(int(n) for n in given)


def data_format_name(value: str | None) -> str:
    """Returns "channels_last" (also for None) or "channels_first".

    Raises:
        ConfigError: it is neither.
    """
    name = "channels_last" if value is None else str(value).lower()
    if name not in ("channels_last", "channels_first"):
        raise ConfigError(
            "The `data_format` argument must be one of {'channels_first', 'channels_last'}. "
            f"Received: data_format={value}"
        )
    return name


def last_from_first(rank: int) -> tuple[int, ...]:
    """Returns the axis order that takes channels-first data to channels-last."""
    return (0, *range(2, rank), 1)


def first_from_last(rank: int) -> tuple[int, ...]:
    """Returns the axis order that takes channels-last data to channels-first."""
    return (0, rank - 1, *range(1, rank - 1))


def image_hint(shape: Sequence[Any], axes: int = 2) -> str:
    """Returns the advice how data without all the axes of an image become one; empty where nothing sensible fits."""
    inner = [d for d in shape[1:] if isinstance(d, int)]
    if len(inner) != len(shape) - 1 or not inner or len(inner) > axes:
        return ""
    if len(inner) == axes:
        return f" Put Reshape({(*inner, 1)}) before it."
    if axes == 2:
        for channels in (1, 3):
            side = round((inner[0] / channels) ** 0.5)
            if side * side * channels == inner[0]:
                return f" Put Reshape({(side, side, channels)}) before it."
    return f" Put Reshape({(*(inner[0], *(1,) * axes),)}) before it."
