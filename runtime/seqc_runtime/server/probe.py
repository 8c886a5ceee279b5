"""What is done with a version before it is served: a warm-up, and finding out whether its samples may run together."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seqc_runtime.errors import RuntimeStoppedError, SeqcRuntimeError
from seqc_runtime.inputs import Array
from seqc_runtime.model import Model
from seqc_runtime.runs import RunControl
from seqc_runtime.server.servable import Batching
from seqc_runtime.tensors import TensorInfo

MAX_BATCH = 64
# Batches that take longer than this keep everybody waiting for longer than they save.
LONGEST = 0.5
# Seconds a run is taken for that could not be tried: too long for the event loop, until real ones have been seen.
UNKNOWN = 1e-3
# Seconds that a byte of input takes at least, which a few small inputs do not show.
READING = 1e-10
# How far an answer may be from the one given alone, relative to the largest number of the output. Matrix products
# add up in another order for other batch sizes; every other difference is far larger, or is NaN.
TOLERANCE = {"float16": 3e-2, "float32": 2e-4, "float64": 1e-10}
_SAMPLES = 12
_SIZES = (8, 32, 1, 64, 224, 2)
_HIGHS = (100, 8, 2, 1)
_WORDS = ("", "a", "seqc", "Grüße", "0", "1.5")

Feeds = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of batching.

    max_rows: rows that may run together; 1 for never. exact: only where answers are the same bit for bit.
    max_delay: seconds the first of a batch may wait for others. seconds: for all of the probe.
    """

    max_rows: int = MAX_BATCH
    exact: bool = False
    max_delay: float = 0.0
    seconds: float = 5.0


class Dependent(Exception):
    """Samples do not stand for themselves, and why."""


def probe(model: Model, wishes: Wishes) -> tuple[Batching, tuple[str, ...]]:
    """Warm a model up and find out how its samples may run together, and what is worth saying about that.

    Nothing that happens here is an error: a model that does not run on made-up inputs may run on real ones.
    """
    probing = _Probe(model, wishes)
    timer = threading.Timer(wishes.seconds, probing.control.stop)
    timer.daemon = True
    timer.start()
    try:
        batching = probing.run()
    finally:
        timer.cancel()
    return batching, tuple(probing.notes)


def why_not_batched(model: Model) -> str | None:
    """What a model declares that keeps its samples apart; None when the first axes are all a batch."""
    if not model.inputs or not model.outputs:
        return "it has no inputs or outputs"
    for role, infos in (("input", model.inputs), ("output", model.outputs)):
        for info in infos:
            if not info.shape or isinstance(info.shape[0], int):
                return f"{role} {info.name!r} {info} has no batch axis"
    names = {info.shape[0] for info in model.inputs}
    if len(names) > 1:
        return f"the first axes of its inputs differ: {', '.join(sorted(map(str, names)))}"
    (name,) = names
    if name != "?" and any(name in info.shape[1:] for info in model.inputs):
        return f"the batch axis {name!r} is another axis of an input, too"
    return None


class _Probe:
    def __init__(self, model: Model, wishes: Wishes) -> None:
        self.model = model
        self.wishes = wishes
        self.control = RunControl()
        self.notes: list[str] = []
        self.random = np.random.default_rng(0)
        self.until = time.monotonic() + wishes.seconds
        self.size, self.high = _SIZES[0], _HIGHS[0]

    def run(self) -> Batching:
        try:
            if not self._find_inputs():
                return Batching(fixed=UNKNOWN)
            took = self._timed(self.samples(1))[1]
        except RuntimeStoppedError:
            self.notes.append(f"neither warmed up nor probed: a run took more than {self.wishes.seconds:g} s")
            return Batching(fixed=self.wishes.seconds)
        if self.wishes.max_rows == 1:
            return self._one_by_one(took)
        apart = why_not_batched(self.model)
        if apart is None and self.wishes.exact and _free_axes(self.model):
            apart = "its samples have other lengths at other times, which exact answers would need to be proven for"
        try:
            if apart is not None:
                raise Dependent(apart)
            return self._batching()
        except RuntimeStoppedError:
            self.notes.append(f"requests run one by one: the probe was not done after {self.wishes.seconds:g} s")
        except (Dependent, SeqcRuntimeError) as error:
            self.notes.append(f"requests run one by one: {error}")
        return self._one_by_one(took)

    def _one_by_one(self, took: float) -> Batching:
        """No batches; what a run costs by the size of its inputs, when one of the size tried took so long."""
        feeds = self.samples(1)
        try:
            self.size *= 4
            larger = self.samples(8)
            more = self._timed(larger)[1]
        except SeqcRuntimeError:
            larger, more = feeds, took
        finally:
            self.size //= 4
        return Batching(fixed=took, per_byte=_per_byte(more - took, _nbytes(larger) - _nbytes(feeds)))

    def _batching(self) -> Batching:
        pool, alone = self._check_independent()
        times = self._measure()
        largest = max(times)
        self._check_crowd(pool, alone, largest)
        row = _nbytes(self.samples(1))
        per_row = max(0.0, (times[largest] - times[1]) / max(1, largest - 1))
        fixed = max(1e-7, times[1] - per_row)
        sizes = self._exact_sizes(largest) if self.wishes.exact else None
        if sizes is not None and len(sizes) == 1:
            self.notes.append("requests run one by one: answers of batches are not the same bit for bit")
        most = largest if sizes is None else max(sizes)
        return Batching(most, sizes, self.wishes.max_delay, fixed, _per_byte(per_row, row))

    def _find_inputs(self) -> bool:
        """Find made-up inputs that the model runs on, which also warms it up."""
        problem: SeqcRuntimeError | None = None
        for size, high in [(s, _HIGHS[0]) for s in _SIZES] + [(_SIZES[0], h) for h in _HIGHS[1:]] + [(1, 1)]:
            self.size, self.high = size, high
            try:
                self._run(self.samples(1))
                return True
            except RuntimeStoppedError:
                raise
            except SeqcRuntimeError as error:
                problem = error
        self.notes.append(f"neither warmed up nor probed, for it does not run on made-up inputs: {problem}")
        return False

    def samples(self, rows: int) -> Feeds:
        """Made-up inputs; axes of one name have one size."""
        return {info.name: self._values(info, rows) for info in self.model.inputs}

    def _values(self, info: TensorInfo, rows: int) -> Array:
        first = [rows if isinstance(axis, str) else axis for axis in info.shape[:1]]
        shape = [*first, *(axis if isinstance(axis, int) else self.size for axis in info.shape[1:])]
        if info.dtype == "str":
            return self.random.choice(np.array(_WORDS, object), shape)
        if info.dtype == "bool":
            return self.random.random(shape) < 0.5
        dtype = info.numpy_dtype
        if dtype.kind in "iu":
            return self.random.integers(0, min(self.high, np.iinfo(dtype).max), shape).astype(dtype)
        return self.random.standard_normal(shape).astype(dtype)

    def _run(self, feeds: Feeds) -> list[Array]:
        return self.model.run(feeds, control=self.control)

    def _timed(self, feeds: Feeds, times: int = 5) -> tuple[list[Array], float]:
        """The results, and the seconds that the quickest of a few runs took."""
        best = float("inf")
        results: list[Array] = []
        for _ in range(times):
            start = time.perf_counter()
            results = self._run(feeds)
            best = min(best, time.perf_counter() - start)
            if best > 0.05:
                break
        return results, best

    def _check_independent(self) -> tuple[Feeds, list[list[Array]]]:
        """Raise Dependent when a sample's answer changes with its neighbours, their order or their number.

        Returns the samples and the answer that each of them got alone.
        """
        count = min(_SAMPLES, max(2, self.wishes.max_rows))
        pool = self.samples(count)
        alone = self._alone(pool, count)
        again = self._alone(pool, min(2, count))
        for number, results in enumerate(again):
            self._compare([alone[number]], results, 1, "the same sample gives other answers when it runs again")
        for order, what in self._orders(count):
            self._compare(
                [alone[i] for i in order], self._run(_pick(pool, order)), len(order), f"an answer changes with {what}"
            )
        for stranger, what in self._strangers(pool):
            keep = list(range(0, count, 2))
            mixed = {name: _interleaved(array, stranger[name], keep) for name, array in pool.items()}
            results = self._run(mixed)
            _check_rows(results, 2 * len(keep))
            kept = [result[::2] for result in results]
            self._compare([alone[i] for i in keep], kept, len(keep), f"an answer changes when a neighbour holds {what}")
        self._check_telling(alone)
        return pool, alone

    def _check_telling(self, alone: list[list[Array]]) -> None:
        """Raise Dependent when the answers would not show it if samples depended on each other."""
        columns = [np.concatenate(answers) for answers in zip(*alone, strict=True) if answers[0].shape[:1] == (1,)]
        for info, column in zip(self.model.outputs, columns, strict=False):
            if column.dtype.kind == "f" and column.size and not np.isfinite(column).any():
                raise Dependent(f"output {info.name!r} of made-up inputs is never a finite number, which tells nothing")
        if all(np.array_equal(column[:1].repeat(len(column), 0), column) for column in columns):
            raise Dependent("made-up inputs all have the same answer, which tells nothing")

    def _check_crowd(self, pool: Feeds, alone: list[list[Array]], rows: int) -> None:
        """The same in the largest batch: some models look at what stands beyond the first samples only."""
        count = min(len(alone), rows)
        for _ in range(3):
            crowd = self._spread(self.samples(rows))
            places = self.random.permutation(rows)[:count]
            for name, array in crowd.items():
                array[places] = pool[name][:count]
            results = self._run(crowd)
            _check_rows(results, rows)
            kept = [result[places] for result in results]
            self._compare(alone[:count], kept, count, f"an answer changes among {rows} samples")

    def _spread(self, feeds: Feeds) -> Feeds:
        """Numbers of every size, so that some lie wherever a model may have a threshold."""
        for name, array in feeds.items():
            if array.dtype.kind == "f":
                largest = min(4.0, np.log10(float(np.finfo(array.dtype).max)) - 1)
                sizes = 10.0 ** self.random.uniform(-3, largest, array.shape)
                feeds[name] = (array * sizes).astype(array.dtype)
        return feeds

    def _orders(self, count: int) -> Iterator[tuple[list[int], str]]:
        everybody = list(range(count))
        yield everybody, "its neighbours"
        yield everybody[::-1], "the order of its neighbours"
        yield [int(i) for i in self.random.permutation(count)], "the order of its neighbours"
        for rows in sorted({2, 3, 5, count // 2} - {0, 1}):
            if rows <= count:
                yield everybody[:rows], "the number of its neighbours"
                yield everybody[-rows:], "the number of its neighbours"
        yield [0] * count, "neighbours equal to it"

    def _strangers(self, pool: Feeds) -> Iterator[tuple[Feeds, str]]:
        count = len(next(iter(pool.values())))
        yield self.samples(count), "other numbers"
        for _ in range(8):
            yield self._spread(self.samples(count)), "numbers of other sizes"
        if any(array.dtype.kind == "f" for array in pool.values()):
            for value, what in ((np.nan, "NaN"), (np.inf, "infinity"), (1e4, "large numbers"), (0.0, "zeros")):
                yield (
                    {
                        name: np.full_like(array, value) if array.dtype.kind == "f" else array
                        for name, array in pool.items()
                    },
                    what,
                )

    def _alone(self, pool: Feeds, count: int) -> list[list[Array]]:
        return [self._run(_pick(pool, [number])) for number in range(count)]

    def _compare(self, expected: list[list[Array]], results: list[Array], rows: int, what: str) -> None:
        _check_rows(results, rows)
        for number, (info, result) in enumerate(zip(self.model.outputs, results, strict=True)):
            wanted = [answer[number] for answer in expected]
            if any(one.shape != (1, *result.shape[1:]) for one in wanted):
                raise Dependent(f"the shape of output {info.name!r} changes with the batch")
            if not _close(np.concatenate(wanted), result, info.dtype):
                raise Dependent(f"{what} (output {info.name!r})")

    def _measure(self) -> dict[int, float]:
        """Seconds a run takes, by its rows; as far as it pays, and as there is time."""
        times: dict[int, float] = {}
        rows = 1
        while True:
            try:
                results, took = self._timed(self.samples(rows))
            except RuntimeStoppedError:
                break
            _check_rows(results, rows)
            times[rows] = took
            if rows == self.wishes.max_rows:
                return times
            following = min(2 * rows, self.wishes.max_rows)
            if following * took / rows > LONGEST or time.monotonic() + 2 * took > self.until:
                break
            rows = following
        if not times:
            raise Dependent(f"the probe was not done after {self.wishes.seconds:g} s")
        self.notes.append(
            f"at most {max(times)} rows run together: that takes {times[max(times)]:.2g} s, and more were not tried"
        )
        return times

    def _exact_sizes(self, largest: int) -> frozenset[int]:
        """The batch sizes at which every answer was the one given alone, bit for bit, wherever the sample stood."""
        pool = self.samples(largest)
        proven: set[int] = {1}
        try:
            alone = self._alone(pool, largest)
            for rows in range(2, largest + 1):
                if all(self._same(pool, alone, rows) for _ in range(4)):
                    proven.add(rows)
        except RuntimeStoppedError:
            self.notes.append(
                f"batches of more than {max(proven)} rows were not proven exact in {self.wishes.seconds:g} s"
            )
        return frozenset(proven)

    def _same(self, pool: Feeds, alone: list[list[Array]], rows: int) -> bool:
        order = [int(i) for i in self.random.permutation(len(alone))[:rows]]
        results = self._run(_pick(pool, order))
        _check_rows(results, rows)
        return all(
            np.concatenate([alone[i][number] for i in order]).tobytes() == np.ascontiguousarray(result).tobytes()
            if result.dtype != object
            else np.array_equal(np.concatenate([alone[i][number] for i in order]), result)
            for number, result in enumerate(results)
        )


def _nbytes(feeds: Feeds) -> int:
    return sum(array.nbytes for array in feeds.values())


def _per_byte(seconds: float, nbytes: int) -> float:
    return max(READING, seconds / nbytes) if nbytes else READING


def _free_axes(model: Model) -> bool:
    return any(isinstance(size, str) for info in model.inputs for size in info.shape[1:])


def _pick(pool: Feeds, order: list[int]) -> Feeds:
    return {name: array[order] for name, array in pool.items()}


def _interleaved(array: Array, stranger: Array, keep: list[int]) -> Array:
    mixed = np.empty((2 * len(keep), *array.shape[1:]), array.dtype)
    mixed[::2] = array[keep]
    mixed[1::2] = stranger[: len(keep)]
    return mixed


def _check_rows(results: list[Array], rows: int) -> None:
    for result in results:
        if not result.ndim or result.shape[0] != rows:
            raise Dependent(f"{rows} samples give an output of shape {list(result.shape)}")


def _close(expected: Array, result: Array, dtype: str) -> bool:
    if dtype not in TOLERANCE:
        return bool(np.array_equal(expected, result))
    finite = np.abs(expected[np.isfinite(expected)], dtype=np.float64)
    scale = float(finite.max()) if finite.size else 0.0
    atol = TOLERANCE[dtype] * scale
    return bool(np.allclose(result.astype(np.float64), expected.astype(np.float64), 0, atol, equal_nan=True))
