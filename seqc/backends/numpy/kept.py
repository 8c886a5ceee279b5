"""How many programs are kept: those used last, and others as long as what they take together is little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar
from weakref import ref

from seqc.backends.numpy.arena import Arena, Arenas
from seqc.backends.numpy.memory import Memory

T = TypeVar("T")

# Programs of a model that are always kept: for training and for validation, with a last batch of another size each.
ALWAYS = 4
# So many bytes may the tables of all programs of a model take if there are more; and at most so many if those that were
# dropped are needed again.
ROOM, MOST = 5 << 20, 64 << 20
# So many bytes may blocks take that were outgrown.
OUTGROWN = 12 << 20
# An arena of more than OUTGROWN has at most so many times the memory that programs used lately need.
SLACK = 2
# So many that were dropped are remembered, of one executor.
REMEMBERED = 1024


class Dropped(NamedTuple):
    """What is remembered of a program that was dropped: when it was used last, and how many bytes it took."""

    used: int
    tables: int


def remember(those: dict[Any, T], key: Any, one: T) -> None:
    """Adds something to what is known of those that were dropped, of whom the first are forgotten."""
    those[key] = one
    if len(those) > REMEMBERED:
        those.pop(next(iter(those)), None)


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
        self._more = 0  # bytes of room beyond ROOM

    def add(self, keeper: Keeper) -> None:
        """Counts the programs of an executor as well, as long as it lives."""
        self._keepers.append(ref(keeper))

    def now(self) -> int:
        """Returns a higher number each time."""
        self._time += 1
        return self._time

    def make_room(self, again: Dropped | None = None) -> None:
        """Drops programs where all take too much memory; called before one more is built.

        Those in blocks that were outgrown go first, even if they are used again: they are built once more, in the block
        that there is now. Of the others those go that were not used for the longest time. Where a program comes again
        that was dropped, there is room for it from then on. Should that be the most there can be, and all others have
        been used since, then more come in turn than there is room for: if this one took the place of the oldest, which
        comes next, each would be dropped before its turn. So it takes that of the one used last, and the others stay.

        Args:
            again: what is remembered of the program that is to be built, if it was dropped.
        """
        self._keepers = [known for known in self._keepers if known() is not None]
        keepers = [keeper for known in self._keepers if (keeper := known()) is not None]
        owners = {program: keeper for keeper in keepers for program in keeper.kept()}
        programs = sorted(owners, key=lambda program: program.used)
        self._shrink_arenas(programs)
        outgrown = [p for p in programs if not p.arena.has(p.memory)]
        blocks = {number: size for p in outgrown for number, size in p.memory.blocks.items()}
        dropped = outgrown if sum(blocks.values()) > OUTGROWN else []
        if again is not None:
            self._more = min(self._more + again.tables, MOST - ROOM)
        older = [p for p in programs if p not in dropped][: 1 - ALWAYS]  # beside those always kept and the new one
        if older:
            taken = sum(program.tables for program in programs if program not in dropped)
            while older and taken > ROOM + self._more:
                in_turn = again is not None and older[0].used > again.used
                dropped.append(older.pop(-1 if in_turn else 0))
                taken -= dropped[-1].tables
        for program in dropped:
            owners[program].drop(program)

    def _shrink_arenas(self, programs: Sequence[Keepable]) -> None:
        """Lets go what no program needs any more of those that were used lately."""
        for arena in self.arenas.all:
            needed = max((p.memory.size for p in programs[-2 * ALWAYS :] if p.arena is arena), default=0)
            if arena.size > max(OUTGROWN, SLACK * needed):
                arena.renew()
