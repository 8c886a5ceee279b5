"""What is done with a version before it is served: a warm-up, and finding out whether its samples may run together."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seqc_runtime.errors import RuntimeStoppedError, SeqcRuntimeError
from seqc_runtime.inputs import Array
from seqc_runtime.model import Model
from seqc_runtime.runs import RunControl
from seqc_runtime.server.independence import PLAIN, SPECIAL, Dependent, Independence, check_rows
from seqc_runtime.server.made_up import Feeds, MadeUp, nbytes
from seqc_runtime.server.servable import Batching

MAX_BATCH = 64
# Batches that take longer than this keep everybody waiting for longer than they save.
LONGEST = 0.5
# Seconds a run is taken for that could not be tried: too long for the event loop, until real ones have been seen.
UNKNOWN = 1e-3
# What samples with special numbers may take beyond what the rest leaves, as a share of the time for the rest.
SHARE = 0.5
# Seconds that a byte of input takes at least, which a few small inputs do not show.
READING = 1e-10


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of batching.

    max_rows: rows that may run together; 1 for never. exact: only where answers are the same bit for bit.
    max_delay: seconds the first of a batch may wait for others. seconds: for the probe, up to samples with special
    numbers, which have SHARE of it of their own.
    """

    max_rows: int = MAX_BATCH
    exact: bool = False
    max_delay: float = 0.0
    seconds: float = 5.0


def probe(model: Model, wishes: Wishes) -> tuple[Batching, tuple[str, ...]]:
    """Warm a model up and find out how its samples may run together, and what is worth saying about that.

    Nothing that happens here is an error: a model that does not run on made-up inputs may run on real ones.
    """
    probing = _Probe(model, wishes)
    with probing.within(wishes.seconds):
        batching = probing.run()
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
        self.until = time.monotonic() + wishes.seconds
        random = np.random.default_rng(0)
        self.made = MadeUp(model.inputs, model.operators, random)
        self.independence = Independence(self._run, model.outputs, self.made, random, wishes.max_rows)

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Runs in here are ended after so many seconds."""
        outer, self.control = self.control, RunControl()
        timer = threading.Timer(seconds, self.control.stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self.control = outer

    def run(self) -> Batching:
        try:
            problem = self.made.find(self._run)
            if problem is not None:
                self.notes.append(f"neither warmed up nor probed, for it does not run on made-up inputs: {problem}")
                return Batching(fixed=UNKNOWN)
            took = self._timed(self.made.samples(1))[1]
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
        feeds = self.made.samples(1)
        try:
            self.made.size *= 4
            larger = self.made.samples(8)
            more = self._timed(larger)[1]
        except SeqcRuntimeError:
            larger, more = feeds, took
        finally:
            self.made.size //= 4
        return Batching(fixed=took, per_byte=_per_byte(more - took, nbytes(larger) - nbytes(feeds)))

    def _batching(self) -> Batching:
        self.independence.check()
        times = self._measure()
        largest = max(times)
        self.independence.check_crowd(largest)
        row = nbytes(self.made.samples(1))
        per_row = max(0.0, (times[largest] - times[1]) / max(1, largest - 1))
        fixed = max(1e-7, times[1] - per_row)
        sizes = self._exact_sizes(largest) if self.wishes.exact else None
        if sizes is not None and len(sizes) == 1:
            self.notes.append("requests run one by one: answers of batches are not the same bit for bit")
        most = largest if sizes is None else max(sizes)
        if most > 1:
            self._check_special()
        tolerance = self.independence.tolerance if sizes is None else 0.0
        return Batching(most, sizes, self.wishes.max_delay, fixed, _per_byte(per_row, row), tolerance)

    def _check_special(self) -> None:
        seconds = max(0.0, self.until - time.monotonic()) + SHARE * self.wishes.seconds
        try:
            with self.within(seconds):
                if not self.independence.check_special():
                    self.notes.append(f"it takes no made-up sample with {SPECIAL}, so none was looked at in batches")
        except RuntimeStoppedError as error:
            if not self.model.operators <= PLAIN:
                raise Dependent(f"samples with {SPECIAL} could not be looked at within {seconds:.2g} s") from error

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

    def _measure(self) -> dict[int, float]:
        """Seconds a run takes, by its rows; as far as it pays, and as there is time."""
        times: dict[int, float] = {}
        rows = 1
        while True:
            try:
                results, took = self._timed(self.made.samples(rows))
            except RuntimeStoppedError:
                break
            except SeqcRuntimeError as error:
                if rows == 1:
                    raise
                # A device that has no memory for more, perhaps.
                self.notes.append(f"at most {max(times)} rows run together: {rows} fail ({error})")
                return times
            check_rows(results, rows)
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
        pool = self.made.samples(largest)
        proven: set[int] = {1}
        try:
            alone = self.independence.alone(pool, largest)
            for rows in range(2, largest + 1):
                if all(self.independence.same(pool, alone, rows) for _ in range(4)):
                    proven.add(rows)
        except RuntimeStoppedError:
            self.notes.append(
                f"batches of more than {max(proven)} rows were not proven exact in {self.wishes.seconds:g} s"
            )
        return frozenset(proven)


def _per_byte(seconds: float, nbytes: int) -> float:
    return max(READING, seconds / nbytes) if nbytes else READING


def _free_axes(model: Model) -> bool:
    return any(isinstance(size, str) for info in model.inputs for size in info.shape[1:])
