"""Programs: calls bound to arrays, in regions that threads share out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from seqc.backends.numpy.calls import BoundCall
from seqc.backends.numpy.kernels import Call
from seqc.backends.numpy.memory import Memory
from seqc.backends.numpy.workers import WORKERS, Failure, Run
from seqc.graph.ir import Array, Graph, Value

# The number of a region, and of a call in its list.
Place = tuple[int, int]


@dataclass(eq=False)
class ParallelRegion:
    """Lists of calls that run side by side, and what each call computes.

    Attributes:
        lists: the calls, a list for each thread. values: what they compute. records: what they read and write; dropped
        when the program is built.
    """

    lists: list[list[Call]] = field(default_factory=lambda: [[]])
    values: list[list[Value]] = field(default_factory=lambda: [[]])
    records: list[list[BoundCall]] = field(default_factory=lambda: [[]])

    def add(self, worker: int, bound: BoundCall) -> None:
        self.lists[worker].append(bound.call)
        self.values[worker].append(bound.value)
        self.records[worker].append(bound)

    @staticmethod
    def of(workers: int) -> ParallelRegion:
        return ParallelRegion([[] for _ in range(workers)], [[] for _ in range(workers)], [[] for _ in range(workers)])


@dataclass(eq=False)
class Program:
    """Regions that follow each other, and the arrays that a run fills and reads.

    Attributes:
        graph: what the regions compute. inputs: where the arrays of each graph input belong that are given at every
        run. results: the outputs before the new state. memory: all that was made for the program.
    """

    graph: Graph
    regions: list[ParallelRegion]
    inputs: dict[Value, Array]
    results: list[Array]
    memory: Memory

    def run(self, run: Run) -> None:
        """Runs all regions, or as many as there are before the run is cancelled.

        Raises:
            workers.Failure: a call failed.
        """
        for at, region in enumerate(self.regions):
            run.at = at
            WORKERS.run(region.lists, run)
            if run.cancelled:
                return
        run.at = len(self.regions)

    def value_at(self, run: Run, failure: Failure) -> Value:
        """Returns what the call computes that failed in a run."""
        return self.regions[run.at].values[failure.worker][failure.place]

    def first_change(self, state: Sequence[Array]) -> Place:
        """Returns where the first call stands that writes to the state; behind the last one if there is none."""
        memories = {id(root): root for root in map(_root, state)}.values()
        found = (
            (at, place)
            for at, region in enumerate(self.regions)
            for records in region.records
            for place, bound in enumerate(records)
            if any(np.may_share_memory(written.array, memory) for written in bound.writes for memory in memories)
        )
        return min(found, default=(len(self.regions), 0))

    def drop_records(self) -> None:
        """Forgets what calls read and write, which only building needs."""
        for region in self.regions:
            region.records = []

    def is_halfway(self, run: Run, first: Place) -> bool:
        """Tells whether a run that has ended may have made the call at `first`, and has not made all that follow."""
        if run.at != first[0]:
            return first[0] < run.at < len(self.regions)
        return len(run.hands) != 1 or run.cancelled or run.hands[0].place >= first[1]


def _root(array: Array) -> Array:
    """Returns the array whose memory an array shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def shares(count: int, workers: int) -> list[tuple[int, int]]:
    """Returns the bounds of at most `workers` runs of nearly equal length, none of them empty."""
    ends = [count * i // workers for i in range(workers + 1)]
    return [(a, b) for a, b in pairwise(ends) if b > a]
