"""Random tensors under the names of `keras.random`, and the seed behind everything random.

Inside a model numbers are a pure function of (seed, step, place in the graph), the same on NumPy and on onnxruntime.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.epsilon import EPSILON
from seqc.errors import ConfigError
from seqc.graph.ir import Array, Value, apply, as_value, constant
from seqc.graph.tracing import current_trace
from seqc.ops.random import Dropout, RandomUniform
from seqc.seeds import generator, next_seed, set_random_seed
from seqc.utils.absent import absent

__all__ = [
    "SeedGenerator",
    "categorical",
    "dropout",
    "generator",
    "next_seed",
    "normal",
    "randint",
    "set_random_seed",
    "uniform",
]

__getattr__ = absent(__name__, __all__)


class SeedGenerator:
    """A stream of random numbers of its own, that goes on from use to use and from step to step.

    Args:
        seed: a non-negative integer; drawn from the global generator by default. name: accepted for Keras's sake.
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **_: Any) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0):
            raise ConfigError(f"Argument `seed` must be a non-negative integer. Received: seed={seed!r}")
        self.seed = next_seed() if seed is None else int(seed)
        self.uses = 0

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


Seed = int | SeedGenerator | None


def uniform(
    shape: Sequence[Any], minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Seed = None
) -> Value:
    """Returns numbers evenly spread over [minval, maxval).

    Args:
        shape: of the result, for instance `ops.shape(x)`. dtype: float32 by default.
        seed: a `SeedGenerator`; a number gives the same numbers at every step; None draws from the model's own stream.
    """
    numbers = _unit(shape, seed)
    return ops.cast(numbers * (maxval - minval) + minval, dtype or "float32")


def normal(shape: Sequence[Any], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Seed = None) -> Value:
    """Returns normally distributed numbers, by the transform of Box and Muller (1958). Arguments: see `uniform`."""
    radius, angle = _unit(shape, seed), _unit(shape, _other(seed))
    standard = ops.sqrt(-2.0 * ops.log(1.0 - radius)) * ops.cos(2.0 * np.pi * angle)
    return ops.cast(standard * stddev + mean, dtype or "float32")


def randint(shape: Sequence[Any], minval: int, maxval: int, dtype: Any = "int32", seed: Seed = None) -> Value:
    """Returns whole numbers from minval to maxval - 1, at most 2^24 different ones. Arguments: see `uniform`."""
    return ops.cast(ops.floor(_unit(shape, seed) * float(maxval - minval)), dtype) + minval


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Seed = None) -> Value:
    """Returns class numbers drawn with probabilities softmax(logits), by the Gumbel trick.

    Args:
        logits: of shape (batch, classes). num_samples: draws per row. dtype: of the result, (batch, num_samples).
        seed: see `uniform`.
    """
    scores = as_value(logits)
    rows, classes = ops.shape(scores)
    drawn = ops.clip(_unit((rows, num_samples, classes), seed), EPSILON, 1.0)
    return ops.cast(ops.argmax(ops.expand_dims(scores, 1) - ops.log(-ops.log(drawn)), axis=-1), dtype)


def dropout(inputs: Any, rate: float, noise_shape: Sequence[Any] | None = None, seed: Seed = None) -> Value:
    """Returns the inputs with a part `rate` of them zeroed and the others scaled by 1 / (1 - rate).

    Args:
        noise_shape: shape of the random choice, which broadcasts to the inputs; theirs by default. seed: see `uniform`.
    """
    x = as_value(inputs)
    return apply(Dropout(float(rate)), x, _unit(ops.shape(x) if noise_shape is None else noise_shape, seed))


def _other(seed: Seed) -> Seed:
    """Returns a seed for further numbers beside those of a seed."""
    return seed ^ 0x5DEECE66D if isinstance(seed, int) else seed


def _unit(shape: Sequence[Any], seed: Seed) -> Value:
    """Returns numbers in [0, 1)."""
    trace = current_trace()
    if trace is None:
        return constant(_unit_now(shape, seed))
    like = ops.zeros(tuple(shape))
    if isinstance(seed, int):
        return apply(RandomUniform(0), like, constant(np.int64(seed)), constant(np.int64(0)))
    return trace.random_uniform(like, None if seed is None else constant(np.int64(seed.seed)))


def _unit_now(shape: Sequence[Any], seed: Seed) -> Array:
    if isinstance(seed, SeedGenerator):
        start, step = seed.seed, seed.uses
        seed.uses += 1
    else:
        start, step = next_seed() if seed is None else seed, 0
    like = ops.zeros(tuple(shape)).numpy()
    numbers: Array = RandomUniform(0).eval(like, np.array(start, np.int64), np.array(step, np.int64))
    return numbers
