"""A shadow of a program's memory: what was last written to each place, and which threads have been there."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable

import numpy as np

from seqc.graph.ir import Array
from seqc.sure import mistake

# Of `Shadow.numbers`: never written in this run; used as scratch memory.
NOTHING, SCRATCH = 0, -1
# Of the threads that have read a place: none, the number of one plus one, or this for several.
SEVERAL = -1


class Shadow:
    """Notes for each place in the memory of some arrays.

    Args:
        arrays: all that will be asked for.
    """

    def __init__(self, arrays: Iterable[Array]) -> None:
        shown = [a for a in arrays if a.size]
        # The places are as large as the smallest elements.
        self.grain = math.gcd(*(a.itemsize for a in shown)) if shown else 1
        regions: list[list[int]] = []
        for low, high in sorted({_bounds(a) for a in shown}):
            if regions and low < regions[-1][1]:
                regions[-1][1] = max(regions[-1][1], high)
            else:
                regions.append([low, high])
        self._starts = [low for low, _ in regions]
        sizes = [-(-(high - low) // self.grain) for low, high in regions]
        self._numbers = [np.full(size, NOTHING, np.int64) for size in sizes]
        self._readers = [np.zeros(size, np.int16) for size in sizes]
        self._writers = [np.zeros(size, np.int16) for size in sizes]
        self._touched: list[Array] = []

    def numbers(self, array: Array) -> Array:
        """Returns the numbers at the places of an array's elements, (*shape, places per element)."""
        return self._show(self._numbers, array)

    def read(self, array: Array, thread: int) -> bool:
        """Notes that a thread reads; tells whether another one has written there since the last barrier."""
        readers, writers = self._show(self._readers, array), self._show(self._writers, array)
        self._touched.append(readers)
        conflict = bool(((writers != 0) & (writers != thread + 1)).any())
        readers[...] = np.where((readers == 0) | (readers == thread + 1), thread + 1, SEVERAL)
        return conflict

    def write(self, array: Array, thread: int) -> bool:
        """Notes that a thread writes; tells whether another one has read or written there since the last barrier."""
        readers, writers = self._show(self._readers, array), self._show(self._writers, array)
        self._touched.append(writers)
        conflict = bool((((readers != 0) & (readers != thread + 1)) | ((writers != 0) & (writers != thread + 1))).any())
        writers[...] = thread + 1
        return conflict

    def barrier(self) -> None:
        """Forgets which threads have been where."""
        for places in self._touched:
            places[...] = 0
        self._touched.clear()

    def _show(self, regions: list[Array], array: Array) -> Array:
        if not array.size:  # it lies wherever NumPy had nothing to put
            return np.empty((*array.shape, 1), np.int64)
        address = array.ctypes.data
        at = bisect_right(self._starts, address) - 1
        notes = regions[at]
        # The first place of an array is where its data begins, also where it is turned around.
        place, rest = divmod(address - self._starts[at], self.grain)
        if rest:
            raise mistake(f"an array begins {rest} bytes behind a place")
        shape = (*array.shape, array.itemsize // self.grain)
        strides = (*(s // self.grain * notes.itemsize for s in array.strides), notes.itemsize)
        # NumPy's as_strided takes ten times as long.
        return np.ndarray(shape, notes.dtype, notes, place * notes.itemsize, strides)


def _bounds(array: Array) -> tuple[int, int]:
    """Returns the address of an array's first byte, and of the one behind its last."""
    low = high = array.ctypes.data
    for size, stride in zip(array.shape, array.strides, strict=True):
        if stride < 0:
            low += (size - 1) * stride
        else:
            high += (size - 1) * stride
    return low, high + array.itemsize
