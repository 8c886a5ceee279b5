"""How many programs are kept: those used last, and others as long as what they take together is little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from weakref import ref

from seqc.backends.numpy.arena import Arena, Arenas
from seqc.backends.numpy.memory import Memory

# Programs of a model that are always kept: for training and for validation, with a last batch of another size each.
ALWAYS = 4
# So many bytes may the tables of all programs of a model take if there are more, and blocks that were outgrown.
ROOM = 12 << 20
# An arena of more than ROOM has at most so many times the memory that programs used lately need.
SLACK = 2


class Keepable(Protocol):
    """What is kept.

    Attributes:
        used: a number that is higher the later it was used. arena: where its memory is.
    """

    used: int
    arena: Arena

    @property
    def memory(self) -> Memory:
        """What it takes of the arena."""
        ...

    @property
    def tables(self) -> int:
        """How many bytes all the rest of it takes, which is its own."""
        ...


class Keeper(Protocol):
    """Something that has programs of its own and can drop one."""

    def kept(self) -> Sequence[Keepable]:
        """Returns its programs."""
        ...

    def drop(self, program: Keepable) -> None:
        """Forgets one of them, unless it has done so already."""
        ...


class Kept:
    """What the executors of one model keep together. New sequence lengths and batch sizes each need a program.

    Attributes:
        arenas: where the memory of all of them is.
    """

    def __init__(self) -> None:
        self.arenas = Arenas()
        self._keepers: list[ref[Keeper]] = []
        self._time = 0

    def add(self, keeper: Keeper) -> None:
        """Counts the programs of an executor as well, as long as it lives."""
        self._keepers.append(ref(keeper))

    def now(self) -> int:
        """Returns a higher number each time."""
        self._time += 1
        return self._time

    def make_room(self) -> None:
        """Drops programs where all take too much memory; called before one more is built.

        Those in blocks that were outgrown go first, even if they are used again: they are built once more, in the block
        that there is now. Of the others those go that were not used for the longest time.
        """
        self._keepers = [known for known in self._keepers if known() is not None]
        keepers = [keeper for known in self._keepers if (keeper := known()) is not None]
        owners = {program: keeper for keeper in keepers for program in keeper.kept()}
        programs = sorted(owners, key=lambda program: program.used)
        self._shrink_arenas(programs)
        outgrown = [p for p in programs if not p.arena.has(p.memory)]
        blocks = {number: size for p in outgrown for number, size in p.memory.blocks.items()}
        dropped = outgrown if sum(blocks.values()) > ROOM else []
        older = [p for p in programs if p not in dropped][: 1 - ALWAYS]  # beside those always kept and the new one
        if older:
            taken = sum(program.tables for program in programs if program not in dropped)
            while older and taken > ROOM:
                dropped.append(older.pop(0))
                taken -= dropped[-1].tables
        for program in dropped:
            owners[program].drop(program)

    def _shrink_arenas(self, programs: Sequence[Keepable]) -> None:
        """Lets go what no program needs any more of those that were used lately."""
        for arena in self.arenas.all:
            needed = max((p.memory.size for p in programs[-2 * ALWAYS :] if p.arena is arena), default=0)
            if arena.size > max(ROOM, SLACK * needed):
                arena.renew()
