"""Automatic names: dense, dense_1, dense_2, ..."""

from __future__ import annotations

from collections import defaultdict

_counts: defaultdict[str, int] = defaultdict(int)


def unique_name(base: str) -> str:
    """Returns `base` the first time and `base_1`, `base_2`, ... after it."""
    number = _counts[base]
    _counts[base] += 1
    return base if number == 0 else f"{base}_{number}"


def clear_session() -> None:
    """Starts automatic names again from the beginning."""
    _counts.clear()
