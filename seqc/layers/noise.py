"""Layers that disturb their input in training, by numbers drawn from a normal distribution or chosen at random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.errors import ConfigError
from seqc.graph.ir import Value, as_value
from seqc.known_classes import known
from seqc.layers._arguments import keep_arguments
from seqc.layers.base import Layer
from seqc.layers.regularization import checked_noise_shape, checked_rate, noise_like, random_uniform

# Of SELU (Klambauer et al., 2017), whose fixed point AlphaDropout keeps.
_ALPHA, _SCALE = 1.6732632423543772, 1.0507009873554805


@known("layers")
class GaussianNoise(Layer):
    """Adds normally distributed numbers of mean 0 in training.

    Args:
        stddev: their standard deviation, from 0 to 1. seed: makes this layer's noise independent of the global seed.
    """

    supports_masking = True

    stddev: float
    seed: int | None

    @keep_arguments
    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(stddev, int | float) or isinstance(stddev, bool) or not 0 <= stddev <= 1:
            raise ConfigError(
                "Invalid value received for argument `stddev`. Expected a float value between 0 and 1. Received: "
                f"stddev={stddev}"
            )
        self.built = True

    def call(self, x: Any, training: bool = False) -> Value:
        value = as_value(x)
        if not training or self.stddev == 0:
            return value
        return value + random_normal(value, self.seed, self.name) * float(self.stddev)


@known("layers")
class GaussianDropout(Layer):
    """Multiplies by normally distributed numbers of mean 1 in training (Srivastava et al., 2014, section 10).

    Args:
        rate: from 0 to below 1; the numbers have the standard deviation sqrt(rate / (1 - rate)), that of the mask of
        Dropout. seed: makes this layer's noise independent of the global seed.
    """

    supports_masking = True

    seed: int | None

    @keep_arguments
    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = checked_rate(rate)
        if rate == 1:
            raise ConfigError(
                "GaussianDropout(rate=1) would multiply by numbers of infinite variance; give a rate below 1."
            )
        self.built = True

    def call(self, x: Any, training: bool = False) -> Value:
        value = as_value(x)
        if not training or self.rate == 0:
            return value
        return value * (random_normal(value, self.seed, self.name) * math.sqrt(self.rate / (1 - self.rate)) + 1.0)


@known("layers")
class AlphaDropout(Layer):
    """Sets a random part to the least value of SELU in training, and keeps mean and variance (Klambauer et al., 2017).

    Args:
        rate: the part, from 0 to 1. noise_shape: shape of the random mask; 1 where elements along an axis share their
        fate, None for the input's size. seed: makes this layer's masks independent of the global seed.
    """

    supports_masking = True

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
        least = -_ALPHA * _SCALE
        drawn = random_uniform(noise_like(value, self.noise_shape), self.seed, self.name, 0)
        kept = ops.cast(drawn >= self.rate, value.dtype)
        # With these, the result has mean 0 and variance 1 where the input does.
        scale = ((1 - self.rate) * (1 + self.rate * least**2)) ** -0.5 if self.rate < 1 else 0.0
        return (value * kept + least * (1.0 - kept)) * scale - scale * least * self.rate


def random_normal(like: Value, seed: int | None, who: str, stream: int = 0) -> Value:
    """Returns standard normal numbers of the shape of `like`, by the transform of Box and Muller (1958).

    They are made of those of `stream` and the next one; see `random_uniform`.
    """
    return normal_of(*(random_uniform(like, seed, who, number) for number in (stream, stream + 1)))


def normal_of(radius: Value, angle: Value) -> Value:
    """Returns standard normal numbers made of uniform ones in [0, 1)."""
    return ops.sqrt(-2.0 * ops.log(1.0 - radius)) * ops.cos(2.0 * np.pi * angle)
