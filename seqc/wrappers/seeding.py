"""What is random in a fit, by scikit-learn's `random_state`."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from seqc import seeds

# The generators are those of the whole process: of fits in several threads, one at a time may use them.
_lock = threading.RLock()


@contextlib.contextmanager
def seeded(random_state: Any) -> Iterator[None]:
    """Makes everything random inside follow from a state, and leaves the generators outside as they were.

    Such fits wait for each other, so that each draws the same in whatever thread it is.

    Args:
        random_state: a seed, a `numpy.random.RandomState` to draw one from, or None, which changes nothing.
    """
    if random_state is None:
        yield
        return
    from sklearn.utils import check_random_state

    seed = int(check_random_state(random_state).randint(2**31 - 1))
    with _lock:
        own, pythons, numpys = seeds.random_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
        seeds.set_random_seed(seed)
        try:
            yield
        finally:
            seeds.set_random_state(own)
            random.setstate(pythons)
            np.random.set_state(numpys)  # noqa: NPY002
