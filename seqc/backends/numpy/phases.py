"""Programs: calls bound to arrays, in phases that threads share out."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from seqc.backends.numpy.kernels import Call
from seqc.backends.numpy.workers import WORKERS, Failure
from seqc.ir import Array, Graph, Value


@dataclass(eq=False)
class Phase:
    """Lists of calls that run side by side, and what each call computes."""

    lists: list[list[Call]] = field(default_factory=lambda: [[]])
    values: list[list[Value]] = field(default_factory=lambda: [[]])

    def add(self, lane: int, call: Call, value: Value) -> None:
        self.lists[lane].append(call)
        self.values[lane].append(value)

    @staticmethod
    def of(lanes: int) -> Phase:
        return Phase([[] for _ in range(lanes)], [[] for _ in range(lanes)])


@dataclass(eq=False)
class Program:
    """Phases that follow each other, and the arrays that a run fills and reads.

    Attributes:
        graph: what the phases compute. inputs: where the arrays of each graph input belong that are given at every run.
        result: the first output.
    """

    graph: Graph
    phases: list[Phase]
    inputs: dict[Value, Array]
    result: Array
    _at: int = 0

    def run(self) -> None:
        """Runs all phases.

        Raises:
            workers.Failure: a call failed.
        """
        for at, phase in enumerate(self.phases):
            self._at = at
            WORKERS.run(phase.lists)

    def value_at(self, failure: Failure) -> Value:
        """Returns what the call that failed in the last run computes."""
        return self.phases[self._at].values[failure.lane][failure.place]


def shares(count: int, lanes: int) -> list[tuple[int, int]]:
    """Returns the bounds of at most `lanes` runs of nearly equal length, none of them empty."""
    ends = [count * i // lanes for i in range(lanes + 1)]
    return [(a, b) for a, b in pairwise(ends) if b > a]
