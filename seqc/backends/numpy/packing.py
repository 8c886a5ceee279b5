"""Putting what groups of chains read and give side by side in memory, so that each row of arrays is one array."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from seqc.backends.numpy.buffers import Buffers
from seqc.backends.numpy.horizontal_fusion import Chain, Group
from seqc.backends.numpy.kernel_choice import ufunc_of
from seqc.backends.numpy.schedule import Schedule
from seqc.backends.numpy.state import State
from seqc.graph.ir import Array, Constant, Input, Value
from seqc.ops.shape import Reshape
from seqc.sure import mistake


class Packing:
    """Where the rows of groups lie. A row is what the chains of a group have in one place, a value each.

    Attributes:
        rows: the array of each row, by the value of the first chain.
        copied: what is copied to a row before a group runs, with the piece of the row where it goes.
    """

    def __init__(self, schedule: Schedule, buffers: Buffers, state: State) -> None:
        self.schedule, self.buffers, self.state = schedule, buffers, state
        self.rows: dict[tuple[Group, Value], Array] = {}
        self.copied: dict[Group, list[tuple[Array, Value]]] = {}
        self._packed: dict[Value, tuple[tuple[int, ...], Array]] = {}  # by value: the row that it is part of
        for group in schedule.groups:
            self._pack(group)

    def _pack(self, group: Group) -> None:
        first = group.chains[0]
        for i, leaf in enumerate(first.leaves):
            values = [chain.leaves[i] for chain in group.chains]
            self.rows[group, leaf] = self._leaf_row(group, values)
        for i, result in enumerate(first.results):
            values = [chain.results[i] for chain in group.chains]
            row = self._row_of_state(group, values)
            row = self._new_row(group, values) if row is None else row
            self._give(group, values, row)
            self.rows[group, result] = row

    # -- what a group reads ------------------------------------------------------------------------------------------

    def _leaf_row(self, group: Group, values: list[Value]) -> Array:
        """Returns where a group reads a row: where the values lie, can be moved or will be computed; else a copy."""
        row = self._known_row(values)
        if row is None and self._are_free(values):
            if all(x in self.state for x in values):
                row = self._moved_state(values)
            elif not any(isinstance(x.op, Input) for x in values):
                row = self._new_row(group, values)
                for x, piece in zip(values, _pieces(group, row), strict=True):
                    self._compute_into(x, piece)
                self._note(values, row)
        if row is None:
            row = self._new_row(group, values)
            self.copied.setdefault(group, []).extend(zip(_pieces(group, row), values, strict=True))
        return row

    def _are_free(self, values: list[Value]) -> bool:
        """Tells whether values may get buffers side by side: one each, also those that several chains read."""
        placed = any(x in self._packed or x in self.buffers.arrays for x in values)
        return not placed and len(set(values)) == len(values)

    def _compute_into(self, x: Value, piece: Array) -> None:
        """Makes a piece the buffer of a value; of what is only shown in another shape, the buffer of that."""
        source = x.inputs[0] if isinstance(x.op, Reshape) and self._is_movable(x.inputs[0]) else x
        self.buffers.arrays[source] = piece.reshape(source.type.shape)  # type: ignore[arg-type]

    def _is_movable(self, source: Value) -> bool:
        """Tells whether a value may be computed where its only reader shows it."""
        cut = self.schedule.cut
        if source in self.buffers.arrays or source not in cut.ready or isinstance(source.op, Input | Constant):
            return False
        return len(cut.users.get(source, ())) == 1 and source.type.is_static

    # -- what a group gives ------------------------------------------------------------------------------------------

    def _row_of_state(self, group: Group, values: list[Value]) -> Array | None:
        """Returns the row of the old state where the new may be written over it, None where it may not."""
        owners = [self.schedule.targets.get(y) for y in values]
        old = [x for x in owners if x is not None and x in self.state and x.dtype == values[0].dtype]
        if len(old) < len(values):
            return None
        pairs = zip(group.chains, values, old, strict=True)
        if not all(self._may_overwrite(group, chain, y, x) for chain, y, x in pairs):
            return None
        row = self._known_row(old)
        return self._moved_state(old) if row is None and not any(x in self._packed for x in old) else row

    def _may_overwrite(self, group: Group, chain: Chain, y: Value, x: Value) -> bool:
        """Tells whether nobody reads the old state x any more once a chain has computed y, which takes its place."""
        if self.schedule.places_taken[x] > 1:
            return False
        if self.schedule.last_read(x, chain.nodes) >= group.when:  # by others, which may run as late as the group
            return False
        computed = next(at for at, v in enumerate(chain.nodes) if v is y)
        reads = [at for at, v in enumerate(chain.nodes) if any(u is x for u in v.inputs)]
        # NumPy's own functions read an element before they write it.
        return all(at < computed or (at == computed and ufunc_of(y.op) is not None) for at in reads)

    def _give(self, group: Group, values: list[Value], row: Array) -> None:
        if any(y in self.buffers.arrays for y in values):
            raise mistake("a value is placed before the group that gives it")
        self._note(values, row)
        for y, piece in zip(values, _pieces(group, row), strict=True):
            self.buffers.arrays[y] = piece.reshape(y.type.shape)  # type: ignore[arg-type]

    # -- rows --------------------------------------------------------------------------------------------------------

    def _new_row(self, group: Group, values: list[Value]) -> Array:
        return self.buffers.empty((sum(group.sizes),), values[0].dtype)

    def _known_row(self, values: Sequence[Value]) -> Array | None:
        """Returns the row that just these values are, None if there is none."""
        key, row = self._packed.get(values[0], ((), None))
        return row if key == tuple(map(id, values)) else None

    def _moved_state(self, values: Sequence[Value]) -> Array | None:
        """Moves state to lie side by side; returns None where that cannot be."""
        row = self.state.adjoin(values)
        if row is not None:
            self._note(values, row)
        return row

    def _note(self, values: Sequence[Value], row: Array) -> None:
        key = tuple(map(id, values))
        for x in values:
            self._packed[x] = (key, row)


def _pieces(group: Group, row: Array) -> list[Array]:
    return [row[a:b] for a, b in pairwise(np.cumsum([0, *group.sizes]))]
