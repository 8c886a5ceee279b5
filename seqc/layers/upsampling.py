"""Layers that make sequences, images and volumes larger by whole factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from seqc import ops
from seqc.errors import ArgumentTypeError, ConfigError
from seqc.graph.ir import Type, Value, as_value
from seqc.known_classes import known
from seqc.layers._common import as_tuple, data_format_name, first_from_last, image_hint, last_from_first
from seqc.layers.base import Layer
from seqc.ops._pictures import as_computed
from seqc.ops.resize import KERNELS, resample, upsample


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


class _UpSampling(Layer):
    rank: ClassVar[int]

    def __init__(self, size: int | Sequence[int], data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = as_tuple(size, self.rank, "size")
        self.data_format = data_format_name(data_format)
        self.input_rank = self.rank + 2
        self.built = True

    def call(self, x: Any) -> Value:
        value = as_value(x)
        if self.data_format == "channels_last":
            return self._enlarged(value)
        y = self._enlarged(ops.transpose(value, last_from_first(value.type.rank)))
        return ops.transpose(y, first_from_last(y.type.rank))

    def _enlarged(self, x: Value) -> Value:
        """Returns the result for channels-last data."""
        return upsample(x, self.size)

    def input_hint(self, x: Type) -> str:
        return image_hint(x.shape, self.rank)


@known("layers")
class UpSampling2D(_UpSampling):
    """Makes images larger by whole factors.

    Args:
        size: the factors, one number or (height, width). data_format: "channels_last" or "channels_first".
        interpolation: "nearest" (elements are repeated), "bilinear", "bicubic", "lanczos3" or "lanczos5".

    Shapes: (batch, height, width, channels) to the same with height and width times `size`. Integers stay so, rounded
    and limited to what their type holds.
    """

    rank = 2

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(size, data_format, **kwargs)
        self.interpolation = str(interpolation).lower()
        if self.interpolation not in ("nearest", *KERNELS):
            raise ConfigError(
                f"Invalid value for argument `interpolation`. Expected of one {('nearest', *KERNELS)}. "
                f"Received: interpolation={interpolation}"
            )

    def _enlarged(self, x: Value) -> Value:
        if self.interpolation == "nearest":
            return super()._enlarged(x)
        return as_computed(x, lambda y: resample(y, self.size, self.interpolation))


@known("layers")
class UpSampling3D(_UpSampling):
    """Repeats the elements of volumes.

    Args:
        size: how often, one number or (depth, height, width). data_format: "channels_last" or "channels_first".

    Shapes: (batch, depth, height, width, channels) to the same with depth, height and width times `size`.
    """

    rank = 3

    def __init__(self, size: int | Sequence[int] = (2, 2, 2), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(size, data_format, **kwargs)
