"""Automatic names: dense, dense_1, dense_2, ..."""

from __future__ import annotations

import re
from collections import defaultdict

_counts: defaultdict[str, int] = defaultdict(int)


def unique_name(base: str) -> str:
    """Returns `base` the first time and `base_1`, `base_2`, ... after it."""
    number = _counts[base]
    _counts[base] += 1
    return base if number == 0 else f"{base}_{number}"


def clear_session(free_memory: bool = True) -> None:
    """Starts automatic names again from the beginning; `free_memory` makes no difference."""
    _counts.clear()


def snake_case(name: str) -> str:
    """Returns a class name as Keras names objects after it: `Conv2D` -> `conv2d`, `ReLU` -> `re_lu`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def free_name(name: str, taken: dict[str, int]) -> str:
    """Returns `name`, with a number behind it where it is taken, and takes it.

    Args:
        taken: the names, each with the last number that was put behind it, so that none is tried again.
    """
    free = name
    while free in taken:
        taken[name] += 1
        free = f"{name}_{taken[name]}"
    taken[free] = 0
    return free
