"""Planning the calls of groups of chains: see `horizontal_fusion`."""

from __future__ import annotations

import numpy as np

from seqc.backends.numpy import machine
from seqc.backends.numpy.buffers import Buffers
from seqc.backends.numpy.calls import Access, PlannedCall, computing, copying
from seqc.backends.numpy.horizontal_fusion import Chain, Group
from seqc.backends.numpy.kernel_choice import ufunc_of
from seqc.backends.numpy.lifetimes import Lifetime, plan_memory
from seqc.backends.numpy.memory import view
from seqc.backends.numpy.packing import Packing
from seqc.backends.numpy.program_writer import ProgramWriter
from seqc.backends.numpy.regions import shares
from seqc.backends.numpy.whole_batch import WholeBatch
from seqc.graph.ir import Array, Value


class HorizontalRunner:
    """Plans the calls that run groups: the operations of a chain on pieces of rows, one piece after another."""

    def __init__(self, packing: Packing, buffers: Buffers, whole: WholeBatch, writer: ProgramWriter) -> None:
        self.packing, self.buffers, self.whole, self.writer = packing, buffers, whole, writer
        self.workers = whole.schedule.workers

    def add(self, group: Group) -> None:
        """Adds the calls of a group."""
        for piece, x in self.packing.copied.get(group, ()):
            source = self.whole.array(x)
            self.writer.add(copying(Access(source, (x,)), piece.reshape(source.shape)))
        chain, total = group.chains[0], sum(group.sizes)
        numbers = {x: self.whole.array(x) for v in chain.nodes for x in v.inputs if not x.type.rank}
        pieces = _pieces(total)
        places, size = _plan_piece(chain, max(b - a for a, b in pieces))
        workers = min(self.workers, len(pieces))
        region = self.writer.region(workers)
        for worker, (first, last) in enumerate(shares(len(pieces), workers)):
            memory = self.buffers.bytes(size)
            for a, b in pieces[first:last]:
                rows = {x: self.packing.rows[group, x][a:b] for x in (*chain.leaves, *chain.results)}
                spare = {v: view(memory, place, (b - a,), v.dtype) for v, place in places.items()}
                region[worker] += self._piece(group, rows | spare, numbers, slice(a, b))

    def _piece(
        self, group: Group, arrays: dict[Value, Array], numbers: dict[Value, Array], span: slice
    ) -> list[PlannedCall]:
        """Returns the calls for a piece of the rows.

        Args:
            group: what runs.
            arrays: the piece of each row, and memory for other results of the first chain.
            numbers: operands that are the same for all elements.
            span: which elements it is.
        """
        chain = group.chains[0]
        alike = dict(zip(chain.leaves, zip(*(each.leaves for each in group.chains), strict=True), strict=True))
        alike |= zip(chain.nodes, zip(*(each.nodes for each in group.chains), strict=True), strict=True)
        elements = (span.start, span.stop)
        calls = []
        for v in chain.nodes:
            reads = [
                Access(arrays[x], alike[x], "elements", elements) if x in arrays else Access(numbers[x], (x,))
                for x in v.inputs
            ]
            out = Access(arrays[v], alike[v], "elements", elements)
            calls.append(computing(v, [out], reads, [read.array for read in reads]))
        return calls


def _pieces(total: int) -> list[tuple[int, int]]:
    """Returns the bounds of the pieces of so many elements, whoever is going to work on them."""
    if total < machine.SHARED_ELEMENTS:
        return [(0, total)]
    if total < 8 * machine.SHARED_ELEMENTS:
        return shares(total, 2 * -(-total // (2 * machine.PIECE)))
    return shares(total, 8 * max(1, round(total / (8 * machine.PIECE))))


def _plan_piece(chain: Chain, count: int) -> tuple[dict[Value, int], int]:
    """Returns where the results that only a chain reads lie, for a piece of so many elements, and the memory it takes.

    A result takes the place of an operand that is read for the last time where NumPy reads it element by element.
    """
    results = set(chain.results)
    last = {x: at for at, v in enumerate(chain.nodes) for x in v.inputs}
    root: dict[Value, Value] = {}
    lifetimes: dict[Value, Lifetime] = {}
    for at, v in enumerate(chain.nodes):
        if v in results:
            continue
        dying = (x for x in v.inputs if x in root and last[x] == at and x.dtype == v.dtype)
        over = next(dying, None) if ufunc_of(v.op) is not None else None
        root[v] = v if over is None else root[over]
        first = at if over is None else lifetimes[root[v]].first
        lifetimes[root[v]] = Lifetime(count * np.dtype(v.dtype).itemsize, first, last.get(v, at))
    places, size = plan_memory(lifetimes)
    return {v: places[r] for v, r in root.items()}, size
