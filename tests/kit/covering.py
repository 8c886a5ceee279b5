"""Few combinations of choices in which every two choices meet."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from itertools import combinations
from typing import TypeVar

Choices = TypeVar("Choices", bound=Sequence[str])


def pairs_of(combination: Sequence[str]) -> set[tuple[int, str, int, str]]:
    """Returns the pairs of choices on different axes that a combination has."""
    return {(i, combination[i], j, combination[j]) for i, j in combinations(range(len(combination)), 2)}


def covering(everything: Sequence[Choices]) -> list[Choices]:
    """Returns combinations with all pairs: one after the other that with most new pairs, the first of several such.

    What was counted before is never less than what is new now, so that few are counted again.
    """
    pairs = [pairs_of(combination) for combination in everything]
    counted = [(-len(found), i) for i, found in enumerate(pairs)]
    heapify(counted)
    left = set().union(*pairs)
    chosen = []
    while left:
        before, best = heappop(counted)
        new = pairs[best] & left
        if len(new) < -before:
            heappush(counted, (-len(new), best))
            continue
        left -= new
        chosen.append(everything[best])
    return chosen
