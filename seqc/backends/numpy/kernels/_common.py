"""What several kernels need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from seqc.backends.numpy import machine
from seqc.backends.numpy.kernels import Call, Scratch
from seqc.graph.ir import Array
from seqc.ops._windows import Window


def contiguous(*arrays: Array) -> bool:
    """Returns whether all arrays lie in memory without gaps, in the order of their axes."""
    return all(a.flags.c_contiguous for a in arrays)


def flat(array: Array) -> Array:
    """Returns a contiguous array as one axis, sharing its memory."""
    return array.reshape(-1)


@lru_cache(maxsize=64)
def filled(size: int, value: float, dtype: np.dtype[Any]) -> Array:
    """Returns a shared, read-only array of `size` equal elements.

    NumPy's minimum and maximum of two arrays are three times as fast as those of an array and a number.
    """
    array = np.full(size, value, dtype)
    array.flags.writeable = False
    return array


def padded(window: Window, x: Array, fill: float, scratch: Scratch) -> tuple[Array, tuple[Call, ...]]:
    """Returns a channels-last array with its padding, and what has to run first to fill it in: nothing without any."""
    spatial = x.shape[1:-1]
    pads = window.pads(spatial)
    if not any(a or b for a, b in pads):
        return x, ()
    target = scratch(padded_shape(window, x.shape), x.dtype)
    inside = target[window.inside(spatial)]
    rims = [rim for rim in _rims(target, pads) if rim.size]
    return target, (*(partial(rim.fill, fill) for rim in rims), partial(np.copyto, inside, x))


def padded_shape(window: Window, shape: Sequence[int]) -> tuple[int, ...]:
    """Returns the shape of a channels-last array with its padding."""
    pads = window.pads(tuple(shape[1:-1]))
    return (shape[0], *(s + a + b for s, (a, b) in zip(shape[1:-1], pads, strict=True)), shape[-1])


def _rims(target: Array, pads: Sequence[tuple[int, int]]) -> list[Array]:
    """Returns the parts of a padded array that are padding, which may overlap at the corners."""
    return [
        target[(slice(None),) * axis + (part,)]
        for axis, (before, after) in enumerate(pads, 1)
        for part in (slice(0, before), slice(target.shape[axis] - after, target.shape[axis]))
    ]


class Repeated:
    """A vector along one axis of an array, repeated so that NumPy's inner loops over both are long.

    Attributes:
        vector: the vector, to be written before `expand`. expand: repeats it.
        wide: the repeated vector, which broadcasts with what `view` returns.
    """

    def __init__(self, array: Array, axis: int, scratch: Scratch) -> None:
        before, size = math.prod(array.shape[:axis]), array.shape[axis]
        after = math.prod(array.shape[axis + 1 :])
        fits = max(1, machine.LONG_LOOP // max(1, size * after))
        times = next((n for n in range(min(fits, before), 1, -1) if before % n == 0), 1)
        self._width = times * size * after
        self.vector = scratch((size,), array.dtype)
        repeated = scratch((times, size, after), array.dtype)
        self.wide = repeated.reshape(-1)
        self.expand: Call = partial(np.copyto, repeated, self.vector[:, None])

    def view(self, array: Array) -> Array:
        """Returns a contiguous array of that shape with axes to fit `wide`."""
        return array.reshape(-1, self._width)
