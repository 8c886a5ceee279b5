"""Layers that summarize windows, or whole images, by their maximum or mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc import ops
from seqc.errors import ConfigError
from seqc.ir import Type, Value, as_value
from seqc.layers._common import KerasShape, as_tuple, data_format_name, first_from_last, image_hint, last_from_first
from seqc.layers.base import Layer
from seqc.serialization import known


class _Pooling2D(Layer):
    """Args:
        pool_size: the window, one number or (height, width). strides: its steps, the window's size by default.
        padding: "valid" (only whole windows) or "same" (as many results as steps fit; padding does not count).
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels) to the same with smaller height and width.
    """

    input_rank = 4

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.pool_size = as_tuple(pool_size, 2, "pool_size")
        self.strides = self.pool_size if strides is None else as_tuple(strides, 2, "strides")
        self.padding = padding
        self.data_format = data_format_name(data_format)

    def build(self, input_shape: KerasShape) -> None:
        if self.padding not in ("valid", "same"):
            raise ConfigError(f"Invalid padding: {self.padding}. {type(self).__name__} knows 'valid' and 'same'.")

    def call(self, x: Any) -> Value:
        value = as_value(x)
        if self.data_format == "channels_last":
            return self.pooled(value)
        y = self.pooled(ops.transpose(value, last_from_first(4)))
        return ops.transpose(y, first_from_last(4))

    def pooled(self, x: Value) -> Value:
        """Returns the result for channels-last data."""
        raise NotImplementedError

    def input_hint(self, x: Type) -> str:
        return image_hint(x.shape)


@known("layers")
class MaxPooling2D(_Pooling2D):
    __doc__ = "The largest element of each window.\n\n    " + (_Pooling2D.__doc__ or "")

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)

    def pooled(self, x: Value) -> Value:
        return ops.max_pool(x, self.pool_size, self.strides, self.padding)


@known("layers")
class AveragePooling2D(_Pooling2D):
    __doc__ = "The mean of each window.\n\n    " + (_Pooling2D.__doc__ or "")

    def pooled(self, x: Value) -> Value:
        return ops.average_pool(x, self.pool_size, self.strides, self.padding)


@known("layers")
class GlobalAveragePooling2D(Layer):
    """The mean over height and width.

    Args:
        data_format: "channels_last" or "channels_first". keepdims: keep both axes with size 1.

    Shapes: (batch, height, width, channels) to (batch, channels).
    """

    input_rank = 4

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format, self.keepdims = data_format_name(data_format), keepdims
        self.built = True

    def call(self, x: Any) -> Value:
        axes = (1, 2) if self.data_format == "channels_last" else (2, 3)
        return ops.mean(x, axes, self.keepdims)

    def input_hint(self, x: Type) -> str:
        return image_hint(x.shape)
