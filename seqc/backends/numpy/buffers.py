"""All memory of a program: first drafts of arrays, then, when all calls are known, their places in one block."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from seqc.backends.numpy.arena import Arena
from seqc.backends.numpy.calls import PlannedCall
from seqc.backends.numpy.cut import shape_of
from seqc.backends.numpy.lifetimes import Lifetime, plan_memory
from seqc.backends.numpy.memory import Memory, view
from seqc.backends.numpy.schedule import Schedule
from seqc.graph.batch import batch_axis
from seqc.graph.ir import Array, Constant, Value


class Buffers:
    """The arrays of a program.

    While calls are planned, arrays are *drafts*: each buffer has memory of its own, which nobody touches, so that the
    system never has to find any. Drafts have shapes and strides and can be cut and viewed like any array. `place` then
    gives all buffers places in one block according to the calls that touch them, and `placed` returns what stands for a
    draft there.

    Attributes:
        arrays: where values lie for all samples. constants: values whose numbers are known beforehand.
        memory: all that the program takes.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.batch, self.sizes = schedule.batch, schedule.sizes
        self.memory = Memory()
        self.arrays: dict[Value, Array] = {}
        self.constants: set[Value] = set()
        self._drafts: dict[int, Array] = {}
        self._shifts: dict[int, int] = {}
        self._block = np.empty(0, np.uint8)
        self._placed: dict[int, tuple[Array, Array]] = {}  # by a draft's id; the draft is kept, so that its id is
        for v in schedule.cut.order:
            if isinstance(v.op, Constant):
                self.add_constant(v, v.op.array)

    def add_constant(self, v: Value, array: Array) -> None:
        """Notes the numbers of a value."""
        self.arrays[v] = array
        self.constants.add(v)

    # -- drafts ------------------------------------------------------------------------------------------------------

    def bytes(self, count: int) -> Array:
        """Returns a buffer of so many bytes."""
        draft = np.empty(count, np.uint8)
        self._drafts[id(draft)] = draft
        return draft

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Returns an array in a buffer of its own."""
        return view(self.bytes(math.prod(shape) * np.dtype(dtype).itemsize), 0, shape, dtype)

    def buffer_for(self, y: Value) -> Array:
        """Returns an array for the numbers of a value, in a buffer of its own."""
        return self.empty(shape_of(y.type, self.sizes), y.dtype)

    def output_buffer(self, y: Value) -> Array:
        """Returns where a value for all samples is kept."""
        if y not in self.arrays:
            self.arrays[y] = self.buffer_for(y)
        return self.arrays[y]

    def rows(self, x: Value, rows: tuple[int, int]) -> Array:
        """Returns the part of a value's array that belongs to some samples; all of it if it has no batch axis."""
        return self.cut(self.output_buffer(x), x, rows)

    def cut(self, whole: Array, x: Value, rows: tuple[int, int]) -> Array:
        """Returns the part of an array for all samples of a value that belongs to some of them."""
        axis = batch_axis(x.type)
        if axis is None:
            return whole
        each = whole.shape[axis] // self.batch
        return whole[(*(slice(None),) * axis, slice(rows[0] * each, rows[1] * each))]

    # -- places ------------------------------------------------------------------------------------------------------

    def place(
        self, calls: Iterable[tuple[int, PlannedCall]], given: Sequence[Array], held: Sequence[Array], arena: Arena
    ) -> None:
        """Gives all buffers their places.

        Args:
            calls: all calls, with the time at which they run: calls of the same time may run side by side.
            given: arrays that are filled before the first call.
            held: arrays that are read after the last.
            arena: where the block is.
        """
        lifetimes: dict[int, Lifetime] = {}
        end = 0

        def touch(arrays: Iterable[Array | None], time: int) -> None:
            for array in arrays:
                key = None if array is None else self._key(array)
                if key is not None:
                    first = lifetimes[key].first if key in lifetimes else time
                    lifetimes[key] = Lifetime(self._drafts[key].nbytes, first, time)

        touch(given, 0)
        for end, call in calls:
            touch(call.arrays, end)
        touch(held, end + 1)
        starts, size = plan_memory(lifetimes)
        self._shifts = {key: start - self._drafts[key].ctypes.data for key, start in starts.items()}
        self._block = arena.block("values", size)[:size]
        self.memory.hold(self._block)

    def placed(self, array: Array) -> Array:
        """Returns the array that stands for a draft; an array that is none, such as state, stays itself."""
        if id(array) not in self._placed:
            key = self._key(array)
            self._placed[id(array)] = array, array if key is None else self._moved(array, key)
        return self._placed[id(array)][1]

    def owns(self, array: Array) -> bool:
        """Tells whether an array is a draft of this program, and not state or a constant."""
        return self._key(array) is not None

    def _moved(self, array: Array, key: int) -> Array:
        return np.ndarray(array.shape, array.dtype, self._block, self._shifts[key] + array.ctypes.data, array.strides)

    def _key(self, array: Array) -> int | None:
        """Returns the number of the buffer that a draft lies in, None for an array that is none."""
        root: Any = array
        while (base := getattr(root, "base", None)) is not None:
            root = base
        return id(root) if id(root) in self._drafts else None
