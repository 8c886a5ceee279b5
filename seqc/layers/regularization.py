"""Layers that only act in training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from seqc import ops, regularizers
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Value, apply, as_value
from seqc.graph.tracing import require_trace
from seqc.known_classes import known
from seqc.layers._arguments import keep_arguments
from seqc.layers._common import data_format_name
from seqc.layers.base import Layer
from seqc.layers.input_spec import InputSpec
from seqc.ops.random import Dropout as DropoutOp
from seqc.ops.slicing import slice_axis


@known("layers")
class Dropout(Layer):
    """In training, zeroes a random part of the input and scales the rest so that the expected sum stays.

    Args:
        rate: the part to zero, from 0 to 1. noise_shape: shape of the random mask; 1 where elements along an axis share
        their fate, None for the input's size. seed: makes this layer's masks independent of the global seed.

    Example:
        >>> layer = seqc.layers.Dropout(0.5, seed=1)
        >>> layer(np.ones((1, 3))).numpy(), layer(np.ones((1, 8)), training=True).numpy()
        (array([[1., 1., 1.]], dtype=float32), array([[2., 0., 0., 0., 2., 0., 2., 0.]], dtype=float32))
    """

    supports_masking = True
    rate: float
    seed: int | None

    @keep_arguments
    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rate = checked_rate(rate)
        self.noise_shape = None if noise_shape is None else checked_noise_shape(noise_shape)
        self.built = True

    def call(self, x: Any, training: bool = False) -> Value:
        value = as_value(x)
        if not training or self.rate == 0:
            return value
        return drop(value, self.rate, noise_like(value, self.noise_shape), self.seed, self.name)


class _SpatialDropout(Dropout):
    """Drops whole feature maps: all places of a sample share the fate of their channel (Tompson et al., 2015)."""

    _rank: int

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype, **kwargs)
        self.data_format = data_format_name(data_format)
        places: list[int | None] = [1] * (self._rank - 2)
        self.noise_shape = (None, *places, None) if self.data_format == "channels_last" else (None, None, *places)
        self.input_spec = InputSpec(ndim=self._rank)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["trainable"]  # as Keras writes it
        return config


@known("layers")
class SpatialDropout1D(_SpatialDropout):
    """In training, zeroes a random part of the channels of a sequence, and scales the rest as Dropout does.

    Args:
        rate: the part to zero, from 0 to 1. seed: makes this layer's masks independent of the global seed.

    Shapes: (batch, time, channels), the result like the input.
    """

    _rank = 3

    def __init__(
        self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, None, seed, name, dtype, **kwargs)


@known("layers")
class SpatialDropout2D(_SpatialDropout):
    """In training, zeroes a random part of the channels of an image, and scales the rest as Dropout does.

    Args:
        rate: the part to zero, from 0 to 1. data_format: "channels_last" or "channels_first".
        seed: makes this layer's masks independent of the global seed.

    Shapes: (batch, height, width, channels), the result like the input.
    """

    _rank = 4


@known("layers")
class SpatialDropout3D(_SpatialDropout):
    """In training, zeroes a random part of the channels of a volume, and scales the rest as Dropout does.

    Arguments: see `SpatialDropout2D`. Shapes: (batch, depth, height, width, channels), the result like the input.
    """

    _rank = 5


@known("layers")
class ActivityRegularization(Layer):
    """Adds a penalty on its input to the loss: l1 * sum |x| + l2 * sum x², divided by the batch size.

    Args:
        l1, l2: factors, 0 or more.
    """

    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1, self.l2 = l1, l2
        self.built = True

    def call(self, x: Any) -> Value:
        return as_value(x)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["activity_regularizer"]  # l1 and l2 say it
        return config


def checked_rate(rate: Any) -> float:
    """Returns what `rate` says is dropped.

    Raises:
        ConfigError: it is no number from 0 to 1.
    """
    if not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise ConfigError(
            f"Invalid value received for argument `rate`. Expected a float value between 0 and 1. Received: rate={rate}"
        )
    return rate


def noise_like(x: Value, noise_shape: Sequence[int | None] | None) -> Value:
    """Returns a value of the shape that a random mask for x shall have.

    Args:
        noise_shape: 1 where elements along an axis share their fate, None for the size of x.

    Raises:
        ShapeError: it does not broadcast to x.
    """
    if noise_shape is None:
        return x
    if len(noise_shape) != x.type.rank:
        raise ShapeError(f"noise_shape {tuple(noise_shape)} needs one entry per axis of {x.type}.")
    for axis, size in enumerate(noise_shape):
        if size == 1:
            x = slice_axis(x, axis, 0, 1)
        elif size is not None and size != x.type.shape[axis]:
            raise ShapeError(f"noise_shape {tuple(noise_shape)} does not broadcast to {x.type}.")
    return x


def checked_noise_shape(given: Any) -> tuple[int | None, ...]:
    """Returns the shape of a random mask as a tuple.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigError(
            "Invalid value received for argument `noise_shape`. Expected a tuple or list of integers. "
            f"Received: noise_shape={given}"
        )
    sizes = tuple(given)
    for i, size in enumerate(sizes):
        if size is not None and (not isinstance(size, int | np.integer) or size <= 0):
            raise ConfigError(
                "Invalid value received for argument `noise_shape`. Expected all elements to be positive integers or "
                f"None. Received element at index {i}: {size} (type: {type(size).__name__})"
            )
    return tuple(None if size is None else int(size) for size in sizes)


def drop(x: Value, rate: float, noise_like: Value, seed: int | None, who: str, stream: int = 0) -> Value:
    """Returns x with a part `rate` of its elements zeroed and the others scaled by 1 / (1 - rate).

    Args:
        noise_like: a value of the shape of the random mask, broadcast to x. seed: None for the model's own.
        who: the layer, for messages. stream: tells apart the masks of one layer with a seed.
    """
    if rate == 1:
        return ops.zeros_like(x)
    return apply(DropoutOp(float(rate)), x, random_uniform(noise_like, seed, who, stream))


def random_uniform(like: Value, seed: int | None, who: str, stream: int) -> Value:
    """Returns uniform numbers in [0, 1) of the shape of `like`: the model's own stream, or one of a fixed seed."""
    trace = require_trace(f"Layer '{who}' in training")
    if seed is None:
        return trace.random_uniform(like)
    return trace.random_uniform_of(who, seed, stream, like)
