"""Memory planning: where buffers lie in one block, so that those that are never needed together may share a place."""

from __future__ import annotations

from bisect import insort
from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeVar

# Buffers begin at such addresses, for vector instructions and so that threads do not write to one line of the cache.
ALIGNMENT = 64

K = TypeVar("K", bound=Hashable)


class Lifetime(NamedTuple):
    """How large a buffer is in bytes, and the first and the last call that touches it."""

    size: int
    first: int
    last: int


def aligned(count: int) -> int:
    """Returns a number of bytes rounded up so that what follows is aligned."""
    return -(-count // ALIGNMENT) * ALIGNMENT


def plan_memory(lifetimes: Mapping[K, Lifetime]) -> tuple[dict[K, int], int]:
    """Returns where each buffer begins in one block of memory, and how many bytes the block has.

    In the order in which buffers are first touched, large before small where that is at the same time, each takes the
    lowest place that is wide enough between those that are alive. A call that touches one buffer for the last time and
    another for the first needs both.
    """
    places: dict[K, int] = {}
    total = 0
    alive: list[tuple[int, int, int]] = []  # (start, end, last), by their places
    for key, life in sorted(lifetimes.items(), key=lambda item: (item[1].first, -item[1].size)):
        alive = [held for held in alive if held[2] >= life.first]
        count, start = aligned(life.size), 0
        for taken_from, taken_to, _ in alive:
            if taken_from - start >= count:
                break
            start = max(start, taken_to)
        places[key] = start
        total = max(total, start + count)
        insort(alive, (start, start + count, life.last))
    return places, total
