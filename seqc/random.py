"""Random tensors under the names of `keras.random`, and the seed behind everything random.

Inside a model numbers are a pure function of (seed, step, place in the graph), the same on NumPy and on onnxruntime.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.distributions import beta, binomial, gamma, shuffle, truncated_normal
from seqc.draws import Draws, Seed, SeedGenerator
from seqc.epsilon import EPSILON
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Value, apply, as_value
from seqc.ops._common import dtype_name
from seqc.ops.random import Dropout
from seqc.seeds import generator, next_seed, set_random_seed
from seqc.utils.absent import absent

__all__ = [
    "SeedGenerator",
    "beta",
    "binomial",
    "categorical",
    "dropout",
    "gamma",
    "generator",
    "next_seed",
    "normal",
    "randint",
    "set_random_seed",
    "shuffle",
    "truncated_normal",
    "uniform",
]

__getattr__ = absent(__name__, __all__)


def uniform(
    shape: Sequence[Any], minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Seed = None
) -> Value:
    """Returns numbers evenly spread over [minval, maxval).

    Args:
        shape: of the result, for instance `ops.shape(x)`. dtype: float32 by default.
        seed: a `SeedGenerator`; a number gives the same numbers at every step; None draws from the model's own stream.
    """
    if dtype is not None and not dtype_name(dtype).startswith(("float", "bfloat")):
        raise ConfigError(f"`random.uniform` requires a floating point `dtype`. Received: dtype={dtype}")
    drawn = ops.cast(Draws(seed).unit(shape) * (maxval - minval) + minval, dtype or "float32")
    below = _below(minval, maxval, drawn.dtype)
    return drawn if below is None else ops.minimum(drawn, ops.cast(below, drawn.dtype))


def _below(minval: Any, maxval: Any, dtype: str) -> float | None:
    """Returns the largest number of a type below `maxval`, if the largest that are drawn are rounded up to that."""
    if not (isinstance(minval, int | float) and isinstance(maxval, int | float) and minval < maxval):
        return None
    kind = np.dtype(dtype).type
    with np.errstate(over="ignore"):  # of half precision
        largest = kind(np.float32(1 - 2**-24) * np.float32(maxval - minval) + np.float32(minval))
        found = kind(maxval)
    if float(largest) < maxval:
        return None
    return float(found if float(found) < maxval else np.nextafter(found, kind(-np.inf)))


def normal(shape: Sequence[Any], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Seed = None) -> Value:
    """Returns normally distributed numbers, by the transform of Box and Muller (1958). Arguments: see `uniform`."""
    return ops.cast(Draws(seed).normal(shape) * stddev + mean, dtype or "float32")


def randint(shape: Sequence[Any], minval: int, maxval: int, dtype: Any = "int32", seed: Seed = None) -> Value:
    """Returns whole numbers from minval to maxval - 1, at most 2^24 different ones. Arguments: see `uniform`."""
    dtype = dtype or "int32"
    if not dtype_name(dtype).startswith(("int", "uint")):
        raise ConfigError(f"`random.randint` requires an integer `dtype`. Received: dtype={dtype}")
    drawn = ops.floor(Draws(seed).unit(shape) * float(maxval - minval))
    if maxval - minval > np.iinfo(dtype_name(dtype)).max:  # what is added to `minval` may be no number of this type
        if maxval - minval >= 2**63 and minval < 0:  # nor is what is drawn one of int64
            drawn, minval = drawn - 2.0**63, minval + 2**63
        return ops.cast(ops.cast(drawn, "int64") + minval, dtype)
    return ops.cast(drawn, dtype) + minval


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Seed = None) -> Value:
    """Returns class numbers drawn with probabilities softmax(logits), by the Gumbel trick.

    Args:
        logits: of shape (batch, classes). num_samples: draws per row. dtype: of the result, (batch, num_samples).
        seed: see `uniform`.
    """
    scores = as_value(logits)
    if scores.type.rank != 2:
        raise ShapeError(
            f"`logits` should be a 2-D tensor with shape [batch_size, num_classes]. Received: logits={logits}"
        )
    rows, classes = ops.shape(scores)
    drawn = ops.clip(Draws(seed).unit((rows, num_samples, classes)), EPSILON, 1.0)
    return ops.cast(ops.argmax(ops.expand_dims(scores, 1) - ops.log(-ops.log(drawn)), axis=-1), dtype)


def dropout(inputs: Any, rate: float, noise_shape: Sequence[Any] | None = None, seed: Seed = None) -> Value:
    """Returns the inputs with a part `rate` of them zeroed and the others scaled by 1 / (1 - rate).

    Args:
        rate: from 0 to 1, at which all are zero.
        noise_shape: shape of the random choice, which broadcasts to the inputs; theirs by default, and where it is
            None. seed: see `uniform`.
    """
    x = as_value(inputs)
    if rate == 1:
        return ops.zeros_like(x)
    sizes = ops.shape(x)
    chosen = sizes if noise_shape is None else [n if d is None else d for d, n in zip(noise_shape, sizes, strict=True)]
    return apply(Dropout(float(rate)), x, ops.cast(Draws(seed).unit(chosen), x.dtype))
