"""Where the numbers of `seqc.random` come from: uniform ones, of a seed, a generator, or the model's own stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.errors import ConfigError
from seqc.graph.ir import Array, Value, apply, constant
from seqc.graph.tracing import current_trace
from seqc.ops.random import RandomUniform
from seqc.seeds import next_seed
from seqc.utils.naming import unique_name


class SeedGenerator:
    """A stream of random numbers of its own, that goes on from use to use and from step to step.

    Args:
        seed: a non-negative integer; drawn from the global generator by default.
        name: made from the class name by default.
        backend: accepted for Keras's sake.

    Attributes:
        seed: where the numbers start. uses: how often numbers were drawn outside of a model.
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0):
            raise ConfigError(f"Argument `seed` must be a non-negative integer. Received: seed={seed!r}")
        kwargs.pop("backend", None)
        if kwargs:
            raise ConfigError(f"Unrecognized keyword arguments: {kwargs}")
        self.name = unique_name("seed_generator") if name is None else name
        self._given = None if seed is None else int(seed)
        self.seed = next_seed() if seed is None else int(seed)
        self.uses = 0

    def next(self, ordered: bool = True) -> Array:
        """Returns the state (seed, uses), and goes on to the next.

        Args:
            ordered: accepted for Keras's sake; the numbers of successive states are unrelated anyway.
        """
        state = np.array([self.seed, self.uses], np.int64)
        self.uses += 1
        return state

    def get_config(self) -> dict[str, Any]:
        """Returns its arguments as plain data."""
        return {"seed": self._given, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """Returns one with such arguments."""
        return cls(**config)


Seed = int | np.integer[Any] | SeedGenerator | None
# The same, once it is checked.
KnownSeed = int | SeedGenerator | None


def checked_seed(seed: Any) -> KnownSeed:
    """Returns a seed as a Python number, a generator, or None.

    Raises:
        ConfigError: it is something else.
    """
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        return int(seed)
    if seed is not None and not isinstance(seed, SeedGenerator):
        raise ConfigError(
            "Argument `seed` must be either an integer or an instance of `SeedGenerator`. Received: "
            f"seed={seed!r} (of type {type(seed)})"
        )
    return seed


class Draws:
    """Uniform numbers for one call of a function: as many different tensors of them as it asks for.

    Args:
        seed: a number gives the same ones at each call.
    """

    def __init__(self, seed: Any) -> None:
        self._seed = checked_seed(seed)

    def unit(self, shape: Sequence[Any]) -> Value:
        """Returns numbers in [0, 1)."""
        numbers = _unit(shape, self._seed)
        if isinstance(self._seed, int):
            self._seed ^= 0x5DEECE66D
            self._seed = self._seed * 0x2545F491 % (1 << 62)
        return numbers

    def normal(self, shape: Sequence[Any]) -> Value:
        """Returns standard normal numbers, by the transform of Box and Muller (1958)."""
        radius, angle = self.unit(shape), self.unit(shape)
        return ops.sqrt(-2.0 * ops.log(1.0 - radius)) * ops.cos(2.0 * np.pi * angle)


def _unit(shape: Sequence[Any], seed: KnownSeed) -> Value:
    trace = current_trace()
    if trace is None:
        return constant(_unit_now(shape, seed))
    like = ops.zeros(tuple(shape))
    if isinstance(seed, int):
        return apply(RandomUniform(0), like, constant(np.int64(seed)), constant(np.int64(0)))
    return trace.random_uniform(like, None if seed is None else constant(np.int64(seed.seed)))


def _unit_now(shape: Sequence[Any], seed: KnownSeed) -> Array:
    if isinstance(seed, SeedGenerator):
        start, step = seed.next()
    else:
        start, step = next_seed() if seed is None else seed, 0
    like = ops.zeros(tuple(shape)).numpy()
    numbers: Array = RandomUniform(0).eval(like, np.array(start, np.int64), np.array(step, np.int64))
    return numbers
