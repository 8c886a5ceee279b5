"""Layers that make sequences and images larger or smaller without weights: repeating, padding and cutting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc import ops
from seqc.errors import ArgumentTypeError, ConfigError, ShapeError
from seqc.graph.ir import Type, Value, apply, as_value
from seqc.layers._common import as_tuple, data_format_name, first_from_last, image_hint, last_from_first
from seqc.layers.base import Layer
from seqc.ops.resize import KERNELS, resample, upsample
from seqc.ops.slicing import Slice
from seqc.serialization import known

Pair = tuple[int, int]


@known("layers")
class UpSampling1D(Layer):
    """Repeats each step `size` times: (batch, steps, features) to (batch, steps * size, features)."""

    input_rank = 3

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(size, int) or isinstance(size, bool):
            raise ArgumentTypeError(f"Expected an integer value for `size`, got {type(size)}.")
        if size <= 0:
            raise ConfigError(f"Argument `size` should be a positive integer. Received: size={size}")
        self.size = size
        self.built = True

    def call(self, x: Any) -> Value:
        return upsample(as_value(x), (self.size,))


@known("layers")
class UpSampling2D(Layer):
    """Makes images larger by whole factors.

    Args:
        size: the factors, one number or (height, width). data_format: "channels_last" or "channels_first".
        interpolation: "nearest" (elements are repeated), "bilinear", "bicubic", "lanczos3" or "lanczos5".

    Shapes: (batch, height, width, channels) to the same with height and width times `size`.
    """

    input_rank = 4

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = as_tuple(size, 2, "size")
        self.data_format = data_format_name(data_format)
        self.interpolation = str(interpolation).lower()
        if self.interpolation not in ("nearest", *KERNELS):
            raise ConfigError(
                f"Invalid value for argument `interpolation`. Expected of one {('nearest', *KERNELS)}. "
                f"Received: interpolation={interpolation}"
            )
        self.built = True

    def call(self, x: Any) -> Value:
        value = as_value(x)
        if self.data_format == "channels_last":
            return self._enlarged(value)
        y = self._enlarged(ops.transpose(value, last_from_first(4)))
        return ops.transpose(y, first_from_last(4))

    def _enlarged(self, x: Value) -> Value:
        if self.interpolation == "nearest":
            return upsample(x, self.size)
        return resample(x, self.size, self.interpolation)

    def input_hint(self, x: Type) -> str:
        return image_hint(x.shape)


@known("layers")
class ZeroPadding1D(Layer):
    """Puts zeros before and after a sequence.

    Args:
        padding: how many, one number or (before, after). data_format: "channels_last" or "channels_first".
    """

    input_rank = 3

    def __init__(self, padding: int | Sequence[int] = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_name(data_format)
        self.padding = as_tuple(padding, 2, "padding", smallest=0)
        self.built = True

    def call(self, x: Any) -> Value:
        return _padded(x, [self.padding], self.data_format)


@known("layers")
class ZeroPadding2D(Layer):
    """Puts zeros around images.

    Args:
        padding: how many; one number, (height, width), or ((top, bottom), (left, right)). data_format: "channels_last"
        or "channels_first".
    """

    input_rank = 4

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_name(data_format)
        self.padding = _two_pairs(padding, "padding")
        self.built = True

    def call(self, x: Any) -> Value:
        return _padded(x, self.padding, self.data_format)

    def input_hint(self, x: Type) -> str:
        return image_hint(x.shape)


@known("layers")
class Cropping1D(Layer):
    """Cuts steps off a sequence.

    Args:
        cropping: how many, one number or (before, after).
    """

    input_rank = 3

    def __init__(self, cropping: int | Sequence[int] = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = as_tuple(cropping, 2, "cropping", smallest=0)
        self.built = True

    def call(self, x: Any) -> Value:
        value = as_value(x)
        size = value.shape[1]
        if size is not None and sum(self.cropping) >= size:
            raise ShapeError(
                "`cropping` parameter of `Cropping1D` layer must be smaller than the input length. Received: "
                f"input_shape={value.shape}, cropping={self.cropping}"
            )
        return _cut(value, [self.cropping], "channels_last")


@known("layers")
class Cropping2D(Layer):
    """Cuts the borders off images.

    Args:
        cropping: how much; one number, (height, width), or ((top, bottom), (left, right)). data_format: "channels_last"
        or "channels_first".
    """

    input_rank = 4

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_name(data_format)
        if isinstance(cropping, int) and cropping < 0:
            raise ConfigError(f"`cropping` cannot be negative. Received: cropping={cropping}.")
        self.cropping = _two_pairs(cropping, "cropping")
        self.built = True

    def call(self, x: Any) -> Value:
        value = as_value(x)
        space = value.shape[1:3] if self.data_format == "channels_last" else value.shape[2:]
        if any(size is not None and sum(pair) >= size for size, pair in zip(space, self.cropping, strict=True)):
            raise ShapeError(
                "Values in `cropping` argument should be smaller than the corresponding spatial dimension of the "
                f"input. Received: input_shape={value.shape}, cropping={self.cropping}"
            )
        return _cut(value, self.cropping, self.data_format)

    def input_hint(self, x: Type) -> str:
        return image_hint(x.shape)


def _two_pairs(given: Any, name: str) -> tuple[Pair, Pair]:
    """Returns what stands for ((top, bottom), (left, right)) in full."""
    if isinstance(given, int):
        given = (given, given)
    elif not hasattr(given, "__len__"):
        raise ConfigError(
            f"`{name}` should be either an int, a tuple of 2 ints (symmetric_height_crop, symmetric_width_crop), or a "
            f"tuple of 2 tuples of 2 ints ((top_crop, bottom_crop), (left_crop, right_crop)). Received: {name}={given}."
        )
    if len(given) != 2:
        raise ConfigError(f"`{name}` should have two elements. Received: {name}={given}.")
    top, bottom = as_tuple(given[0], 2, f"1st entry of {name}", smallest=0)
    left, right = as_tuple(given[1], 2, f"2nd entry of {name}", smallest=0)
    return (top, bottom), (left, right)


def _padded(x: Any, pairs: Sequence[Sequence[int]], data_format: str) -> Value:
    none = ((0, 0),)
    space = tuple((before, after) for before, after in pairs)
    return ops.pad(x, (*none, *space, *none) if data_format == "channels_last" else (*none, *none, *space))


def _cut(x: Value, pairs: Sequence[Sequence[int]], data_format: str) -> Value:
    first = 1 if data_format == "channels_last" else 2
    cut = [(i, before, after) for i, (before, after) in enumerate(pairs, first) if before or after]
    if not cut:
        return x
    axes, starts, ends = zip(*cut, strict=True)
    return apply(Slice(axes, starts, tuple(-n if n else None for n in ends), (1,) * len(axes)), x)
