"""Planning the calls of what is computed for all samples at once, and of the new state at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from seqc.backends.numpy import machine
from seqc.backends.numpy.buffers import Buffers
from seqc.backends.numpy.calls import Access, computing, copying, multiplying, reads_of, same_memory
from seqc.backends.numpy.costs import seconds_of
from seqc.backends.numpy.cut import read_operands, results_of, shape_of
from seqc.backends.numpy.pieces import piece_count
from seqc.backends.numpy.program_writer import PlannedRegion, ProgramWriter
from seqc.backends.numpy.regions import shares
from seqc.backends.numpy.rows import AddRows
from seqc.backends.numpy.schedule import Schedule
from seqc.graph.ir import Array, Value
from seqc.ops.linalg import Gemm, MatMul


class WholeBatch:
    """Plans the calls of values for all samples."""

    def __init__(self, schedule: Schedule, buffers: Buffers, writer: ProgramWriter) -> None:
        self.schedule, self.buffers, self.writer = schedule, buffers, writer
        self._products: PlannedRegion | None = None
        self._touched: list[Array] = []  # the results of its products
        self._turn = 0  # counts the workers that it has given something to do

    def array(self, x: Value) -> Array:
        """Returns the array of a value; a view of what was computed in tiles is made where it is asked for."""
        arrays = self.buffers.arrays
        if x not in arrays:
            xs = self._operands(x)
            shown = _shown(x, xs)
            if shown is None:
                shown = self.buffers.buffer_for(x)
                self.writer.add(computing(x, [Access(shown, (x,))], reads_of(x, xs), xs))
            arrays[x] = shown
        return arrays[x]

    def add(self, v: Value) -> None:
        """Adds the call that computes a value, if it needs one."""
        xs = self._operands(v)
        if v not in self.buffers.arrays:  # packing has not found a place for it
            if self._needs_no_call(v, xs):
                return
            if self._overwrites_state(v):
                self.buffers.arrays[v] = xs[0]
        if not (isinstance(v.op, MatMul | Gemm) and self._add_shared_product(v, xs)):
            self.writer.add(computing(v, self.outputs(v), reads_of(v, xs), xs))

    def _needs_no_call(self, v: Value, xs: Sequence[Array]) -> bool:
        """Finds the array of what can be computed once and for all, or shows an operand; tells whether there is one."""
        if not isinstance(v.result, tuple) and all(x in self.buffers.constants for x in read_operands(v)):
            self.buffers.add_constant(v, _evaluate(v, xs))
            return True
        shown = _shown(v, xs)
        if shown is not None:
            self.buffers.arrays[v] = shown
        return shown is not None

    def outputs(self, v: Value) -> list[Access | None]:
        """Returns where the results of an operation are kept, None for those that nobody reads."""
        found = results_of(self.schedule.cut, v)
        return [None if y is None else Access(self.buffers.output_buffer(y), (y,)) for y in found]

    def _operands(self, v: Value) -> list[Array]:
        return operands_of(v, self.array, self.schedule.sizes)

    def _overwrites_state(self, v: Value) -> bool:
        """Tells whether a value is the new state of its first operand, the old state of which nobody reads any more."""
        if not isinstance(v.op, AddRows):
            return False
        owner = self.schedule.targets.get(v)
        return owner is v.inputs[0] and self.schedule.last_read(owner, [v]) < self.schedule.when[v]

    # -- matrix products ---------------------------------------------------------------------------------------------

    def _add_shared_product(self, v: Value, xs: Sequence[Array]) -> bool:
        """Adds a matrix product whose rows the threads share, if it is large enough and its rows lie in order."""
        out, a, b = self.buffers.output_buffer(v), xs[0], xs[1]
        seconds = seconds_of(v, self.schedule.sizes)
        if not machine.worth_sharing(seconds) or a.ndim < 2 or b.ndim != 2:
            return False
        if not out.flags.c_contiguous or (a.ndim > 2 and not a.flags.c_contiguous):
            return False
        out, a = (array.reshape(-1, array.shape[-1]) for array in (out, a))
        region = self._region_of_products(xs)
        # Each piece packs the second matrix for itself.
        packing, most = b.size * machine.SECONDS_PER_ELEMENT, max(2, len(out) // machine.FEW_ROWS)
        pieces = shares(len(out), piece_count(most, seconds, lambda n: (n - 2) * packing))
        for first, last in shares(len(pieces), len(region)):
            calls = region[self._turn % len(region)]
            self._turn += 1
            for start, stop in pieces[first:last]:
                read = Access(a[start:stop], v.inputs[:1], "elements", (start * a.shape[1], stop * a.shape[1]))
                made = Access(out[start:stop], (v,), "elements", (start * out.shape[1], stop * out.shape[1]))
                calls.append(multiplying(v, [read, *reads_of(v, xs)[1:]], made))
        self._touched.append(out)
        return True

    def _region_of_products(self, xs: Sequence[Array]) -> PlannedRegion:
        """Returns the region of the products before, or a new one where one of these is read: it has to be complete."""
        at_end = self._products is not None and self.writer.regions[-1] is self._products
        if self._products is None or not at_end or any(np.may_share_memory(x, y) for x in xs for y in self._touched):
            self._products, self._touched, self._turn = self.writer.region(self.schedule.workers), [], 0
        return self._products

    # -- the end -----------------------------------------------------------------------------------------------------

    def result(self, y: Value) -> Array:
        """Returns the array of a result, one that no new state is written over."""
        shown = self.array(y)
        targets = (self.buffers.arrays[x] for _, x in self.schedule.new_state)
        return self._copy(y, shown) if any(np.may_share_memory(shown, target) for target in targets) else shown

    def commit(self, state: Sequence[Value]) -> None:
        """Writes the new state that is not yet in its place.

        Args:
            state: the inputs that outlive a run.
        """
        moves = []
        for value, owner in self.schedule.new_state:
            source, target = self.array(value), self.buffers.arrays[owner]
            if same_memory(target, source):
                continue
            is_draft = self.buffers.owns(source)
            if not is_draft and any(np.may_share_memory(source, self.buffers.arrays[x]) for x in state):
                source = self._copy(value, source)
            moves.append(copying(Access(source, (value,)), target))
        for move in moves:
            self.writer.add(move)

    def _copy(self, x: Value, shown: Array) -> Array:
        kept = self.buffers.empty(shown.shape, shown.dtype)
        self.writer.add(copying(Access(shown, (x,)), kept))
        return kept


def operands_of(v: Value, array: Callable[[Value], Array], sizes: Mapping[str, int]) -> list[Array]:
    """Returns the arrays of a value's operands; of those that only give a shape, one number that repeats."""
    return [
        np.broadcast_to(np.zeros((), x.dtype), shape_of(x.type, sizes)) if i in v.op.shape_only else array(x)
        for i, x in enumerate(v.inputs)
    ]


def _shown(v: Value, xs: Sequence[Array]) -> Array | None:
    """Returns a view as an array that shows its operand's memory, None for what can only be computed."""
    if v.op.kind != "view":
        return None
    result: Array = v.op.eval(*xs)
    return result if any(np.may_share_memory(result, x) for x in xs) else None


def _evaluate(v: Value, xs: Sequence[Array]) -> Array:
    with np.errstate(all="ignore"):
        result = np.asarray(v.op.eval(*xs))
    return result.copy() if any(np.may_share_memory(result, x) for x in xs) else result
