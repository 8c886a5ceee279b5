"""Inputs made up from what a model declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from seqc_runtime.errors import RuntimeStoppedError, SeqcRuntimeError
from seqc_runtime.inputs import Array
from seqc_runtime.server.servable import GROWING, REPEATING
from seqc_runtime.tensors import TensorInfo

_SIZES = (8, 32, 1, 64, 224, 2)
_HIGHS = (100, 8, 2, 1)
# Far enough from where sums of integers turn over.
_LARGEST = 1 << 62
_WORDS = ("", "a", "seqc", "Grüße", "0", "1.5", "a b c d", "a|b|c", "a,b;c")
# Numbers that stand for one that is missing, and other ends of ranges.
SPECIAL = (np.nan, 0.0, -1.0, np.inf, -np.inf, -999.0, 1.0, 9999.0, -9999.0, 999.0, -99.0)

Feeds = dict[str, Array]


@dataclass
class _Range:
    """Integers that an input takes: from `low` on, below `high`; `most` is what its type holds."""

    most: int
    low: int = 0
    high: int = _HIGHS[0]


class MadeUp:
    """Makes inputs; axes of one name have one size.

    inputs: what the model declares. operators: that are in it.
    size: of axes that have a name and are not the batch.
    """

    def __init__(self, inputs: Sequence[TensorInfo], operators: frozenset[str], random: np.random.Generator) -> None:
        self.size = _SIZES[0]
        self._inputs = inputs
        # The numbers they are given say how much they make: large ones are not for trying.
        self._growing = bool(operators & (GROWING | REPEATING))
        self._random = random
        integers = [info for info in inputs if info.numpy_dtype.kind in "iu"]
        self._ranges = {info.name: _Range(min(np.iinfo(info.numpy_dtype).max, _LARGEST)) for info in integers}

    @property
    def has_wide(self) -> bool:
        """Whether some input takes integers that `samples` has none of."""
        return any(range_.high > _HIGHS[0] or range_.low < 0 for range_ in self._ranges.values())

    def find(self, run: Callable[[Feeds], object]) -> SeqcRuntimeError | None:
        """Find inputs that a model runs on, and which integers each of them takes.

        Where there are none, the last reason why not.

        Raises RuntimeStoppedError.
        """
        problem: SeqcRuntimeError | None = None
        passed: tuple[int, int] | None = None
        for size, high in [(s, _HIGHS[0]) for s in _SIZES] + [(_SIZES[0], h) for h in _HIGHS[1:]] + [(1, 1)]:
            self.size = size
            self._limit(high)
            problem = _problem(run, self.samples(1))
            if problem is None:
                passed = passed or (size, high)
                # A few integers at random may have been small by chance.
                if _problem(run, self._filled("high")) is None:
                    self._widen(run)
                    return None
        if passed is None:
            return problem
        self.size, high = passed
        self._limit(high)
        return None

    def _limit(self, high: int) -> None:
        for range_ in self._ranges.values():
            range_.low, range_.high = 0, min(high, range_.most)

    def _widen(self, run: Callable[[Feeds], object]) -> None:
        """Find which integers each input takes, beyond those that all of them do: tables have tables' sizes."""
        if not self._ranges or self._growing:
            return
        known = self._ranges[next(iter(self._ranges))].high
        for info in self._inputs:
            if info.name in self._ranges:
                self._widen_one(info, run)
        # What each takes alone may be too much together.
        while any(_problem(run, feeds) is not None for feeds in self._extremes()):
            if all(range_.high <= known and range_.low == 0 for range_ in self._ranges.values()):
                self._limit(known)
                return
            for range_ in self._ranges.values():
                range_.low, range_.high = 0, max(min(known, range_.most), range_.high // 2)

    def _widen_one(self, info: TensorInfo, run: Callable[[Feeds], object]) -> None:
        range_ = self._ranges[info.name]

        def takes(number: int) -> bool:
            feeds = self.samples(1)
            feeds[info.name] = np.full_like(feeds[info.name], number)
            return _problem(run, feeds) is None

        good, bad, doubling = range_.high, range_.most + 1, True
        if takes(range_.most):
            good = range_.most
        else:
            while good < bad - 1:
                tried = min(2 * good, bad - 1) if doubling else (good + bad) // 2
                if takes(tried - 1):
                    good = tried
                else:
                    bad, doubling = tried, False
        if np.iinfo(info.numpy_dtype).min < 0 and takes(-good):
            range_.low = -good
        range_.high = good

    def _extremes(self) -> Iterator[Feeds]:
        """A sample of the largest integers, one of the smallest and some of all."""
        yield self._filled("high")
        yield self._filled("low")
        for _ in range(3):
            yield self.widened(self.samples(1))

    def _filled(self, end: Literal["high", "low"]) -> Feeds:
        feeds = self.samples(1)
        for name, range_ in self._ranges.items():
            feeds[name] = np.full_like(feeds[name], range_.high - 1 if end == "high" else range_.low)
        return feeds

    def samples(self, rows: int) -> Feeds:
        """A batch of so many rows."""
        return {info.name: self._values(info, rows) for info in self._inputs}

    def widened(self, feeds: Feeds) -> Feeds:
        """The same with integers of every size that their input takes."""
        for name, range_ in self._ranges.items():
            array = feeds[name]
            part = self._random.random(array.shape)
            # As many between 10 and 100 as between 100 and 1000, or just as many everywhere.
            sizes = range_.high**part if self._random.random() < 0.5 else range_.high * part
            numbers = np.minimum(sizes.astype(np.int64), range_.high - 1)
            if range_.low < 0:
                numbers *= self._random.choice((-1, 1), array.shape)
            feeds[name] = numbers.astype(array.dtype)
        return feeds

    def spread(self, feeds: Feeds) -> Feeds:
        """Numbers of every size, so that some lie wherever a model may have a threshold."""
        self.widened(feeds)
        for name, array in feeds.items():
            if array.dtype.kind == "f":
                largest = min(4.0, np.log10(float(np.finfo(array.dtype).max)) - 1)
                sizes = 10.0 ** self._random.uniform(-3, largest, array.shape)
                feeds[name] = (array * sizes).astype(array.dtype)
        return feeds

    def special(self, rows: int, first: int = 0) -> Feeds:
        """Samples that hold, among others, a number that may stand for something: one of them in each.

        first: which of them the first sample holds; the next has the next.
        """
        feeds = self.samples(rows)
        for info in self._inputs:
            array, values = feeds[info.name], self._special_values(info)
            for row in range(rows if values else 0):
                value = values[(first + row) % len(values)]
                part = self._random.random(array.shape[1:]) < self._random.choice((0.3, 0.7, 1.0))
                # A sample of one number is that one. With the dots, one text is no array of one text.
                array[row, ...] = np.where(part if part.any() else True, value, array[row])
        return feeds

    @property
    def special_count(self) -> int:
        """How many samples `special` makes before they hold the same numbers again."""
        return max((len(self._special_values(info)) for info in self._inputs), default=0)

    def _special_values(self, info: TensorInfo) -> list[Any]:
        if info.dtype == "str":
            return ["", "nan"]
        if info.dtype == "bool":
            return [False, True]
        if info.name not in self._ranges:
            return list(SPECIAL)
        range_ = self._ranges[info.name]
        if self._growing:
            return []
        ends = (0, range_.high - 1, -1, range_.low, 1, -999, 999)
        return [number for number in dict.fromkeys(ends) if range_.low <= number < range_.high]

    def _values(self, info: TensorInfo, rows: int) -> Array:
        first = [rows if isinstance(axis, str) else axis for axis in info.shape[:1]]
        shape = [*first, *(axis if isinstance(axis, int) else self.size for axis in info.shape[1:])]
        if info.dtype == "str":
            return self._random.choice(np.array(_WORDS, object), shape)
        if info.dtype == "bool":
            return self._random.random(shape) < 0.5
        dtype = info.numpy_dtype
        if dtype.kind in "iu":
            return self._random.integers(0, min(_HIGHS[0], self._ranges[info.name].high), shape).astype(dtype)
        return self._random.standard_normal(shape).astype(dtype)


def _problem(run: Callable[[Feeds], object], feeds: Feeds) -> SeqcRuntimeError | None:
    try:
        run(feeds)
    except RuntimeStoppedError:
        raise
    except SeqcRuntimeError as error:
        return error
    return None


def pick(pool: Feeds, order: list[int]) -> Feeds:
    """The samples of these numbers."""
    return {name: array[order] for name, array in pool.items()}


def nbytes(feeds: Feeds) -> int:
    """The size of all inputs together."""
    return sum(array.nbytes for array in feeds.values())
