"""The state of a step: arrays that outlive a run, and how they are moved to lie side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from seqc.backends.numpy.memory import empty
from seqc.graph.ir import Array, Value

# How often an array is moved to lie beside others: steps that share variables would go on moving them.
MOST_MOVES = 4


class StateRef(Protocol):
    """Something that holds an array between runs and can move it."""

    @property
    def array(self) -> Array: ...

    @property
    def moves(self) -> int:
        """How often the array was moved."""
        ...

    def place(self, array: Array) -> None:
        """Goes on with another array, to which the numbers are copied."""
        ...


class State:
    """The arrays of the state by graph input.

    Attributes:
        holders: what holds each. targets: for each of the last outputs of the graph the input whose new state it is.
    """

    def __init__(self, holders: Mapping[Value, StateRef], targets: Sequence[Value]) -> None:
        self.holders, self.targets = dict(holders), tuple(targets)

    def __contains__(self, x: object) -> bool:
        return x in self.holders

    def array(self, x: Value) -> Array:
        """Returns the array of an input."""
        return self.holders[x].array

    def adjoin(self, values: Sequence[Value]) -> Array | None:
        """Returns all elements of some inputs as one array, to which they are moved unless they lie so already.

        Returns None where they have been moved often enough.
        """
        holders = [self.holders[x] for x in values]
        flat = _joined([h.array for h in holders])
        if flat is not None or max(h.moves for h in holders) >= MOST_MOVES:
            return flat
        flat = empty((sum(h.array.size for h in holders),), holders[0].array.dtype)
        start = 0
        for holder in holders:
            size = holder.array.size
            holder.place(flat[start : start + size].reshape(holder.array.shape))
            start += size
        return flat


def _joined(arrays: Sequence[Array]) -> Array | None:
    """Returns arrays that follow each other in one piece of memory as one array, or None."""
    first = arrays[0]
    end = first.ctypes.data
    for array in arrays:
        if array.base is None or array.base is not first.base or array.ctypes.data != end:
            return None
        if not array.flags.c_contiguous or array.dtype != first.dtype:
            return None
        end += array.nbytes
    total = sum(a.size for a in arrays)
    return np.lib.stride_tricks.as_strided(first.reshape(-1), (total,), (first.itemsize,))
