"""Running groups of chains: see `horizontal_fusion`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from seqc.backends.numpy import machine
from seqc.backends.numpy.calls import Access, computing, copying
from seqc.backends.numpy.horizontal_fusion import Chain, Group
from seqc.backends.numpy.kernel_choice import ufunc_of
from seqc.backends.numpy.memory import Memory
from seqc.backends.numpy.regions import ParallelRegion, shares
from seqc.graph.ir import Array, Input, Value
from seqc.ops.shape import Reshape

if TYPE_CHECKING:
    from seqc.backends.numpy.builder import Builder


class HorizontalRunner:
    """Places the arrays of groups side by side, and adds the calls that run them."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        # The most elements of a piece.
        self._most = min(machine.PIECE, max((sum(group.sizes) for group in builder.groups), default=0))
        self._flats: dict[Value, tuple[tuple[int, ...], Array]] = {}
        self._loose: dict[Group, list[tuple[Array, Value]]] = {}
        self._sides: dict[tuple[Group, Value], Array] = {}

    def place(self, group: Group) -> None:
        """Finds memory for what the chains read and give."""
        first = group.chains[0]
        for i, leaf in enumerate(first.leaves):
            self._sides[group, leaf] = self._place_leaf(group, [chain.leaves[i] for chain in group.chains])
        for i, result in enumerate(first.results):
            self._sides[group, result] = self._place_result(group, [chain.results[i] for chain in group.chains])

    def _place_leaf(self, group: Group, values: list[Value]) -> Array:
        key = tuple(map(id, values))
        known = self._flats.get(values[0])
        if known is not None and known[0] == key:
            return known[1]
        free = self._are_free(values)
        if free and all(isinstance(x.op, Input) and self.builder.state(x) is not None for x in values):
            together = self.builder.pack(values)
            if together is not None:
                return self._keep(values, together)
        flat = self.builder.memory.empty((sum(group.sizes),), values[0].dtype)
        pieces = self._pieces(group, flat)
        if free and not any(isinstance(x.op, Input) for x in values):
            for x, piece in zip(values, pieces, strict=True):
                self._give(x, piece)
            return self._keep(values, flat)
        self._loose.setdefault(group, []).extend(zip(pieces, values, strict=True))
        return flat

    def _are_free(self, values: list[Value]) -> bool:
        """Tells whether values may get buffers side by side: one each, also those that several chains read."""
        placed = any(x in self._flats or x in self.builder.arrays for x in values)
        return not placed and len(set(values)) == len(values)

    def _give(self, x: Value, piece: Array) -> None:
        """Makes a piece the buffer of a value; of what is only shown in another shape, the buffer of that."""
        source = x.inputs[0] if isinstance(x.op, Reshape) else None
        cut = self.builder.cut
        if source is not None and source not in self.builder.arrays and source in cut.ready:
            movable = not isinstance(source.op, Input) and source not in self.builder.folded
            if movable and len(cut.users.get(source, ())) == 1 and source.type.is_static:
                self.builder.arrays[source] = piece.reshape(source.type.shape)  # type: ignore[arg-type]
                return
        self.builder.arrays[x] = piece.reshape(x.type.shape)  # type: ignore[arg-type]

    def _place_result(self, group: Group, values: list[Value]) -> Array:
        owners = [self.builder.targets.get(y) for y in values]
        if self._is_direct(group, values, owners):
            listed = [x for x in owners if x is not None]
            known = self._flats.get(listed[0])
            if known is not None and known[0] == tuple(map(id, listed)):
                flat = known[1]
                self._assign(group, values, flat)
                return flat
            together = None if any(x in self._flats for x in listed) else self.builder.pack(listed)
            if together is not None:
                self._assign(group, values, self._keep(listed, together))
                return together
        flat = self.builder.memory.empty((sum(group.sizes),), values[0].dtype)
        self._assign(group, values, flat)
        return flat

    def _assign(self, group: Group, values: list[Value], flat: Array) -> None:
        assert not any(y in self.builder.arrays for y in values), "placed before the group that gives it"
        self._keep(values, flat)
        for y, piece in zip(values, self._pieces(group, flat), strict=True):
            self.builder.arrays[y] = piece.reshape(y.type.shape)  # type: ignore[arg-type]

    def _is_direct(self, group: Group, values: list[Value], owners: Sequence[Value | None]) -> bool:
        """Tells whether new state may be written over the old, because nobody reads that any more."""
        if any(x is None or self.builder.state(x) is None or x.dtype != values[0].dtype for x in owners):
            return False
        for chain, y, x in zip(group.chains, values, owners, strict=True):
            assert x is not None
            if (
                not self.builder.last_read(x, chain.nodes) < group.when
                or sum(t is x for _, t in self.builder.owners) > 1
            ):
                return False
            last = max((i for i, v in enumerate(chain.nodes) if any(u is x for u in v.inputs)), default=-1)
            at = next(i for i, v in enumerate(chain.nodes) if v is y)
            if last > at or (last == at and ufunc_of(y.op) is None):
                return False
        return True

    def _keep(self, values: Sequence[Value], flat: Array) -> Array:
        key = tuple(map(id, values))
        for x in values:
            self._flats[x] = (key, flat)
        return flat

    def _pieces(self, group: Group, flat: Array) -> list[Array]:
        return [flat[a:b] for a, b in pairwise(np.cumsum([0, *group.sizes]))]

    # -- running -----------------------------------------------------------------------------------------------------

    def add(self, group: Group) -> None:
        """Adds the calls that run a group."""
        builder = self.builder
        for piece, x in self._loose.get(group, ()):
            source = builder.whole(x)
            builder.serial().add(0, copying(Access(source, (x,)), piece.reshape(source.shape)))
        total = sum(group.sizes)
        workers = builder.workers if total >= machine.SHARED_ELEMENTS else 1
        region = ParallelRegion.of(workers) if workers > 1 else builder.serial()
        for number, (start, stop) in enumerate(shares(total, workers)):
            for a, b in shares(stop - start, -(-(stop - start) // machine.PIECE)):
                self._add_piece(group, region, number, slice(start + a, start + b))
        if workers > 1:
            builder.regions.append(region)

    def _add_piece(self, group: Group, region: ParallelRegion, number: int, piece: slice) -> None:
        chain = group.chains[0]
        arrays = {x: self._sides[group, x][piece] for x in (*chain.leaves, *chain.results)}
        span = piece.start, piece.stop
        alike = dict(zip(chain.leaves, zip(*(each.leaves for each in group.chains), strict=True), strict=True))
        alike |= zip(chain.nodes, zip(*(each.nodes for each in group.chains), strict=True), strict=True)
        scratch = ScratchBuffers(chain, span[1] - span[0], self.builder.spares[number], self.builder.memory, self._most)
        for at, v in enumerate(chain.nodes):
            reads = [
                Access(arrays[x], alike[x], "elements", span) if x in arrays else Access(self.builder.whole(x), (x,))
                for x in v.inputs
            ]
            if v not in arrays:
                arrays[v] = scratch.take(at, v, arrays)
            scratch.release(at)
            out = Access(arrays[v], alike[v], "elements", span)
            region.add(number, computing(v, [out], reads, [read.array for read in reads], self.builder.pads[number]))


class ScratchBuffers:
    """Memory for the intermediate results of one piece."""

    def __init__(self, chain: Chain, count: int, spares: list[Array], memory: Memory, most: int) -> None:
        self.count, self.spares, self.memory, self.most = count, spares, memory, most
        self._free = list(range(len(spares)))
        self._held: dict[Value, int] = {}
        self._last = {x: at for at, v in enumerate(chain.nodes) for x in v.inputs}

    def take(self, at: int, v: Value, arrays: dict[Value, Array]) -> Array:
        """Returns an array for a result, that of an operand which is read for the last time where that is possible."""
        if ufunc_of(v.op) is not None:
            for x in v.inputs:
                if x in self._held and self._last[x] == at and x.dtype == v.dtype:
                    self._held[v] = self._held.pop(x)
                    return arrays[x]
        if not self._free:
            self.spares.append(self.memory.block(self.most * 8))
            self._free.append(len(self.spares) - 1)
        number = self._free.pop()
        self._held[v] = number
        return self.spares[number].view(v.dtype)[: self.count]

    def release(self, at: int) -> None:
        """Takes back the arrays of what was read for the last time."""
        for x in [x for x in self._held if self._last.get(x, at) <= at]:
            if self._last.get(x) == at:
                self._free.append(self._held.pop(x))
