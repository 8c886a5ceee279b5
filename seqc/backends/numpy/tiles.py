"""Binding the operations of a stage to the arrays of a tile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc.backends.numpy.bind import bind
from seqc.backends.numpy.cut import shape_of
from seqc.backends.numpy.kernels import Call, find_kernel
from seqc.backends.numpy.memory import empty, view
from seqc.backends.numpy.phases import Phase
from seqc.backends.numpy.stage import Stage
from seqc.batch import BATCH, batch_axis
from seqc.ir import Array, Item, Value

if TYPE_CHECKING:
    from seqc.backends.numpy.builder import Builder


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
        xs = operands_of(v, self._array, self.sizes)
        if v in self.plan.views:
            self.arrays[v] = v.op.eval(*xs)
            # A copy would show what was there when it was made.
            assert any(np.may_share_memory(self.arrays[v], x) for x in xs)
            return
        spreads = self.builder.cut.spreads[v]
        if spreads[0] == "merge":
            self._bind_part(v, xs)
            return
        results = self.builder.results(v)
        outs: list[Array | None] = []
        more: list[tuple[Array, Array, Value]] = []
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
        kept = empty(op.part_shape(*xs), xs[0].dtype)
        self.builder.parts.setdefault(v, []).append(kept)
        self.builder.counts.setdefault(v, []).append(op.count(*xs))
        found = find_kernel(type(op))
        self.pad.start()
        call = None if found is None else found(op, [kept], xs, self.pad)
        self._add(call or partial(_take_part, op, xs, kept), v)

    def _part_of_sum(self, y: Value) -> tuple[Array, Array | None]:
        """Returns where a tile's part of a sum goes, and the sum it is added to unless it is the first."""
        sums = self.builder.sums.setdefault(y, [])
        if self.first:
            home = self.builder.home(y) if not sums else empty(sums[0].shape, sums[0].dtype)
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


def operands_of(v: Value, array: Callable[[Value], Array], sizes: Mapping[str, int]) -> list[Array]:
    """Returns the arrays of a value's operands; of those that only give a shape, one number that repeats."""
    return [
        _hollow(shape_of(x.type, sizes), x.dtype) if i in v.op.shape_only else array(x) for i, x in enumerate(v.inputs)
    ]


def _hollow(shape: tuple[int, ...], dtype: str) -> Array:
    """Returns an array of a shape that takes no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def _take_part(op: Any, xs: Sequence[Array], out: Array) -> None:
    out[...] = op.partial(*xs)
