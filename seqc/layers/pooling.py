"""Layers that summarize windows, or all of a sequence or image, by their maximum or mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from seqc import ops
from seqc.errors import ConfigError
from seqc.graph.ir import Type, Value, as_value
from seqc.known_classes import known
from seqc.layers._common import KerasShape, as_tuple, data_format_name, first_from_last, image_hint, last_from_first
from seqc.layers._words import with_words_of
from seqc.layers.base import Layer


class _Pooling(Layer):
    """One number for each window.

    Args:
        pool_size: the window, one number for all axes or one per axis. strides: its steps, the window's size by
        default. padding: "valid" (only whole windows) or "same" (as many results as steps fit; padding does not count).
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, *space, channels) to the same with less space.
    """

    rank: ClassVar[int]

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
        self.pool_size = as_tuple(pool_size, self.rank, "pool_size")
        self.strides = self.pool_size if strides is None else as_tuple(strides, self.rank, "strides")
        self.padding = padding
        self.data_format = data_format_name(data_format)
        self.input_rank = self.rank + 2

    def build(self, input_shape: KerasShape) -> None:
        if self.padding not in ("valid", "same"):
            raise ConfigError(f"Invalid padding: {self.padding}. {type(self).__name__} knows 'valid' and 'same'.")

    def call(self, x: Any) -> Value:
        value = as_value(x)
        if self.data_format == "channels_last":
            return self.pooled(value)
        y = self.pooled(ops.transpose(value, last_from_first(value.type.rank)))
        return ops.transpose(y, first_from_last(y.type.rank))

    def pooled(self, x: Value) -> Value:
        """Returns the result for channels-last data."""
        raise NotImplementedError(f"{type(self).__name__}.pooled")

    def input_hint(self, x: Type) -> str:
        return image_hint(x.shape, self.rank)


class _MaxPooling(_Pooling):
    """The largest element of each window."""

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
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
@with_words_of(_Pooling)
class MaxPooling1D(_MaxPooling):
    """The largest element of each window over time."""

    rank = 1


@known("layers")
@with_words_of(_Pooling)
class MaxPooling2D(_MaxPooling):
    """The largest element of each window over height and width.

    Example:
        >>> seqc.layers.MaxPooling2D(2)(np.arange(16.0).reshape(1, 4, 4, 1)).numpy()[0, :, :, 0]
        array([[ 5.,  7.],
               [13., 15.]], dtype=float32)
    """

    rank = 2


@known("layers")
@with_words_of(_Pooling)
class MaxPooling3D(_MaxPooling):
    """The largest element of each window over depth, height and width."""

    rank = 3


class _AveragePooling(_Pooling):
    """The mean of each window."""

    def pooled(self, x: Value) -> Value:
        return ops.average_pool(x, self.pool_size, self.strides, self.padding)


@known("layers")
@with_words_of(_Pooling)
class AveragePooling1D(_AveragePooling):
    """The mean of each window over time."""

    rank = 1


@known("layers")
@with_words_of(_Pooling)
class AveragePooling2D(_AveragePooling):
    """The mean of each window over height and width."""

    rank = 2


@known("layers")
@with_words_of(_Pooling)
class AveragePooling3D(_AveragePooling):
    """The mean of each window over depth, height and width."""

    rank = 3


class _GlobalPooling(Layer):
    """One number for all of space.

    Args:
        data_format: "channels_last" or "channels_first". keepdims: keep the axes of space, with size 1.

    Shapes: (batch, *space, channels) to (batch, channels).
    """

    rank: ClassVar[int]

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format, self.keepdims = data_format_name(data_format), bool(keepdims)
        self.input_rank = self.rank + 2
        self.built = True

    @property
    def space(self) -> tuple[int, ...]:
        """The axes that are summarized."""
        first = 1 if self.data_format == "channels_last" else 2
        return tuple(range(first, first + self.rank))

    def input_hint(self, x: Type) -> str:
        return image_hint(x.shape, self.rank)


class _GlobalMaxPooling(_GlobalPooling):
    def call(self, x: Any) -> Value:
        return ops.max(x, self.space, self.keepdims)


@known("layers")
@with_words_of(_GlobalPooling)
class GlobalMaxPooling1D(_GlobalMaxPooling):
    """The largest element over time."""

    rank = 1


@known("layers")
@with_words_of(_GlobalPooling)
class GlobalMaxPooling2D(_GlobalMaxPooling):
    """The largest element over height and width."""

    rank = 2


@known("layers")
@with_words_of(_GlobalPooling)
class GlobalMaxPooling3D(_GlobalMaxPooling):
    """The largest element over depth, height and width."""

    rank = 3


class _GlobalAveragePooling(_GlobalPooling):
    def call(self, x: Any) -> Value:
        return ops.mean(x, self.space, self.keepdims)


@known("layers")
@with_words_of(_GlobalPooling)
class GlobalAveragePooling1D(_GlobalPooling):
    """The mean over time; masked steps do not count."""

    rank = 1
    supports_masking = True

    def call(self, x: Any, mask: Value | None = None) -> Value:
        if mask is None:
            return ops.mean(x, self.space, self.keepdims)
        valid = ops.cast(ops.expand_dims(mask, 2 if self.data_format == "channels_last" else 1), "bool")
        kept = ops.where(valid, x, 0)
        steps = ops.sum(ops.cast(valid, kept.dtype), self.space, self.keepdims)
        return ops.sum(kept, self.space, self.keepdims) / steps

    def compute_mask(self, inputs: Any, mask: Value | None = None) -> Value | None:
        return None


@known("layers")
@with_words_of(_GlobalPooling)
class GlobalAveragePooling2D(_GlobalAveragePooling):
    """The mean over height and width."""

    rank = 2


@known("layers")
@with_words_of(_GlobalPooling)
class GlobalAveragePooling3D(_GlobalAveragePooling):
    """The mean over depth, height and width."""

    rank = 3


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
