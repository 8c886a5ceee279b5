"""Memory planning: where buffers lie in one block, so that those that are never needed together may share a place."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Hashable, Mapping
from heapq import heappop, heappush
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
    another for the first needs both. A buffer without bytes may lie anywhere.
    """
    places: dict[K, int] = {}
    total = 0
    alive: list[tuple[int, int, int]] = []  # a heap of (last, start, end)
    # What lies between those that are alive, in order; the last one is behind them all, and is never used up.
    free = [(0, sum(aligned(life.size) for life in lifetimes.values()) + 1)]
    for key, life in sorted(lifetimes.items(), key=lambda item: (item[1].first, -item[1].size)):
        while alive and alive[0][0] < life.first:
            _release(free, *heappop(alive)[1:])
        count = aligned(life.size)
        at = next(i for i, (start, end) in enumerate(free) if end - start >= count)
        start, end = free[at]
        free[at : at + 1] = [(start + count, end)] if start + count < end else []
        places[key] = start
        total = max(total, start + count)
        if count:
            heappush(alive, (life.last, start, start + count))
    return places, total


def _release(free: list[tuple[int, int]], start: int, end: int) -> None:
    """Adds a place to the free ones, as one with those beside it."""
    at = bisect(free, (start, end))
    if at < len(free) and free[at][0] == end:
        end = free.pop(at)[1]
    if at and free[at - 1][1] == start:
        start = free.pop(at - 1)[0]
        at -= 1
    free.insert(at, (start, end))
