"""Pieces: what threads share out, cut without regard to how many threads there are, and sums over them in a fixed tree.

A product of other rows, or a sum in another order, has other last bits. That is why the number of pieces follows from
the work alone. Each thread takes a run of neighbouring pieces; the sums of two neighbours, of two pairs and so on are
added by whoever has both, and what is left over is added when all threads are done. So the same numbers are added in
the same order on one thread and on sixteen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seqc.backends.numpy import machine
from seqc.graph.ir import Array


def piece_count(most: int, seconds: float, overhead: Callable[[int], float]) -> int:
    """Returns how many pieces some work has, a power of two.

    More than two are made where that costs nothing to speak of: two threads are to lose nothing so that sixteen can
    have their share.

    Args:
        most: what the work can be cut into.
        seconds: of the work on one core.
        overhead: returns the seconds that so many pieces take in addition, compared to two.
    """
    if most < 2 or not machine.worth_sharing(seconds):
        return 1
    count, (shortest, share) = 2, machine.piece_limits()
    for more in (4, 8, 16):
        extra = overhead(more)
        worth = extra <= 0 or (seconds >= more * shortest and extra <= share * seconds)
        if more <= most and worth:
            count = more
    return count


@dataclass(frozen=True, eq=False)
class Partial:
    """The sum over the pieces from `index` * 2**`level` on, 2**`level` of them."""

    level: int
    index: int
    array: Array


def add_partial(found: list[Partial], new: Partial, add: Callable[[Array, Array], None]) -> None:
    """Puts a partial sum behind others, and adds up those that make a larger one of the tree.

    Args:
        found: what is there, in the order of the pieces.
        new: the next.
        add: adds its second argument to its first.
    """
    found.append(new)
    while len(found) > 1:
        left, right = found[-2:]
        if left.level != right.level or left.index % 2 or right.index != left.index + 1:
            return
        add(left.array, right.array)
        found[-2:] = [Partial(left.level + 1, left.index // 2, left.array)]
