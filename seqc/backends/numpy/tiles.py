"""Binding the operations of a stage to the arrays of a tile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from seqc.backends.numpy.calls import Access, BoundCall, adding, computing, copying, reads_of
from seqc.backends.numpy.cut import shape_of
from seqc.backends.numpy.kernels import find_kernel
from seqc.backends.numpy.memory import view
from seqc.backends.numpy.regions import ParallelRegion
from seqc.backends.numpy.stage import Stage
from seqc.graph.batch import BATCH, batch_axis
from seqc.graph.ir import Array, Item, Value
from seqc.ops._parts import Merged

if TYPE_CHECKING:
    from seqc.backends.numpy.builder import Builder


class TileBinder:
    """Binds the operations of a stage to the arrays of one tile."""

    def __init__(
        self,
        builder: Builder,
        plan: Stage,
        region: ParallelRegion,
        worker: int,
        memory: Array,
        rows: tuple[int, int],
        first: bool,
    ) -> None:
        self.builder, self.plan, self.region, self.worker = builder, plan, region, worker
        self.memory, self.rows, self.first = memory, rows, first
        self.sizes = {BATCH: rows[1] - rows[0]}
        self.arrays: dict[Value, Array] = {}
        self.pad = builder.pads[worker]

    def bind_all(self) -> None:
        """Adds the calls of all operations to the region."""
        for v in self.plan.values:
            if not isinstance(v.op, Item):
                self._bind(v)

    def _bind(self, v: Value) -> None:
        xs = operands_of(v, self._array, self.sizes)
        reads = reads_of(v, xs, self.rows)
        if v in self.plan.views:
            self.arrays[v] = v.op.eval(*xs)
            # A copy would show what was there when it was made.
            assert any(np.may_share_memory(self.arrays[v], x) for x in xs)
            return
        batch_rules = self.builder.cut.batch_rules[v]
        if batch_rules[0] == "combine":
            self._bind_part(v, xs, reads)
            return
        results = self.builder.results(v)
        outs: list[Access | None] = []
        more: list[BoundCall] = []
        for y, rule in zip(results, batch_rules, strict=True):
            if y is None:
                outs.append(None)
            elif rule == "parallel":
                outs.append(Access(self._output_buffer(y), (y,), "samples", self.rows))
            else:
                out, total = self._part_of_sum(y)
                outs.append(Access(out, (y,), "samples", self.rows))
                if total is not None:
                    more.append(adding(y, total, out))
        first = self.rows[0] * (outs[0].array.size // (self.rows[1] - self.rows[0])) if outs[0] is not None else 0
        self.region.add(self.worker, computing(v, outs, reads, xs, self.pad, first))
        for call in more:
            self.region.add(self.worker, call)
        for y in results:
            if y is not None and y in self.builder.stored and y not in self.plan.direct:
                made = Access(self.arrays[y], (y,), "samples", self.rows)
                self.region.add(self.worker, copying(made, self._cut(self.builder.arrays[y], y)))

    def _bind_part(self, v: Value, xs: list[Array], reads: list[Access]) -> None:
        assert isinstance(v.op, Merged)
        kept = self.builder.memory.empty(v.op.part_shape(*xs), xs[0].dtype)
        self.builder.counts.setdefault(v, []).append(v.op.part_size(*xs))
        found = find_kernel(type(v.op))
        self.pad.start()
        call = None if found is None else found(v.op, [kept], xs, self.pad)
        part = Access(kept, (v,), "part", self.rows)
        self.builder.parts.setdefault(v, []).append(part)
        call = call or partial(_take_part, v.op, xs, kept)
        self.region.add(self.worker, BoundCall(call, v, reads, [part], self.pad.given))

    def _part_of_sum(self, y: Value) -> tuple[Array, Array | None]:
        """Returns where a tile's part of a sum goes, and the sum it is added to unless it is the first."""
        sums = self.builder.sums.setdefault(y, [])
        if self.first:
            first = self.builder.memory.empty(sums[0].shape, sums[0].dtype) if sums else self.builder.output_buffer(y)
            assert first is not None
            sums.append(first)
            return first, None
        total = sums[-1]
        part = self.builder.partial_buffer(self.worker, y)
        return part, total

    def _output_buffer(self, y: Value) -> Array:
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


def operands_of(v: Value, array: Callable[[Value], Array], sizes: Mapping[str, int]) -> list[Array]:
    """Returns the arrays of a value's operands; of those that only give a shape, one number that repeats."""
    return [
        _hollow(shape_of(x.type, sizes), x.dtype) if i in v.op.shape_only else array(x) for i, x in enumerate(v.inputs)
    ]


def _hollow(shape: tuple[int, ...], dtype: str) -> Array:
    """Returns an array of a shape that takes no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def _take_part(op: Merged, xs: Sequence[Array], out: Array) -> None:
    out[...] = op.partial(*xs)
