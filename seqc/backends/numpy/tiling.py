"""Planning the calls of a stage: all of its operations for one tile after another, and sums over the tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from seqc.backends.numpy.buffers import Buffers
from seqc.backends.numpy.calls import Access, PlannedCall, adding, computing, copying, merging, reads_of, taking_part
from seqc.backends.numpy.cut import results_of, shape_of
from seqc.backends.numpy.memory import view
from seqc.backends.numpy.pieces import Partial, add_partial
from seqc.backends.numpy.program_writer import ProgramWriter
from seqc.backends.numpy.regions import shares
from seqc.backends.numpy.schedule import Schedule
from seqc.backends.numpy.stage import Stage
from seqc.backends.numpy.tile_memory import summed
from seqc.backends.numpy.whole_batch import operands_of
from seqc.graph.batch import BATCH
from seqc.graph.ir import Array, Item, Value
from seqc.ops._parts import Merged
from seqc.sure import of_kind


class WorkerSums:
    """The sums of a worker's pieces.

    Attributes:
        done: by summed value the sums of whole pieces, added up as far as they are neighbours in the tree.
        piece: the one under way. current: its sums so far.
    """

    def __init__(self, buffers: Buffers, calls: list[PlannedCall]) -> None:
        self.done: dict[Value, list[Partial]] = {}
        self.piece = 0
        self.current: dict[Value, Array] = {}
        self._buffers, self._calls = buffers, calls
        self._spare: dict[Value, list[Array]] = {}

    def start(self, y: Value) -> Array:
        """Returns where the first tile of a piece writes its part of a sum, to which the others are added."""
        spare = self._spare.get(y)
        if not self.piece:  # where all others are added in the end
            self.current[y] = self._buffers.output_buffer(y)
        else:
            self.current[y] = spare.pop() if spare else self._buffers.buffer_for(y)
        return self.current[y]

    def end_piece(self) -> None:
        """Takes the sums of a piece into the tree."""
        for y, array in self.current.items():
            add_partial(self.done.setdefault(y, []), Partial(0, self.piece, array), partial(self._add, y))
        self.current = {}

    def _add(self, y: Value, total: Array, part: Array) -> None:
        self._calls.append(adding(y, total, part))
        self._spare.setdefault(y, []).append(part)


@dataclass(eq=False)
class Tile:
    """A run of samples that goes through a stage.

    Attributes:
        stage: which. rows: its samples. memory: of its worker, for a tile. sums: of the worker. starts_sums: whether it
        is the first of its piece. calls: those of the worker. arrays: where the values of the tile lie.
    """

    stage: Stage
    rows: tuple[int, int]
    memory: Array
    sums: WorkerSums
    starts_sums: bool
    calls: list[PlannedCall]
    arrays: dict[Value, Array] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many samples it has."""
        return self.rows[1] - self.rows[0]

    def place(self, y: Value) -> Array:
        """Returns memory that is the value's as long as the tile needs it."""
        return view(self.memory, self.stage.memory.places[y], shape_of(y.type, {BATCH: self.count}), y.dtype)


class Tiling:
    """Plans the calls of stages."""

    def __init__(self, schedule: Schedule, buffers: Buffers, writer: ProgramWriter) -> None:
        self.schedule, self.buffers, self.writer = schedule, buffers, writer
        self._sums: dict[Value, list[Partial]] = {}  # by summed value, what the workers leave, in the order of pieces
        self._parts: dict[Value, list[tuple[Access, int]]] = {}  # by merged value, parts of tiles and their weight

    def add(self, stage: Stage) -> None:
        """Adds the calls of a stage."""
        if not stage.values:
            return
        workers = min(self.schedule.workers, stage.pieces)
        region = self.writer.region(workers)
        pieces = shares(self.schedule.batch, stage.pieces)
        for worker, (first, last) in enumerate(shares(stage.pieces, workers)):
            memory, sums = self._memory(stage, worker), WorkerSums(self.buffers, region[worker])
            for sums.piece in range(first, last):
                self._add_piece(stage, pieces[sums.piece], memory, sums, region[worker])
                sums.end_piece()
            for y, found in sums.done.items():
                self._sums.setdefault(y, []).extend(found)

    def _add_piece(
        self, stage: Stage, piece: tuple[int, int], memory: Array, sums: WorkerSums, calls: list[PlannedCall]
    ) -> None:
        start, stop = piece
        for i, (a, b) in enumerate(shares(stop - start, -(-(stop - start) // stage.tile))):
            tile = Tile(stage, (start + a, start + b), memory, sums, i == 0, calls)
            for v in stage.values:
                if not isinstance(v.op, Item):
                    self._add_operation(tile, v)

    def _memory(self, stage: Stage, worker: int) -> Array:
        """Returns the memory in which a worker keeps the arrays of its tiles."""
        return self.buffers.bytes(stage.memory.size)

    def _add_operation(self, tile: Tile, v: Value) -> None:
        xs = operands_of(v, lambda x: self._array(tile, x), {BATCH: tile.count})
        if v in tile.stage.memory.views:
            self._add_view(tile, v, xs)
        elif self.schedule.cut.batch_rules[v][0] == "combine":
            self._add_part(tile, v, xs)
        else:
            self._add_results(tile, v, xs)

    def _add_view(self, tile: Tile, v: Value, xs: Sequence[Array]) -> None:
        """Shows the memory of an operand, or adds a call that copies it where its elements lie in another order.

        So they do where the operand is a view of all samples, such as these the other way round.
        """
        shown = v.op.eval(*xs)
        if not any(np.may_share_memory(shown, x) for x in xs):
            shown = self.buffers.empty(shown.shape, shown.dtype)
            tile.calls.append(computing(v, [Access(shown, (v,), "samples", tile.rows)], reads_of(v, xs, tile.rows), xs))
        tile.arrays[v] = shown

    def _add_results(self, tile: Tile, v: Value, xs: Sequence[Array]) -> None:
        """Adds a call for an operation, and what adds its results to sums or copies them to where all samples' are."""
        outs: list[Access | None] = []
        after: list[PlannedCall] = []
        for y, rule in zip(results_of(self.schedule.cut, v), self.schedule.cut.batch_rules[v], strict=True):
            if y is None:
                outs.append(None)
                continue
            out = self._output(tile, y) if rule == "parallel" else self._summand(tile, y)
            outs.append(Access(out, (y,), "samples", tile.rows))
            if rule != "parallel" and not tile.starts_sums:
                after.append(adding(y, tile.sums.current[y], out))
            elif rule == "parallel" and y in self.schedule.live_out and y not in tile.stage.memory.direct:
                after.append(copying(Access(out, (y,), "samples", tile.rows), self.buffers.rows(y, tile.rows)))
        offset = tile.rows[0] * (outs[0].array.size // tile.count) if outs[0] is not None else 0
        tile.calls += [computing(v, outs, reads_of(v, xs, tile.rows), xs, offset), *after]

    def _array(self, tile: Tile, x: Value) -> Array:
        return tile.arrays[x] if x in tile.arrays else self.buffers.cut(self.buffers.arrays[x], x, tile.rows)

    def _output(self, tile: Tile, y: Value) -> Array:
        """Returns where the numbers of a tile's samples go."""
        direct = y in tile.stage.memory.direct
        tile.arrays[y] = self.buffers.rows(y, tile.rows) if direct else tile.place(y)
        return tile.arrays[y]

    def _summand(self, tile: Tile, y: Value) -> Array:
        """Returns where a tile's part of a sum goes: for the first one of a piece, where the others are added to it."""
        return tile.sums.start(y) if tile.starts_sums else self._partial_buffer(tile, y)

    def _partial_buffer(self, tile: Tile, y: Value) -> Array:
        return tile.place(y)

    def _add_part(self, tile: Tile, v: Value, xs: Sequence[Array]) -> None:
        """Adds a call for what is kept of a tile, to be merged when all samples are there."""
        op = of_kind(v.op, Merged)
        part = Access(self.buffers.empty(op.part_shape(*xs), xs[0].dtype), (v,), "part", tile.rows)
        self._parts.setdefault(v, []).append((part, op.part_size(*xs)))
        tile.calls.append(taking_part(v, reads_of(v, xs, tile.rows), xs, part))

    def collect(self, stage: Stage) -> None:
        """Adds up what the workers have summed in a stage, and merges parts."""
        cut = self.schedule.cut
        for v in stage.values:
            for y in summed(cut, v):
                left: list[Partial] = []
                for one in self._sums[y]:  # at least one worker has run the stage
                    add_partial(left, one, partial(self._add, y))
            if v in self._parts:
                parts = self._parts[v]
                outs = [None if y is None else Access(self.buffers.output_buffer(y), (y,)) for y in results_of(cut, v)]
                self.writer.add(merging(v, [part for part, _ in parts], [count for _, count in parts], outs))

    def _add(self, y: Value, total: Array, part: Array) -> None:
        self.writer.add(adding(y, total, part))
