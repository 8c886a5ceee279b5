"""Writing a program: calls are listed in regions, and bound to their arrays when all are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from seqc.backends.numpy.arena import Arena
from seqc.backends.numpy.buffers import Buffers
from seqc.backends.numpy.calls import PlannedCall, Record
from seqc.backends.numpy.kernels import Call
from seqc.backends.numpy.memory import ScratchPad
from seqc.backends.numpy.regions import ParallelRegion, Place
from seqc.graph.ir import Array

# Lists of calls, one for each worker.
PlannedRegion = list[list[PlannedCall]]
# The region, the worker and the number of a call.
At = tuple[int, int, int]


class ProgramWriter:
    """Lists calls in the order in which they run."""

    def __init__(self) -> None:
        self.regions: list[PlannedRegion] = []

    def serial(self) -> PlannedRegion:
        """Returns the region at the end whose calls run one after the other in the caller's thread."""
        if not self.regions or len(self.regions[-1]) != 1:
            self.regions.append([[]])
        return self.regions[-1]

    def region(self, workers: int) -> PlannedRegion:
        """Returns a new region at the end for so many workers; for one, a serial one."""
        if workers == 1:
            return self.serial()
        self.regions.append([[] for _ in range(workers)])
        return self.regions[-1]

    def add(self, call: PlannedCall) -> None:
        """Adds a call that runs alone."""
        self.serial()[0].append(call)

    def bind(
        self, buffers: Buffers, given: Sequence[Array], held: Sequence[Array], arena: Arena, recorded: bool
    ) -> tuple[list[ParallelRegion], Place]:
        """Gives all buffers their places; returns the calls, bound to them, and where the first is that changes state.

        Args:
            buffers: with the drafts that the calls work on.
            given: arrays that are filled before the first call.
            held: arrays that are read after the last.
            arena: where the memory is.
            recorded: whether to say of each call what it reads and writes.
        """
        self.regions = [[calls for calls in region if calls] for region in self.regions if any(region)]
        buffers.place(self._timed(), given, held, arena)
        pads = [ScratchPad(partial(arena.block, worker)) for worker in range(max(map(len, self.regions), default=0))]
        bound: dict[At, tuple[Call, list[Array]]] = {}
        # The largest first: what it needs of scratch memory is mostly enough for all others.
        waiting = sorted(self._places(), key=lambda place: -_size(place[1]))
        while waiting:
            for at, call in waiting:
                bound[at] = _bind(call, buffers, pads[at[1]])
            waiting = [(at, call) for at, call in waiting if not pads[at[1]].is_current(bound[at][1])]
        for pad in pads:
            buffers.memory.hold(pad.block[: pad.most])
        regions = [ParallelRegion.of(len(region)) for region in self.regions]
        for at, planned in self._places():
            region, worker = regions[at[0]], at[1]
            made, scratch = bound[at]
            region.lists[worker].append(made)
            region.values[worker].append(planned.value)
            if recorded:
                region.records[worker].append(_record(planned, buffers, scratch))
        return regions, self._first_change(buffers)

    def _first_change(self, buffers: Buffers) -> Place:
        """Returns where the first call stands that writes to state, behind the last one if there is none."""
        places = ((r, c) for (r, _, c), call in self._places() if not all(buffers.owns(w.array) for w in call.writes))
        return min(places, default=(len(self.regions), 0))

    def _timed(self) -> Iterator[tuple[int, PlannedCall]]:
        """Yields all calls with the time at which they run. Nobody knows what is first among those of a region."""
        time = 0
        for region in self.regions:
            for calls in region:
                for call in calls:
                    yield time, call
                    time += len(region) == 1
            time += 1

    def _places(self) -> Iterator[tuple[At, PlannedCall]]:
        for r, region in enumerate(self.regions):
            for w, calls in enumerate(region):
                for c, call in enumerate(calls):
                    yield (r, w, c), call


def _size(call: PlannedCall) -> int:
    return sum(array.nbytes for array in call.arrays if array is not None)


def _bind(planned: PlannedCall, buffers: Buffers, pad: ScratchPad) -> tuple[Call, list[Array]]:
    """Returns a call, bound to the places of its arrays, and the scratch memory that it was given."""
    pad.start()
    return planned.bind([None if a is None else buffers.placed(a) for a in planned.arrays], pad), pad.given


def _record(planned: PlannedCall, buffers: Buffers, scratch: list[Array]) -> Record:
    reads, writes = (
        [access._replace(array=buffers.placed(access.array)) for access in accesses]
        for accesses in (planned.reads, planned.writes)
    )
    return Record(planned.value, reads, writes, scratch, planned.kind, planned.in_place)
