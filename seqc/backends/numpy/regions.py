"""Programs: calls bound to arrays, in regions that threads share out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from seqc.backends.numpy.calls import Record
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
        lists: the calls, a list for each thread. values: what they compute. records: what they read and write, where
        that was asked for.
    """

    lists: list[list[Call]]
    values: list[list[Value]]
    records: list[list[Record]]

    @staticmethod
    def of(workers: int) -> ParallelRegion:
        """Returns a region without calls."""
        return ParallelRegion([[] for _ in range(workers)], [[] for _ in range(workers)], [[] for _ in range(workers)])


@dataclass(eq=False)
class Program:
    """Regions that follow each other, and the arrays that a run fills and reads.

    Attributes:
        graph: what the regions compute. batch: for how many samples.
        regions: in order. inputs: where the arrays of each graph input belong that are given at every run.
        results: the outputs before the new state. memory: all that was made for the program.
        first_change: where the first call stands that writes to the state; behind the last one if there is none.
        present: where values lie that are there when a run begins: inputs, state and constants. new_state: the outputs
        that become state, and where each has to be in the end.
    """

    graph: Graph
    batch: int
    regions: list[ParallelRegion]
    inputs: dict[Value, Array]
    results: list[Array]
    memory: Memory
    first_change: Place
    present: dict[Value, Array]
    new_state: list[tuple[Value, Array]]

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

    def is_halfway(self, run: Run) -> bool:
        """Tells whether a run that has ended may have begun to change the state, and has not made all calls."""
        first = self.first_change
        if run.at != first[0]:
            return first[0] < run.at < len(self.regions)
        return len(run.hands) != 1 or run.cancelled or run.hands[0].place >= first[1]


def shares(count: int, workers: int) -> list[tuple[int, int]]:
    """Returns the bounds of at most `workers` runs of nearly equal length, none of them empty."""
    ends = [count * i // workers for i in range(workers + 1)]
    return [(a, b) for a, b in pairwise(ends) if b > a]
