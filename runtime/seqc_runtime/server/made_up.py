"""Inputs made up from what a model declares."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seqc_runtime.errors import RuntimeStoppedError, SeqcRuntimeError
from seqc_runtime.inputs import Array
from seqc_runtime.tensors import TensorInfo

_SIZES = (8, 32, 1, 64, 224, 2)
_HIGHS = (100, 8, 2, 1)
_WORDS = ("", "a", "seqc", "Grüße", "0", "1.5")

Feeds = dict[str, Array]


class MadeUp:
    """Makes inputs; axes of one name have one size.

    size: of axes that have a name and are not the batch.
    """

    def __init__(self, inputs: Sequence[TensorInfo], random: np.random.Generator) -> None:
        self.size = _SIZES[0]
        self._inputs = inputs
        self._random = random
        self._high = _HIGHS[0]

    def find(self, run: Callable[[Feeds], object]) -> SeqcRuntimeError | None:
        """Find inputs that a model runs on; the last reason why not when there are none.

        Raises RuntimeStoppedError.
        """
        problem: SeqcRuntimeError | None = None
        for size, high in [(s, _HIGHS[0]) for s in _SIZES] + [(_SIZES[0], h) for h in _HIGHS[1:]] + [(1, 1)]:
            self.size, self._high = size, high
            try:
                run(self.samples(1))
                return None
            except RuntimeStoppedError:
                raise
            except SeqcRuntimeError as error:
                problem = error
        return problem

    def samples(self, rows: int) -> Feeds:
        """A batch of so many rows."""
        return {info.name: self._values(info, rows) for info in self._inputs}

    def spread(self, feeds: Feeds) -> Feeds:
        """Numbers of every size, so that some lie wherever a model may have a threshold."""
        for name, array in feeds.items():
            if array.dtype.kind == "f":
                largest = min(4.0, np.log10(float(np.finfo(array.dtype).max)) - 1)
                sizes = 10.0 ** self._random.uniform(-3, largest, array.shape)
                feeds[name] = (array * sizes).astype(array.dtype)
        return feeds

    def _values(self, info: TensorInfo, rows: int) -> Array:
        first = [rows if isinstance(axis, str) else axis for axis in info.shape[:1]]
        shape = [*first, *(axis if isinstance(axis, int) else self.size for axis in info.shape[1:])]
        if info.dtype == "str":
            return self._random.choice(np.array(_WORDS, object), shape)
        if info.dtype == "bool":
            return self._random.random(shape) < 0.5
        dtype = info.numpy_dtype
        if dtype.kind in "iu":
            return self._random.integers(0, min(self._high, np.iinfo(dtype).max), shape).astype(dtype)
        return self._random.standard_normal(shape).astype(dtype)


def pick(pool: Feeds, order: list[int]) -> Feeds:
    """The samples of these numbers."""
    return {name: array[order] for name, array in pool.items()}


def nbytes(feeds: Feeds) -> int:
    """The size of all inputs together."""
    return sum(array.nbytes for array in feeds.values())
