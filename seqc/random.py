"""Where initial weights, shuffles and dropout get their randomness: one seed, set by `seqc.utils.set_random_seed`."""

from __future__ import annotations

import numpy as np

_state = {"seed": None, "generator": np.random.default_rng()}  # type: dict[str, object]


def set_random_seed(seed: int) -> None:
    """Makes everything random that follows repeatable: initial weights, shuffling, dropout.

    Args:
        seed: a non-negative integer.
    """
    _state["seed"] = int(seed)
    _state["generator"] = np.random.default_rng(int(seed))


def generator(seed: int | None = None) -> np.random.Generator:
    """Returns a generator: the global one, or a fresh one for a given seed."""
    if seed is not None:
        return np.random.default_rng(seed)
    current = _state["generator"]
    assert isinstance(current, np.random.Generator)
    return current


def next_seed() -> int:
    """Returns a new seed drawn from the global generator."""
    return int(generator().integers(0, 2**31))
