"""Building the program of a graph for one batch size: what runs when, on which arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from seqc.backends.numpy import machine
from seqc.backends.numpy.calls import Access, BoundCall, adding, computing, copying, reads_of, same_memory
from seqc.backends.numpy.costs import seconds_of
from seqc.backends.numpy.cut import is_remade, read_operands, shape_of
from seqc.backends.numpy.horizontal_fusion import Group, When, schedule
from seqc.backends.numpy.horizontal_run import HorizontalRunner
from seqc.backends.numpy.kernels import Call, in_turn
from seqc.backends.numpy.memory import Memory, Places, ScratchPad, bytes_of, view
from seqc.backends.numpy.regions import ParallelRegion, Program, shares
from seqc.backends.numpy.rows import AddRows
from seqc.backends.numpy.stage import Stage, plan_stages
from seqc.backends.numpy.tiles import TileBinder, operands_of
from seqc.graph.batch import BATCH
from seqc.graph.ir import Array, Constant, Graph, Input, Item, Value
from seqc.ops._parts import Merged
from seqc.ops.linalg import Gemm, MatMul

# Puts the arrays of some inputs next to each other and returns all of them as one; None where they must stay.
Adjoin = Callable[[Sequence[Value]], Array | None]


class Builder:
    """Builds the program of a graph.

    Args:
        graph: lowered for NumPy; its only named size is the batch. batch: how many samples. state: gives the array of
        an input that outlives a run, None for other inputs; `pack` may move them. targets: for each of the last
        outputs the input whose new state it is; outputs before these are results. workers: threads at most.
    """

    def __init__(
        self,
        graph: Graph,
        batch: int,
        state: Callable[[Value], Array | None],
        targets: Sequence[Value | None],
        pack: Adjoin,
        workers: int,
    ) -> None:
        self.graph, self.batch, self.workers = graph, batch, workers
        self.state, self.pack = state, pack
        count = len(graph.outputs) - len(targets)
        self.results_of_graph, states = graph.outputs[:count], graph.outputs[count:]
        self.targets = dict(zip(states, targets, strict=True))
        self.owners = list(zip(states, targets, strict=True))
        self.sizes = {BATCH: batch}
        self.arrays: dict[Value, Array] = {}
        self.folded: set[Value] = set()
        self.regions: list[ParallelRegion] = []
        self.inputs: dict[Value, Array] = {}
        self.memory = Memory()
        self.pads = [ScratchPad(self.memory) for _ in range(workers)]
        self.cut, self.plans, self.stored = plan_stages(graph, batch, workers)
        self.when, self.groups = schedule(self.cut, graph)
        self.parts: dict[Value, list[Access]] = {}
        self.counts: dict[Value, list[int]] = {}
        self.sums: dict[Value, list[Array]] = {}
        self._memories: dict[int, Array] = {}
        self.spares: list[list[Array]] = [[] for _ in range(workers)]
        self._parts_of_sums: dict[tuple[int, Value], Array] = {}
        self._shown: dict[Value, Array] = {}
        self._last_products: ParallelRegion | None = None
        self._products: list[Array] = []

    # -- building ----------------------------------------------------------------------------------------------------

    def build(self) -> Program:
        """Returns the program."""
        self._place_inputs()
        flat = HorizontalRunner(self)
        for group in self.groups:
            flat.place(group)
        self._read_state()
        self._place_kept()
        turns, groups = self._turns()
        for stage in range(self.cut.stages + 1):
            self._shown.clear()
            self._collect(stage - 1)
            for turn in sorted(when for when in {*turns, *groups} if when[0] == stage):
                for v in turns.get(turn, ()):
                    self._add_whole(v)
                for group in groups.get(turn, ()):
                    flat.add(group)
            if stage < self.cut.stages and self.plans[stage].values:
                self._add_stage(self.plans[stage])
        results = [self._result(y) for y in self.results_of_graph]
        self._commit()
        regions = [p for p in self.regions if any(p.lists)]
        return Program(self.graph, regions, self.inputs, results, self.memory)

    def _turns(self) -> tuple[dict[When, list[Value]], dict[When, list[Group]]]:
        """Returns the values that are computed on their own for all samples, and the groups, by when they are due."""
        values: dict[When, list[Value]] = {}
        groups: dict[When, list[Group]] = {}
        for group in self.groups:
            groups.setdefault(group.when, []).append(group)
        grouped = {v for group in self.groups for chain in group.chains for v in chain.nodes}
        for v, when in self.when.items():
            if v not in self.cut.tiled and v not in grouped and not isinstance(v.op, Input | Constant | Item):
                values.setdefault(when, []).append(v)
        return values, groups

    def serial(self) -> ParallelRegion:
        """Returns the region to which calls are added that run one after the other in the caller's thread."""
        if not self.regions or len(self.regions[-1].lists) != 1:
            self.regions.append(ParallelRegion())
        return self.regions[-1]

    def _place_inputs(self) -> None:
        for x in self.graph.inputs:
            if self.state(x) is None:
                self.inputs[x] = self.arrays[x] = self.memory.empty(shape_of(x.type, self.sizes), x.dtype)
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
                    places[v] = memory.take(bytes_of(v.type, self.sizes))
            for v in ends.get(stage, ()):
                if v not in outputs:
                    memory.give(places[v], bytes_of(v.type, self.sizes))
        scratch = self.memory.block(memory.size)
        for v, start in places.items():
            self.arrays[v] = view(scratch, start, shape_of(v.type, self.sizes), v.dtype)

    def present(self) -> dict[Value, Array]:
        """Returns where values lie that are there when a run begins: inputs, state and constants."""
        return {x: self.arrays[x] for x in (*self.graph.inputs, *self.folded)}

    def new_state(self) -> list[tuple[Value, Array]]:
        """Returns the outputs that become state, and where each has to be in the end."""
        return [(y, self.arrays[x]) for y, x in self.owners if x is not None]

    # -- values for all samples --------------------------------------------------------------------------------------

    def whole(self, x: Value) -> Array:
        """Returns the array of a value for all samples; a view of a tiled value is made where it is asked for."""
        if x in self.arrays:
            return self.arrays[x]
        if x not in self._shown:
            xs = operands_of(x, self.whole, self.sizes)
            result = x.op.eval(*xs) if x.op.kind == "view" else None
            if result is None or not _shows(result, xs):
                result = self.memory.empty(shape_of(x.type, self.sizes), x.dtype)
                self.serial().add(0, computing(x, [Access(result, (x,))], reads_of(x, xs), xs, self.pads[0]))
            self._shown[x] = result
        return self._shown[x]

    def _add_whole(self, v: Value) -> None:
        xs = operands_of(v, self.whole, self.sizes)
        read = read_operands(v)
        if all(x in self.folded for x in read) and not isinstance(v.result, tuple) and v not in self.arrays:
            with np.errstate(all="ignore"):
                result = np.asarray(v.op.eval(*xs))
            self.arrays[v] = result.copy() if _shows(result, xs) else result
            self.folded.add(v)
            return
        if v.op.kind == "view" and v not in self.arrays:
            shown = v.op.eval(*xs)
            if _shows(shown, xs):
                self.arrays[v] = shown
                return
        if isinstance(v.op, AddRows) and self._overwrites(v):
            self.arrays[v] = xs[0]
        if isinstance(v.op, MatMul | Gemm) and self._add_shared_product(v, self.output_buffer(v), xs):
            return
        self.serial().add(0, computing(v, self._output_buffers(v), reads_of(v, xs), xs, self.pads[0]))

    def _output_buffers(self, v: Value) -> list[Access | None]:
        """Returns where the results of an operation are kept for all samples, None for those that nobody reads."""
        return [None if y is None else Access(self.output_buffer(y), (y,)) for y in self.results(v)]

    def _overwrites(self, v: Value) -> bool:
        """Tells whether a value is the new state of its first operand, the old state of which nobody reads any more."""
        owner = self.targets.get(v)
        return owner is v.inputs[0] and v not in self.arrays and self.last_read(owner, [v]) < self.when[v]

    def results(self, v: Value) -> list[Value | None]:
        """Returns the values that stand for the results of an operation, None where nobody reads one."""
        if not isinstance(v.result, tuple):
            return [v]
        picked = {u.op.index: u for u in self.cut.users.get(v, ()) if isinstance(u.op, Item)}
        return [picked.get(i) for i in range(len(v.result))]

    def output_buffer(self, y: Value) -> Array:
        """Returns where a result for all samples is kept."""
        if y not in self.arrays:
            self.arrays[y] = self.memory.empty(shape_of(y.type, self.sizes), y.dtype)
        return self.arrays[y]

    def _add_shared_product(self, v: Value, out: Array, xs: Sequence[Array]) -> bool:
        """Adds a matrix product whose rows the threads share, if it is large enough."""
        a, b, *bias = xs
        if self.workers == 1 or a.ndim < 2 or b.ndim != 2 or not out.flags.c_contiguous:
            return False
        if not machine.worth_sharing(seconds_of(v, self.sizes), self.workers):
            return False
        out = out.reshape(-1, out.shape[-1])
        if a.ndim > 2:
            if not a.flags.c_contiguous:
                return False
            a = a.reshape(-1, a.shape[-1])
        region = self._phase_of_products(xs)
        for worker, (start, stop) in enumerate(shares(len(out), self.workers)):
            rows, made = a[start:stop], out[start:stop]
            call: Call = partial(np.matmul, rows, b, made)
            if bias:
                call = in_turn(call, partial(np.add, made, bias[0], made))
            read = Access(rows, v.inputs[:1], "elements", (start * a.shape[1], stop * a.shape[1]))
            written = Access(made, (v,), "elements", (start * out.shape[1], stop * out.shape[1]))
            region.add(worker, BoundCall(call, v, [read, *reads_of(v, xs)[1:]], [written]))
        self._products.append(out)
        return True

    def _phase_of_products(self, xs: Sequence[Array]) -> ParallelRegion:
        """Returns the region of the products before, or a new one where one of these is read: it has to be complete."""
        at_end = self._last_products is not None and self.regions[-1] is self._last_products
        if not at_end or any(np.may_share_memory(x, out) for x in xs for out in self._products):
            self._last_products, self._products = ParallelRegion.of(self.workers), []
            self.regions.append(self._last_products)
        assert self._last_products is not None
        return self._last_products

    # -- stages ------------------------------------------------------------------------------------------------------

    def _add_stage(self, plan: Stage) -> None:
        region = ParallelRegion.of(plan.workers) if plan.workers > 1 else self.serial()
        for worker, (start, stop) in enumerate(shares(self.batch, plan.workers)):
            memory = self._memory(worker)
            for i, (a, b) in enumerate(shares(stop - start, -(-(stop - start) // plan.tile))):
                TileBinder(self, plan, region, worker, memory, (start + a, start + b), i == 0).bind_all()
        if plan.workers > 1:
            self.regions.append(region)

    def _memory(self, worker: int) -> Array:
        """Returns the memory in which a thread keeps a tile's arrays, the same for all stages."""
        if worker not in self._memories:
            self._memories[worker] = self.memory.block(max(plan.size for plan in self.plans))
        return self._memories[worker]

    def _collect(self, stage: int) -> None:
        """Adds up what the threads have summed in a stage, always in the same order."""
        for v in self.cut.order:
            if self.cut.tiled.get(v, self._stage_of_item(v)) != stage:
                continue
            parts = self.sums.get(v, [])
            for part in parts[1:]:
                self.serial().add(0, adding(v, parts[0], part))
            if isinstance(v.op, Merged) and v in self.parts:
                output_buffers = self._output_buffers(v)
                arrays = [None if output_buffer is None else output_buffer.array for output_buffer in output_buffers]
                call = partial(_merge, v.op, [part.array for part in self.parts[v]], self.counts[v], arrays)
                written = [output_buffer for output_buffer in output_buffers if output_buffer is not None]
                self.serial().add(0, BoundCall(call, v, self.parts[v], written, kind="merge"))

    def _stage_of_item(self, v: Value) -> int | None:
        return self.cut.tiled.get(v.inputs[0]) if isinstance(v.op, Item) else None

    def partial_buffer(self, worker: int, y: Value) -> Array:
        """Returns memory of a thread for a tile's part of a sum."""
        if (worker, y) not in self._parts_of_sums:
            self._parts_of_sums[worker, y] = self.memory.empty(shape_of(y.type, self.sizes), y.dtype)
        return self._parts_of_sums[worker, y]

    # -- state -------------------------------------------------------------------------------------------------------

    def _result(self, y: Value) -> Array:
        """Returns the array of a result, one that no new state is written over."""
        shown = self.whole(y)
        if not any(np.may_share_memory(shown, self.arrays[x]) for _, x in self.owners if x is not None):
            return shown
        return self._copy(y, shown)

    def _copy(self, x: Value, shown: Array) -> Array:
        kept = self.memory.empty(shown.shape, shown.dtype)
        self.serial().add(0, copying(Access(shown, (x,)), kept))
        return kept

    def _commit(self) -> None:
        """Writes the new state that is not yet in its place."""
        moves = []
        state = {x for x in self.graph.inputs if self.state(x) is not None}
        for value, owner in self.owners:
            if owner is None:
                continue
            target, source = self.arrays[owner], self.whole(value)
            if same_memory(target, source):
                continue
            if any(np.may_share_memory(source, self.arrays[x]) for x in state):
                source = self._copy(value, source)
            moves.append((target, source, value))
        for target, source, value in moves:
            self.serial().add(0, copying(Access(source, (value,)), target))

    def last_read(self, x: Value, inside: Iterable[Value]) -> tuple[float, float]:
        """Returns when a value's numbers are read for the last time by anything but `inside`."""
        skipped = set(inside)
        latest = (-1.0, -1.0)
        for u in self.cut.users.get(x, ()):
            if u in skipped:
                continue
            at = (float(self.cut.tiled[u]), float("inf")) if u in self.cut.tiled else self.when.get(u, (0, 0))
            latest = max(latest, at)
            if is_remade(u):
                latest = max(latest, self.last_read(u, skipped))
        if any(y is x and t is not x for y, t in self.owners) or any(y is x for y in self.results_of_graph):
            latest = (float("inf"), 0.0)
        return latest


def _shows(result: Array, xs: Sequence[Array]) -> bool:
    return any(np.may_share_memory(result, x) for x in xs)


def _merge(op: Merged, parts: list[Array], counts: list[int], outs: Sequence[Array | None]) -> None:
    for out, result in zip(outs, op.merge(parts, counts), strict=True):
        if out is not None:
            out[...] = result
