"""Arrays of samples that stay where they are, in a file, until a batch needs some of their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from mmap import mmap
from typing import Any, cast

import numpy as np

from seqc.errors import DataError
from seqc.graph.strings import Array, as_strings, is_text

# Gives the rows of a slice or of an array of ascending numbers.
Read = Callable[[Any], Any]

# What is looked through once, from the beginning to the end, comes in blocks of so many bytes.
BLOCK_BYTES = 1 << 24
# A tensor in memory, or a table: what becomes an array at once.
_IN_MEMORY = ("__dlpack__", "__array_interface__", "to_numpy", "numpy", "to_value")


class Stored:
    """Samples of which only the rows that are asked for are read.

    Args:
        read: gives rows.
        shape: of the whole, samples first.
        dtype: of the rows as `read` gives them.
        what: how errors call it.
        start: where in the data the first row lies.
    """

    def __init__(self, read: Read, shape: tuple[int, ...], dtype: Any, what: str, start: int = 0) -> None:
        self._read, self.shape, self.dtype, self.what, self._start = read, shape, np.dtype(dtype), what, start

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, take: Any) -> Array:
        """Returns the rows of a slice, or of an array of numbers in any order."""
        if isinstance(take, slice):
            start, stop, step = take.indices(len(self))
            if step == 1:
                return self._rows(slice(self._start + start, self._start + max(start, stop)))
            take = np.arange(start, stop, step)
        numbers, back = np.unique(np.asarray(take), return_inverse=True)
        return self._rows(numbers + self._start)[back]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self[:], dtype)

    def part(self, take: slice) -> Stored:
        """Returns some of the rows, which are not read before they are needed."""
        start, stop, _ = take.indices(len(self))
        shape = (max(stop - start, 0), *self.shape[1:])
        return Stored(self._read, shape, self.dtype, self.what, self._start + start)

    def with_row(self, shape: tuple[int, ...]) -> Stored:
        """Returns the same rows in another shape."""
        return Stored(self._read, (len(self), *shape), self.dtype, self.what, self._start)

    def _rows(self, take: Any) -> Array:
        found = np.asarray(self._read(take))
        if self.dtype == object:
            found = as_strings(found)
        if (found.dtype == object and self.dtype != object) or prod(found.shape[1:]) != prod(self.shape[1:]):
            raise DataError(
                f"Rows of {self.what} differ in shape; the first is {self.shape[1:]}. Pad them to one length first."
            )
        return found.reshape(len(found), *self.shape[1:])


def is_stored(value: Any) -> bool:
    """Tells whether a value has a shape and gives rows, and is no array in memory: a dataset of h5py or zarr."""
    if isinstance(value, Stored):
        return True
    if isinstance(value, np.ndarray | np.generic) or any(hasattr(value, name) for name in _IN_MEMORY):
        return False
    shape = getattr(value, "shape", None)
    whole = isinstance(shape, tuple) and len(shape) > 0 and all(isinstance(size, int) for size in shape)
    return whole and hasattr(value, "dtype") and hasattr(value, "__getitem__")


def stored(value: Any, what: str) -> Array:
    """Returns what gives rows as something that is used like an array, and reads those that are asked for.

    Args:
        value: what `is_stored` knows. what: how errors call it.

    Raises:
        DataError: its elements are neither numbers nor texts.
    """
    if isinstance(value, Stored):
        return cast(Array, value)
    shape = tuple(value.shape)
    first = np.asarray(value[0:1]) if shape[0] else np.empty(shape)
    return rows_of(_by_slices(value), shape, first, what)


def rows_of(read: Read, shape: tuple[int, ...], first: Array, what: str) -> Array:
    """Returns rows that are read when they are needed.

    Args:
        read: gives them. shape: of the whole. first: the first row, which tells their type. what: how errors call them.

    Raises:
        DataError: they are neither numbers nor texts.
    """
    if is_text(first):
        return cast(Array, Stored(read, shape, object, what))
    if first.dtype.kind not in "fiub":
        raise DataError(f"{what} holds {first.dtype}; it must hold numbers, or strings throughout.")
    return cast(Array, Stored(read, shape, first.dtype, what))


def _by_slices(values: Any) -> Read:
    """Returns what reads rows by slices alone, which everything that is stored understands."""

    def read(take: Any) -> Array:
        if isinstance(take, slice):
            return np.asarray(values[take])
        runs = np.split(take, np.flatnonzero(np.diff(take) != 1) + 1) if len(take) else []
        parts = [np.asarray(values[int(run[0]) : int(run[-1]) + 1]) for run in runs]
        return np.concatenate(parts) if parts else np.asarray(values[0:0])

    return read


def is_lazy(array: Any) -> bool:
    """Tells whether an array lies in a file, so that it is never to be copied whole."""
    base = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return isinstance(base, Stored | mmap)


def blocks(array: Any) -> Iterator[Array]:
    """Yields an array from its beginning to its end, at once if it lies in memory."""
    if not is_lazy(array) or not array.ndim or not len(array):
        yield np.asarray(array)
        return
    size = max(1, BLOCK_BYTES // max(1, prod(array.shape[1:]) * array.dtype.itemsize))
    for start in range(0, len(array), size):
        yield array[start : start + size]
