"""Random numbers of distributions that are made of others, by numbers that are drawn again where they do not serve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.draws import Draws
from seqc.errors import ConfigError, SeqcError
from seqc.graph.ir import Value, as_value, constant
from seqc.ops._common import as_float

# How many numbers are drawn for one of a gamma distribution. Less than one in twenty is refused: in 2e-8 of all cases
# all are, which is less than uniform numbers have steps.
_TRIES = 6
# Of so many trials, the outcome of each is drawn.
_FEW = 16


def truncated_normal(
    shape: Sequence[Any], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Value:
    """Returns normally distributed numbers, none more than two deviations from the mean. Arguments: see `uniform`."""
    within = math.erf(math.sqrt(2))  # the part of all that lies no further
    standard = math.sqrt(2) * ops.erfinv((2.0 * Draws(seed).unit(shape) - 1.0) * within)
    return ops.cast(standard * stddev + mean, dtype or "float32")


def gamma(shape: Sequence[Any], alpha: Any, dtype: Any = None, seed: Any = None) -> Value:
    """Returns numbers of the gamma distribution of scale 1. No gradient reaches `alpha`.

    Args:
        shape: of the result.
        alpha: the distribution's shape, a positive number or numbers that broadcast to `shape`.
        dtype: float32 by default.
        seed: see `uniform`.
    """
    return ops.cast(ops.exp(_log_gamma(shape, alpha, Draws(seed))), dtype or "float32")


def beta(shape: Sequence[Any], alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Value:
    """Returns numbers of the beta distribution. No gradient reaches its parameters.

    Args:
        shape: of the result.
        alpha: the first parameter, a positive number or numbers that broadcast to `shape`.
        beta: the second parameter, likewise.
        dtype: float32 by default.
        seed: see `uniform`.
    """
    return ops.cast(_beta(shape, alpha, beta, Draws(seed)), dtype or "float32")


def _beta(shape: Sequence[Any], alpha: Any, beta: Any, draws: Draws) -> Value:
    # Small parameters give numbers so near 0 that only their logarithms can be told apart.
    return ops.sigmoid(_log_gamma(shape, alpha, draws) - _log_gamma(shape, beta, draws))


def _log_gamma(shape: Sequence[Any], alpha: Any, draws: Draws) -> Value:
    """Returns logarithms of numbers of the gamma distribution (Marsaglia and Tsang, 2000)."""
    shape = tuple(shape)
    a = ops.broadcast_to(ops.stop_gradient(as_float(alpha)), shape)
    small = ops.less(a, 1.0)
    d = ops.where(small, a + 1.0, a) - 1.0 / 3.0
    x, u = draws.normal((*shape, _TRIES)), 1.0 - draws.unit((*shape, _TRIES))
    wide = ops.expand_dims(d, -1)
    root = 1.0 + x / ops.sqrt(9.0 * wide)
    log_v = 3.0 * ops.log(ops.maximum(root, 1e-30))
    fits = ops.log(u) < 0.5 * x * x + wide * (1.0 - ops.exp(log_v) + log_v)
    fits = ops.logical_and(fits, root > 0.0)
    found = ops.zeros_like(a)  # the most likely number, where none fits
    for one, serves in zip(ops.unstack(log_v, axis=-1), ops.unstack(fits, axis=-1), strict=True):
        found = ops.where(serves, one, found)
    # A number of a distribution with a larger parameter, times a power of a uniform one (Stuart, 1962).
    drawn = ops.log(1.0 - draws.unit(shape)) / ops.where(small, a, ops.ones_like(a))
    return ops.log(d) + found + ops.where(small, drawn, ops.zeros_like(a))


def binomial(shape: Sequence[Any], counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None) -> Value:
    """Returns how many of some trials succeed.

    Args:
        shape: of the result.
        counts: how many trials there are: a number or numbers that broadcast to `shape`, known when a model is made.
        probabilities: of success, likewise, but of any origin. No gradient reaches them.
        dtype: float32 by default.
        seed: see `uniform`.

    Raises:
        ConfigError: the counts are known only when the model runs, or are not in [0, 2^24].
    """
    draws, shape = Draws(seed), tuple(shape)
    most = _largest(counts)
    n = ops.broadcast_to(ops.cast(counts, "float32"), shape)
    p = ops.broadcast_to(ops.clip(ops.stop_gradient(ops.cast(probabilities, "float32")), 0.0, 1.0), shape)
    successes = ops.zeros_like(n)
    # Uniform numbers below p are successes. The middle one of many is a number of a beta distribution; those on the
    # side of it where p lies are uniform again, and half as many (L. Devroye, 1986, chapter X.4).
    while most > _FEW:
        many = n > _FEW
        middle = 1.0 + ops.floor(n / 2.0)
        at = _beta(shape, ops.where(many, middle, ops.ones_like(n)), ops.where(many, n + 1.0 - middle, 1.0), draws)
        below = ops.less_equal(at, p)
        right = ops.clip((p - at) / ops.maximum(1.0 - at, 1e-30), 0.0, 1.0)
        left = ops.clip(p / ops.maximum(at, 1e-30), 0.0, 1.0)
        successes = successes + ops.where(ops.logical_and(many, below), middle, ops.zeros_like(n))
        p = ops.where(many, ops.where(below, right, left), p)
        n = ops.where(many, ops.where(below, n - middle, middle - 1.0), n)
        most //= 2
    trials = ops.less(draws.unit((*shape, _FEW)), ops.expand_dims(p, -1))
    counted = ops.less(constant(np.arange(_FEW, dtype=np.float32)), ops.expand_dims(n, -1))
    few = ops.sum(ops.cast(ops.logical_and(trials, counted), "float32"), axis=-1)
    return ops.cast(successes + few, dtype or "float32")


def _largest(counts: Any) -> int:
    try:
        known = np.asarray(as_value(counts).numpy())
    except SeqcError:
        raise ConfigError(
            "binomial needs to know the `counts` when the model is made; got a tensor that only data tell."
        ) from None
    most = int(known.max(initial=0))
    if known.min(initial=0) < 0 or most > 1 << 24:
        raise ConfigError(f"binomial needs `counts` from 0 to 2^24. Received: counts={counts!r}")
    return most


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Value:
    """Returns the parts of x along an axis in a random order.

    Args:
        x: a tensor. axis: the one along which parts lie. seed: see `uniform`.
    """
    value = as_value(x)
    keys = Draws(seed).unit((ops.shape(value)[axis],))
    return ops.take(value, ops.argsort(keys), axis=axis)
