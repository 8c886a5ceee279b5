"""Memory that the programs of one model use in turn: nothing in it outlives a run."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from seqc.backends.numpy.memory import Memory, block
from seqc.backends.numpy.turns import Claim, Taken
from seqc.graph.ir import Array

R = TypeVar("R")

# A block that is too small is followed by one of so many times its size at least, or many shapes, each a little larger
# than the one before, would have a block each. What nobody touches takes no memory on most systems.
GROWTH = 2


class Arena:
    """A block of memory for each use, which programs share that never run at the same time.

    A program is bound to the blocks that there were when it was built. Where one was too small there is a larger one
    from then on, and the small one goes with the last program that was bound to it.
    """

    def __init__(self) -> None:
        self.claim = Claim()
        self._blocks: dict[Hashable, Array] = {}

    def block(self, use: Hashable, count: int) -> Array:
        """Returns a block of at least so many bytes, the same one for the same use as long as it is large enough."""
        held = self._blocks.get(use)
        if held is None or held.nbytes < count:
            self._blocks[use] = held = block(count if held is None else max(count, GROWTH * held.nbytes))
        return held

    def has(self, memory: Memory) -> bool:
        """Tells whether a program lies in the blocks that the next one will be given."""
        return {id(held.base) for held in self._blocks.values()}.issuperset(memory.blocks)

    @property
    def size(self) -> int:
        """How many bytes its blocks have."""
        return sum(held.nbytes for held in self._blocks.values())

    def renew(self) -> None:
        """Begins with new blocks."""
        self._blocks = {}


class Arenas:
    """The arenas of a model: one, unless several threads run its programs at the same time, or one inside another."""

    def __init__(self) -> None:
        self.all = [Arena()]

    def lease(self, function: Callable[..., R], *arguments: Any) -> R:
        """Returns what a function of Python's returns, called with an arena that nobody else uses meanwhile."""
        while True:
            for arena in self.all:
                try:
                    return arena.claim.take(function, arena, *arguments)
                except Taken:
                    pass
            self.all.append(Arena())
