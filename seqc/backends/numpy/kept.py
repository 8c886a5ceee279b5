"""How many programs are kept: those used last, and others as long as they are small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from weakref import ref

# Programs of a model that are always kept: for training and for validation, with a last batch of another size each.
ALWAYS = 4
# So many bytes of memory may all programs of a model take if there are more.
ROOM = 16 << 20


class Keepable(Protocol):
    """What is kept: how much memory it takes, and a number that is higher the later it was used."""

    used: int

    @property
    def size(self) -> int: ...


class Keeper(Protocol):
    """Something that has programs of its own and can drop one."""

    def kept(self) -> Sequence[Keepable]:
        """Returns its programs."""
        ...

    def drop(self, program: Keepable) -> None:
        """Forgets one of them, unless it has done so already."""
        ...


class Kept:
    """What the executors of one model keep together. New sequence lengths and batch sizes each need a program."""

    def __init__(self) -> None:
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
        """Drops the programs that were not used for the longest time where all take too much memory."""
        self._keepers = [known for known in self._keepers if known() is not None]
        keepers = [keeper for known in self._keepers if (keeper := known()) is not None]
        programs = sorted(((p, keeper) for keeper in keepers for p in keeper.kept()), key=lambda pair: pair[0].used)
        taken = sum(program.size for program, _ in programs)
        for program, keeper in programs[:-ALWAYS]:
            if taken <= ROOM:
                break
            keeper.drop(program)
            taken -= program.size
