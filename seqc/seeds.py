"""Where initial weights, shuffles and dropout get their randomness: one seed, set by `seqc.utils.set_random_seed`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from seqc.errors import ConfigError

# Made when it is first asked for: NumPy's random numbers take a while to import.
_generator: np.random.Generator | None = None


def set_random_seed(seed: int) -> None:
    """Makes everything random that follows repeatable: initial weights, shuffling, dropout.

    Args:
        seed: a non-negative integer. Python's and NumPy's global generators start from it, too.

    Raises:
        ConfigError: it is something else.

    Example:
        >>> seqc.utils.set_random_seed(1)
        >>> first = seqc.random.normal((3,)).numpy()
        >>> seqc.utils.set_random_seed(1)
        >>> np.array_equal(first, seqc.random.normal((3,)).numpy())
        True
    """
    global _generator
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ConfigError(f"Expected `seed` argument to be a non-negative integer. Received: seed={seed!r}")
    _generator = np.random.default_rng(int(seed))
    random.seed(int(seed))
    np.random.seed(int(seed) % 2**32)  # noqa: NPY002  (scripts written for Keras draw their data from it)


def generator(seed: int | None = None) -> np.random.Generator:
    """Returns a generator: the global one, or a fresh one for a given seed."""
    global _generator
    if seed is not None:
        return np.random.default_rng(seed)
    if _generator is None:
        _generator = np.random.default_rng()
    return _generator


def next_seed() -> int:
    """Returns a new seed drawn from the global generator."""
    return int(generator().integers(0, 2**31))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leaves the global generator as it is, whatever is drawn inside."""
    used = _generator
    before = {} if used is None else used.bit_generator.state
    try:
        yield
    finally:
        if used is not None and used is _generator:
            used.bit_generator.state = before


def random_state() -> dict[str, Any]:
    """Returns the states of all that `set_random_seed` sets, as plain data."""
    kind, keys, *rest = cast(Any, np.random.get_state())  # noqa: NPY002  (what gives batches may draw from it)
    version, numbers, gauss = random.getstate()
    return {
        "seqc": dict(generator().bit_generator.state),
        "numpy": [kind, keys.tolist(), *rest],
        "python": [version, list(numbers), gauss],
    }


def set_random_state(state: Any) -> None:
    """Goes back to what `random_state` gave.

    Raises:
        ConfigError: it is no such thing.
    """
    global _generator
    made = np.random.default_rng()
    try:
        made.bit_generator.state = state["seqc"]
        version, numbers, gauss = state["python"]
        np.random.set_state(tuple(state["numpy"]))  # noqa: NPY002
        random.setstate((version, tuple(numbers), gauss))
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ConfigError(f"this is no state of a generator: {error}") from error
    _generator = made
