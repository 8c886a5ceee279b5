"""A graph made ready to run for one batch size: calls bound to arrays, in phases that threads share out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from seqc.backends.numpy.bind import bind
from seqc.backends.numpy.costs import seconds_of, worth_sharing
from seqc.backends.numpy.cut import (
    VIEWS,
    Cut,
    cut_graph,
    is_remade,
    read_operands,
    shape_of,
    stored_values,
)
from seqc.backends.numpy.flat import FlatRunner
from seqc.backends.numpy.kernels import Call, find_kernel
from seqc.backends.numpy.memory import Places, ScratchPad, block, cache_bytes, empty, view
from seqc.backends.numpy.stage import Stage, plan_stage
from seqc.backends.numpy.updates import Group, When, schedule
from seqc.backends.numpy.workers import WORKERS, Failure
from seqc.batch import BATCH, batch_axis
from seqc.ir import Array, Constant, Graph, Input, Item, Type, Value
from seqc.ops.linalg import Gemm, MatMul

# A matrix had better not be read or written anew for each so many rows of a tile.
FEW_ROWS = 64

# Puts the arrays of some inputs next to each other and returns all of them as one.
Adjoin = Callable[[Sequence[Value]], Array]


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
        self._at = 0
        for self._at, phase in enumerate(self.phases):
            WORKERS.run(phase.lists)

    def value_at(self, failure: Failure) -> Value:
        """Returns what the call that failed in the last run computes."""
        return self.phases[self._at].values[failure.lane][failure.place]


class Builder:
    """Builds the program of a graph.

    Args:
        graph: lowered for NumPy; its only named size is the batch. batch: how many samples. state: the arrays of those
        inputs that outlive a run, by input; the arrays may move when `adjoin` is called. targets: where outputs go, None
        for the first. lanes: threads at most.
    """

    def __init__(
        self,
        graph: Graph,
        batch: int,
        state: Callable[[Value], Array | None],
        targets: Sequence[Value | None],
        adjoin: Adjoin,
        lanes: int,
    ) -> None:
        self.graph, self.batch, self.lanes = graph, batch, lanes
        self.state, self.adjoin = state, adjoin
        self.targets = {y: t for y, t in zip(graph.outputs[1:], targets, strict=True)}
        self.owners = list(zip(graph.outputs[1:], targets, strict=True))
        self.sizes = {BATCH: batch}
        self.arrays: dict[Value, Array] = {}
        self.folded: set[Value] = set()
        self.phases: list[Phase] = []
        self.inputs: dict[Value, Array] = {}
        self.pads = [ScratchPad() for _ in range(lanes)]
        self.cut, self.plans = self._plan()
        self.stored = stored_values(self.cut, graph.outputs)
        self.when, self.groups = schedule(self.cut, graph)
        self.parts: dict[Value, list[Array]] = {}
        self.counts: dict[Value, list[int]] = {}
        self.sums: dict[Value, list[Array]] = {}
        self._memories: dict[int, Array] = {}
        self.spares: list[list[Array]] = [[] for _ in range(lanes)]
        self._parts_of_sums: dict[tuple[int, Value], Array] = {}
        self._shown: dict[Value, Array] = {}

    # -- what runs where ---------------------------------------------------------------------------------------------

    def _plan(self) -> tuple[Cut, list[Stage]]:
        """Cuts the graph; products with large matrices are taken out of stages whose tiles are too small for them."""
        whole: frozenset[Value] = frozenset()
        while True:
            cut = cut_graph(self.graph, whole)
            stored = stored_values(cut, self.graph.outputs)
            plans = [
                plan_stage(cut, number, stored, self.batch, self.lanes, cache_bytes()) for number in range(cut.stages)
            ]
            heavy = {v for plan in plans for v in plan.values if self._is_heavy(v, cut, plan)}
            if not heavy:
                return cut, plans
            whole |= heavy

    def _is_heavy(self, v: Value, cut: Cut, plan: Stage) -> bool:
        """Tells whether a product had better be computed for all samples at once.

        Each tile would read the whole matrix, or write a part of the sum as large as the result.
        """
        if not isinstance(v.op, MatMul | Gemm) or v not in cut.tiled or self.batch == 1:
            return False
        if self.batch <= plan.tile:
            return False
        if cut.spreads[v] == ("sum",):
            rows = shape_of(v.inputs[0].type, {BATCH: plan.tile})[-1]
            return rows <= FEW_ROWS and self._bytes(v.type) >= cache_bytes() // 4
        matrix = v.inputs[1]
        if batch_axis(matrix.type) is not None or matrix.type.rank != 2 or batch_axis(v.type) != 0:
            return False
        rows = int(np.prod(shape_of(v.type, {BATCH: plan.tile})[:-1]))
        return rows < FEW_ROWS // 2 and self._bytes(matrix.type) >= cache_bytes() // 2

    def _bytes(self, t: Type) -> int:
        return int(np.prod(shape_of(t, self.sizes))) * np.dtype(t.dtype).itemsize

    # -- building ----------------------------------------------------------------------------------------------------

    def build(self) -> Program:
        """Returns the program."""
        self._place_inputs()
        flat = FlatRunner(self)
        for group in self.groups:
            flat.place(group)
        self._read_state()
        self._place_kept()
        turns: dict[When, list[Value]] = {}
        for v, when in self.when.items():
            if v not in self.cut.tiled and not isinstance(v.op, Input | Constant | Item):
                turns.setdefault(when, []).append(v)
        grouped = {v for g in self.groups for lane in g.lanes for v in lane.nodes}
        by_turn: dict[When, list[Group]] = {}
        for g in self.groups:
            by_turn.setdefault(g.when, []).append(g)
        for stage in range(self.cut.stages + 1):
            self._shown.clear()
            self._collect(stage - 1)
            for turn in sorted({w for w in (*turns, *by_turn) if w[0] == stage}):
                for v in turns.get(turn, ()):
                    if v not in grouped:
                        self._add_whole(v)
                for group in by_turn.get(turn, ()):
                    flat.add(group)
            if stage < self.cut.stages and self.plans[stage].values:
                self._add_stage(self.plans[stage])
        self._commit()
        result = self._whole(self.graph.outputs[0])
        return Program(self.graph, [p for p in self.phases if any(p.lists)], self.inputs, result)

    def serial(self) -> Phase:
        """Returns the phase to which calls are added that run one after the other in the caller's thread."""
        if not self.phases or len(self.phases[-1].lists) != 1:
            self.phases.append(Phase())
        return self.phases[-1]

    def _place_inputs(self) -> None:
        for x in self.graph.inputs:
            if self.state(x) is None:
                self.inputs[x] = self.arrays[x] = empty(shape_of(x.type, self.sizes), x.dtype)
        for v in self.cut.order:
            if isinstance(v.op, Constant):
                self.arrays[v] = v.op.array
                self.folded.add(v)

    def _read_state(self) -> None:
        for x in self.graph.inputs:
            array = self.state(x)
            if array is not None:
                self.arrays[x] = array

    def _place_kept(self) -> None:
        """Gives the values that cross from stage to stage one block of memory, in which places are used again."""
        memory = Places()
        places: dict[Value, int] = {}
        outputs = set(self.graph.outputs)
        ends: dict[int, list[Value]] = {}
        for v, last in self.stored.items():
            ends.setdefault(last, []).append(v)
        for stage in range(self.cut.stages + 1):
            for v in self.stored:
                if self.cut.tiled[v] == stage:
                    places[v] = memory.take(self._bytes(v.type))
            for v in ends.get(stage, ()):
                if v not in outputs:
                    memory.give(places[v], self._bytes(v.type))
        room = block(memory.size)
        for v, start in places.items():
            self.arrays[v] = view(room, start, shape_of(v.type, self.sizes), v.dtype)

    # -- values for all samples --------------------------------------------------------------------------------------

    def _whole(self, x: Value) -> Array:
        """Returns the array of a value for all samples; a view of a tiled value is made where it is asked for."""
        if x in self.arrays:
            return self.arrays[x]
        if x not in self._shown:
            xs = self._operands(x, self._whole, self.sizes)
            result = x.op.eval(*xs) if isinstance(x.op, VIEWS) else None
            if result is None or not _shows(result, xs):
                result = empty(shape_of(x.type, self.sizes), x.dtype)
                self.pads[0].start()
                self.serial().add(0, bind(x.op, [result], xs, self.pads[0]), x)
            self._shown[x] = result
        return self._shown[x]

    def _operands(self, v: Value, array: Callable[[Value], Array], sizes: Mapping[str, int]) -> list[Array]:
        """Returns the operands' arrays; of those that only give a shape, one number that repeats."""
        return [
            _hollow(shape_of(x.type, sizes), x.dtype) if i in v.op.shape_only else array(x)
            for i, x in enumerate(v.inputs)
        ]

    def _add_whole(self, v: Value) -> None:
        xs = self._operands(v, self._whole, self.sizes)
        read = read_operands(v)
        if all(x in self.folded for x in read) and not isinstance(v.result, tuple) and v not in self.arrays:
            with np.errstate(all="ignore"):
                self.arrays[v] = np.asarray(v.op.eval(*xs))
            self.folded.add(v)
            return
        if isinstance(v.op, VIEWS) and v not in self.arrays:
            shown = v.op.eval(*xs)
            if _shows(shown, xs):
                self.arrays[v] = shown
                return
        outs = [self._home(y) for y in self._results(v)]
        if isinstance(v.op, MatMul) and self._add_shared_product(v, outs, xs):
            return
        self.pads[0].start()
        self.serial().add(0, bind(v.op, outs, xs, self.pads[0]), v)

    def _results(self, v: Value) -> list[Value | None]:
        """Returns the values that stand for the results of an operation, None where nobody reads one."""
        if not isinstance(v.result, tuple):
            return [v]
        picked = {u.op.index: u for u in self.cut.users.get(v, ()) if isinstance(u.op, Item)}
        return [picked.get(i) for i in range(len(v.result))]

    def _home(self, y: Value | None) -> Array | None:
        """Returns where a result for all samples is kept."""
        if y is None:
            return None
        if y not in self.arrays:
            self.arrays[y] = empty(shape_of(y.type, self.sizes), y.dtype)
        return self.arrays[y]

    def _add_shared_product(self, v: Value, outs: Sequence[Array | None], xs: Sequence[Array]) -> bool:
        """Adds a matrix product whose rows the threads share, if it is large enough."""
        out, (a, b) = outs[0], xs
        if self.lanes == 1 or out is None or a.ndim < 2 or b.ndim != 2 or not out.flags.c_contiguous:
            return False
        if not worth_sharing(seconds_of(v, self.sizes), self.lanes):
            return False
        out = out.reshape(-1, out.shape[-1])
        if a.ndim > 2:
            if not a.flags.c_contiguous:
                return False
            a = a.reshape(-1, a.shape[-1])
        phase = Phase.of(self.lanes)
        for lane, (start, stop) in enumerate(shares(len(out), self.lanes)):
            phase.add(lane, partial(np.matmul, a[start:stop], b, out[start:stop]), v)
        self.phases.append(phase)
        return True

    # -- stages ------------------------------------------------------------------------------------------------------

    def _add_stage(self, plan: Stage) -> None:
        phase = Phase.of(plan.lanes) if plan.lanes > 1 else self.serial()
        for lane, (start, stop) in enumerate(shares(self.batch, plan.lanes)):
            memory = self._memory(lane, plan.size)
            for i, (a, b) in enumerate(shares(stop - start, -(-(stop - start) // plan.tile))):
                TileBinder(self, plan, phase, lane, memory, (start + a, start + b), i == 0).bind_all()
        if plan.lanes > 1:
            self.phases.append(phase)

    def _memory(self, lane: int, count: int) -> Array:
        """Returns the memory in which a thread keeps a tile's arrays, the same for all stages."""
        if lane not in self._memories:
            self._memories[lane] = block(max([count, *(plan.size for plan in self.plans)]))
        return self._memories[lane]

    def _collect(self, stage: int) -> None:
        """Adds up what the threads have summed in a stage, always in the same order."""
        for v in self.cut.order:
            if self.cut.tiled.get(v, self._stage_of_item(v)) != stage:
                continue
            parts = self.sums.get(v, [])
            for part in parts[1:]:
                self.serial().add(0, partial(np.add, parts[0], part, parts[0]), v)
            if v in self.parts:
                outs = [self._home(y) for y in self._results(v)]
                self.serial().add(0, partial(_merge, v.op, self.parts[v], self.counts[v], outs), v)

    def _stage_of_item(self, v: Value) -> int | None:
        return self.cut.tiled.get(v.inputs[0]) if isinstance(v.op, Item) else None

    def spare(self, lane: int, y: Value) -> Array:
        """Returns memory of a thread for a tile's part of a sum."""
        if (lane, y) not in self._parts_of_sums:
            self._parts_of_sums[lane, y] = empty(shape_of(y.type, self.sizes), y.dtype)
        return self._parts_of_sums[lane, y]

    # -- state -------------------------------------------------------------------------------------------------------

    def _commit(self) -> None:
        """Writes the new state that is not yet in its place."""
        moves = []
        state = {x for x in self.graph.inputs if self.state(x) is not None}
        for value, owner in self.owners:
            if owner is None:
                continue
            target, source = self.arrays[owner], self._whole(value)
            if same_memory(target, source):
                continue
            if any(np.may_share_memory(source, self.arrays[x]) for x in state):
                kept = empty(source.shape, source.dtype)
                self.serial().add(0, partial(np.copyto, kept, source), value)
                source = kept
            moves.append((target, source, value))
        for target, source, value in moves:
            self.serial().add(0, partial(np.copyto, target, source), value)

    def last_read(self, x: Value, inside: Iterable[Value]) -> tuple[float, float]:
        """Returns when a value's numbers are read for the last time by anything but `inside`."""
        skipped = set(inside)
        latest = (-1.0, -1.0)
        for u in self.cut.users.get(x, ()):
            if u in skipped:
                continue
            at = (float(self.cut.tiled[u]), float("inf")) if u in self.cut.tiled else self.when.get(u, (0, 0))
            latest = max(latest, at)
            if isinstance(u.op, VIEWS) or is_remade(u):
                latest = max(latest, self.last_read(u, skipped))
        if any(y is x and t is not x for y, t in self.owners) or self.graph.outputs[0] is x:
            latest = (float("inf"), 0.0)
        return latest


class TileBinder:
    """Binds the operations of a stage to the arrays of one tile."""

    def __init__(
        self,
        builder: Builder,
        plan: Stage,
        phase: Phase,
        lane: int,
        memory: Array,
        rows: tuple[int, int],
        first: bool,
    ) -> None:
        self.builder, self.plan, self.phase, self.lane = builder, plan, phase, lane
        self.memory, self.rows, self.first = memory, rows, first
        self.sizes = {BATCH: rows[1] - rows[0]}
        self.arrays: dict[Value, Array] = {}
        self.pad = builder.pads[lane]

    def bind_all(self) -> None:
        """Adds the calls of all operations to the phase."""
        for v in self.plan.values:
            if not isinstance(v.op, Item):
                self._bind(v)

    def _bind(self, v: Value) -> None:
        xs = self.builder._operands(v, self._array, self.sizes)
        if v in self.plan.views:
            shown = v.op.eval(*xs)
            self.arrays[v] = shown
            return
        spreads = self.builder.cut.spreads[v]
        if spreads[0] == "merge":
            self._bind_part(v, xs)
            return
        results = self.builder._results(v)
        outs, more = [], []
        for y, spread in zip(results, spreads, strict=True):
            if y is None:
                outs.append(None)
            elif spread == "each":
                outs.append(self._home(y))
            else:
                out, total = self._part_of_sum(y)
                outs.append(out)
                if total is not None:
                    more.append((total, out, y))
        self.pad.start()
        first = self.rows[0] * (outs[0].size // (self.rows[1] - self.rows[0])) if outs[0] is not None else 0
        self._add(bind(v.op, outs, xs, self.pad, first), v)
        for total, part, y in more:
            self._add(partial(np.add, total, part, total), y)
        for y in results:
            if y is not None and y in self.builder.stored and y not in self.plan.direct:
                self._add(partial(np.copyto, self._cut(self.builder.arrays[y], y), self.arrays[y]), y)

    def _add(self, call: Call, v: Value) -> None:
        self.phase.add(self.lane, call, v)

    def _bind_part(self, v: Value, xs: list[Array]) -> None:
        op: Any = v.op
        part = np.asarray(op.partial(*xs))
        kept = empty(part.shape, part.dtype)
        self.builder.parts.setdefault(v, []).append(kept)
        size = int(np.prod([d for i, d in enumerate(xs[0].shape) if i != op.axis]))
        self.builder.counts.setdefault(v, []).append(size)
        found = find_kernel(type(op))
        self.pad.start()
        call = None if found is None else found(op, [kept], xs, self.pad)
        self._add(call or partial(_take_part, op, xs, kept), v)

    def _part_of_sum(self, y: Value) -> tuple[Array, Array | None]:
        """Returns where a tile's part of a sum goes, and the sum it is added to unless it is the first."""
        sums = self.builder.sums.setdefault(y, [])
        if self.first:
            home = self.builder._home(y) if not sums else empty(sums[0].shape, sums[0].dtype)
            assert home is not None
            sums.append(home)
            return home, None
        total = sums[-1]
        part = self.builder.spare(self.lane, y)
        return part, total

    def _home(self, y: Value) -> Array:
        if y in self.plan.direct:
            self.arrays[y] = self._cut(self.builder.arrays[y], y)
        else:
            self.arrays[y] = view(self.memory, self.plan.places[y], shape_of(y.type, self.sizes), y.dtype)
        return self.arrays[y]

    def _array(self, x: Value) -> Array:
        if x in self.arrays:
            return self.arrays[x]
        whole = self.builder.arrays[x]
        return whole if batch_axis(x.type) is None else self._cut(whole, x)

    def _cut(self, whole: Array, x: Value) -> Array:
        """Returns the part of an array for all samples that belongs to the tile."""
        axis = batch_axis(x.type)
        assert axis is not None
        each = whole.shape[axis] // self.builder.batch
        return whole[(*(slice(None),) * axis, slice(self.rows[0] * each, self.rows[1] * each))]


def shares(count: int, lanes: int) -> list[tuple[int, int]]:
    """Returns the bounds of `lanes` runs of nearly equal length."""
    ends = [count * i // lanes for i in range(lanes + 1)]
    return [(a, b) for a, b in zip(ends, ends[1:], strict=False) if b > a]


def same_memory(a: Array, b: Array) -> bool:
    """Tells whether two arrays are the same elements in the same order."""
    return a.ctypes.data == b.ctypes.data and a.shape == b.shape and a.strides == b.strides and a.dtype == b.dtype


def _shows(result: Array, xs: Sequence[Array]) -> bool:
    return any(np.may_share_memory(result, x) for x in xs)


def _hollow(shape: tuple[int, ...], dtype: str) -> Array:
    """Returns an array of a shape that takes no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def _take_part(op: Any, xs: Sequence[Array], out: Array) -> None:
    out[...] = op.partial(*xs)


def _merge(op: Any, parts: list[Array], counts: list[int], outs: Sequence[Array | None]) -> None:
    for out, result in zip(outs, op.merge(parts, counts), strict=True):
        if out is not None:
            out[...] = result
