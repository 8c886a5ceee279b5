"""Pooling into as many windows as the result is to have elements, whatever the size of the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from seqc import ops
from seqc.errors import ArgumentTypeError, ConfigError
from seqc.graph.ir import Type, Value
from seqc.known_classes import known
from seqc.layers._common import as_tuple, data_format_name, image_hint
from seqc.layers._words import with_words_of
from seqc.layers.base import Layer


class _AdaptivePooling(Layer):
    """One number for each of so many windows.

    Args:
        output_size: how many windows, one number for all axes or one per axis. data_format: "channels_last" or
        "channels_first".

    Window i of n along an axis starts at floor(i * size / n) and ends before ceil((i + 1) * size / n); the sizes of the
    input must be known.

    Shapes: (batch, *space, channels) to (batch, *output_size, channels).
    """

    rank: ClassVar[int]

    def __init__(self, output_size: int | Sequence[int], data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(output_size, int | tuple | list) or isinstance(output_size, bool):
            raise ArgumentTypeError(
                f"`output_size` must be an integer or a tuple of {self.rank} integers. Received: {output_size} of type "
                f"{type(output_size)}"
            )
        if isinstance(output_size, tuple | list) and len(output_size) != self.rank:
            wrong = ConfigError if self.rank == 1 else ArgumentTypeError
            raise wrong(
                f"For {self.rank}D input, `output_size` tuple must have length {self.rank}. Received: {output_size}"
            )
        self.output_size = as_tuple(output_size, self.rank, "output_size")
        self.data_format = data_format_name(data_format)
        self.input_rank = self.rank + 2
        self.built = True

    def input_hint(self, x: Type) -> str:
        return image_hint(x.shape, self.rank)


class _AdaptiveAveragePooling(_AdaptivePooling):
    """The mean of each window."""

    def call(self, x: Any) -> Value:
        return ops.adaptive_average_pool(x, self.output_size, self.data_format)


@known("layers")
@with_words_of(_AdaptivePooling)
class AdaptiveAveragePooling1D(_AdaptiveAveragePooling):
    """The mean of each of so many windows over time."""

    rank = 1


@known("layers")
@with_words_of(_AdaptivePooling)
class AdaptiveAveragePooling2D(_AdaptiveAveragePooling):
    """The mean of each of so many windows over height and width."""

    rank = 2


@known("layers")
@with_words_of(_AdaptivePooling)
class AdaptiveAveragePooling3D(_AdaptiveAveragePooling):
    """The mean of each of so many windows over depth, height and width."""

    rank = 3


class _AdaptiveMaxPooling(_AdaptivePooling):
    """The largest element of each window."""

    def call(self, x: Any) -> Value:
        return ops.adaptive_max_pool(x, self.output_size, self.data_format)


@known("layers")
@with_words_of(_AdaptivePooling)
class AdaptiveMaxPooling1D(_AdaptiveMaxPooling):
    """The largest element of each of so many windows over time."""

    rank = 1


@known("layers")
@with_words_of(_AdaptivePooling)
class AdaptiveMaxPooling2D(_AdaptiveMaxPooling):
    """The largest element of each of so many windows over height and width."""

    rank = 2


@known("layers")
@with_words_of(_AdaptivePooling)
class AdaptiveMaxPooling3D(_AdaptiveMaxPooling):
    """The largest element of each of so many windows over depth, height and width."""

    rank = 3
