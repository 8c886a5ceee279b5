"""What was served, counted: plain integers in one memory map a process, which every process of a server can read."""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

try:
    import fcntl
except ModuleNotFoundError:  # Windows; there is one process then
    fcntl = None  # type: ignore[assignment]

MOST_MODELS = 1024
# The numbers of so many versions are kept after nothing serves them any more; those of earlier ones are forgotten, or
# a server with a new version every day would report more and more for ever.
KEPT = 64
# Why a request was not answered: it was wrong, there was no room, its time was over, its client had gone away, or the
# model failed on it.
FAILURES = ("invalid", "rejected", "late", "cancelled", "failed")

_COUNTERS = ("success", "total_ns", "queue_ns", "input_ns", "infer_ns", "output_ns", "rows", "executions", "last_ms")
_GAUGES = ("pending", "pending_rows")
# Four buckets an octave, from a microsecond (2**10 ns) to two minutes.
_FIRST, _OCTAVES = 10, 27
BUCKETS = 4 * _OCTAVES
# Each batch size up to 128, then powers of two.
_EXACT, _SIZES = 128, 128 + 24

_NAME = 1
_BASE = _NAME + 16
_FAILED = _BASE + len(_COUNTERS)
_GAUGE = _FAILED + len(FAILURES) + 1
_LATENCY = _GAUGE + len(_GAUGES)
_BATCHES = _LATENCY + BUCKETS
_SLOT = _BATCHES + 4 * (_SIZES + 1)
_HEADER = 8
_BYTES = 8 * (_HEADER + MOST_MODELS * _SLOT)


def bucket(ns: int) -> int:
    """The number of the histogram's bucket that a time belongs to."""
    bits = ns.bit_length()
    if bits <= _FIRST:
        return 0
    return min(4 * (bits - _FIRST - 1) + ((ns >> (bits - 3)) & 3), BUCKETS - 1)


def bucket_end(number: int) -> int:
    """The upper bound of a bucket, in nanoseconds."""
    octave, part = divmod(number, 4)
    return (5 + part) << (octave + _FIRST - 2)


def _size_class(rows: int) -> int:
    return rows if rows <= _EXACT else min(_EXACT + (rows - 1).bit_length() - 7, _SIZES)


def _class_size(number: int) -> int:
    return number if number <= _EXACT else 1 << (number - _EXACT + 7)


@dataclass
class BatchCount:
    """Runs of one batch size (above 128 rows, of that size and less). Times are nanoseconds."""

    count: int = 0
    input_ns: int = 0
    infer_ns: int = 0
    output_ns: int = 0


@dataclass
class Snapshot:
    """The numbers of one version of one model, since the server started. Times are nanoseconds.

    success: requests answered, in total_ns from their arrival; each of the other times is the sum over them.
    rows: samples. executions: runs of the model. fail: requests by reason, see FAILURES.
    pending, pending_rows: what waits now. last_ms: of the last answer, since 1970. latency: requests by bucket.
    """

    success: int = 0
    total_ns: int = 0
    queue_ns: int = 0
    input_ns: int = 0
    infer_ns: int = 0
    output_ns: int = 0
    rows: int = 0
    executions: int = 0
    last_ms: int = 0
    fail_ns: int = 0
    pending: int = 0
    pending_rows: int = 0
    fail: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAILURES, 0))
    latency: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    batches: dict[int, BatchCount] = field(default_factory=dict)

    def quantile(self, q: float) -> float | None:
        """The latency, in seconds, that a share `q` of the requests did not exceed; None when there were none."""
        wanted = q * sum(self.latency)
        if not wanted:
            return None
        for number, count in enumerate(itertools.accumulate(self.latency)):
            if count >= wanted:
                return bucket_end(number) / 1e9
        return None

    def since(self, earlier: Snapshot) -> Snapshot:
        """What came after an earlier snapshot: with `quantile`, the latencies of recent time."""
        counters = {
            name: getattr(self, name) - getattr(earlier, name) for name in (*_COUNTERS, "fail_ns") if name != "last_ms"
        }
        return Snapshot(
            **counters,
            last_ms=self.last_ms,
            pending=self.pending,
            pending_rows=self.pending_rows,
            fail={reason: count - earlier.fail[reason] for reason, count in self.fail.items()},
            latency=[now - then for now, then in zip(self.latency, earlier.latency, strict=True)],
        )

    def add(self, words: memoryview | list[int], alive: bool) -> None:
        """Add the numbers of one process; what waits in one that is gone does not count."""
        for number, name in enumerate(_COUNTERS):
            value = words[_BASE + number]
            setattr(self, name, max(self.last_ms, value) if name == "last_ms" else getattr(self, name) + value)
        for number, reason in enumerate(FAILURES):
            self.fail[reason] += words[_FAILED + number]
        self.fail_ns += words[_FAILED + len(FAILURES)]
        if alive:
            self.pending += words[_GAUGE]
            self.pending_rows += words[_GAUGE + 1]
        for number in range(BUCKETS):
            self.latency[number] += words[_LATENCY + number]
        for number in range(_SIZES + 1):
            at = _BATCHES + 4 * number
            if words[at]:
                batch = self.batches.setdefault(_class_size(number), BatchCount())
                batch.count += words[at]
                batch.input_ns += words[at + 1]
                batch.infer_ns += words[at + 2]
                batch.output_ns += words[at + 3]


class Counters:
    """Where one version of one model counts. Any thread may."""

    __slots__ = ("__weakref__", "_lock", "_words")

    def __init__(self, words: memoryview) -> None:
        self._words = words
        self._lock = threading.Lock()

    def executed(self, rows: int, input_ns: int, infer_ns: int, output_ns: int) -> None:
        """Count a run of the model on `rows` samples."""
        words, at = self._words, _BATCHES + 4 * _size_class(rows)
        with self._lock:
            words[_BASE + 7] += 1
            words[at] += 1
            words[at + 1] += input_ns
            words[at + 2] += infer_ns
            words[at + 3] += output_ns

    def answered(
        self, rows: int, total_ns: int, queue_ns: int, input_ns: int, infer_ns: int, output_ns: int = 0
    ) -> None:
        """Count a request that was answered, and how long each step of it took."""
        words = self._words
        with self._lock:
            words[_BASE] += 1
            words[_BASE + 1] += total_ns
            words[_BASE + 2] += queue_ns
            words[_BASE + 3] += input_ns
            words[_BASE + 4] += infer_ns
            words[_BASE + 5] += output_ns
            words[_BASE + 6] += rows
            words[_BASE + 8] = time.time_ns() // 1_000_000
            words[_LATENCY + bucket(total_ns)] += 1

    def alone(self, rows: int, input_ns: int, infer_ns: int) -> None:
        """Count a request that was answered without waiting, and the run that was for it alone."""
        words, at, total_ns = self._words, _BATCHES + 4 * _size_class(rows), input_ns + infer_ns
        with self._lock:
            words[_BASE] += 1
            words[_BASE + 1] += total_ns
            words[_BASE + 3] += input_ns
            words[_BASE + 4] += infer_ns
            words[_BASE + 6] += rows
            words[_BASE + 7] += 1
            words[_BASE + 8] = time.time_ns() // 1_000_000
            words[_LATENCY + bucket(total_ns)] += 1
            words[at] += 1
            words[at + 1] += input_ns
            words[at + 2] += infer_ns

    def failed(self, reason: str, ns: int = 0) -> None:
        """Count a request that was not answered: one of FAILURES, after `ns`."""
        with self._lock:
            self._words[_FAILED + FAILURES.index(reason)] += 1
            self._words[_FAILED + len(FAILURES)] += ns

    def snapshot(self) -> Snapshot:
        """What this process has counted."""
        found = Snapshot()
        found.add(self._words, alive=True)
        return found

    def waiting(self, requests: int, rows: int) -> None:
        """Change what waits by so many."""
        with self._lock:
            self._words[_GAUGE] += requests
            self._words[_GAUGE + 1] += rows


class Stats:
    """The numbers of this process, and with a directory those of all processes that count there.

    directory: one for all processes of a server. A process takes over the file of one that is gone, so that numbers
    never go back and files do not pile up. None: in memory, for this process only.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self._directory = None if directory is None else Path(directory)
        self._lock = threading.Lock()
        # Counters live as long as a version has them; where they counted is remembered longer, the oldest first.
        self._counters: weakref.WeakValueDictionary[tuple[str, int], Counters] = weakref.WeakValueDictionary()
        self._places: dict[tuple[str, int], int] = {}
        self._handle: int | None = None
        if self._directory is None or fcntl is None:
            self._directory = None
            self._map = mmap.mmap(-1, _BYTES)
        else:
            self._handle = _claim(self._directory)
            self._map = mmap.mmap(self._handle, _BYTES)
        self._words = memoryview(self._map).cast("q")
        for number in range(self._words[0]):
            slot = self._slot(number)
            slot[_GAUGE] = slot[_GAUGE + 1] = 0
            self._places[_key(slot)] = number

    def model(self, name: str, version: int) -> Counters:
        """Where a version counts. It goes on where it was when it is loaded again, if that is not long ago."""
        key = name, version
        with self._lock:
            found = self._counters.get(key)
            if found is None:
                place = self._places.pop(key, None)
                if place is None:
                    place = self._begin(name, version)
                if place is None:
                    # Counted, but not shown: a server has seldom that many versions.
                    return Counters(memoryview(bytearray(8 * _SLOT)).cast("q"))
                self._places[key] = place
                found = self._counters[key] = Counters(self._slot(place))
            return found

    def read_all(self) -> dict[tuple[str, int], Snapshot]:
        """What all processes have counted, by name and version."""
        total: dict[tuple[str, int], Snapshot] = {}
        if self._directory is None:
            _add(total, self._words, alive=True)
            return total
        return read_directory(self._directory)

    def close(self) -> None:
        """Let another process go on with this one's file."""
        if self._handle is not None:
            fcntl.flock(self._handle, fcntl.LOCK_UN)  # the map holds on to the file
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _slot(self, number: int) -> memoryview:
        return self._words[_HEADER + number * _SLOT : _HEADER + (number + 1) * _SLOT]

    def _begin(self, name: str, version: int) -> int | None:
        """The number of a slot for a version that has none; None when all are in use."""
        unused = [key for key in self._places if key not in self._counters]
        number = self._words[0]
        if len(unused) >= KEPT or (number == MOST_MODELS and unused):
            number = self._places.pop(unused[0])
        elif number == MOST_MODELS:
            return None
        slot = self._slot(number)
        slot[0] = 0  # readers pass over it meanwhile
        slot[1:] = memoryview(bytes(8 * (_SLOT - 1))).cast("q")
        text = name.encode()[:128].ljust(128, b"\0")
        for place in range(16):
            slot[_NAME + place] = int.from_bytes(text[8 * place : 8 * place + 8], "little", signed=True)
        slot[0] = version
        # Readers look at the slots that are counted here, so it comes last.
        self._words[0] = max(self._words[0], number + 1)
        return number


def read_directory(directory: str | os.PathLike[str]) -> dict[tuple[str, int], Snapshot]:
    """What all processes that count in a directory have counted, by name and version."""
    total: dict[tuple[str, int], Snapshot] = {}
    for path in sorted(Path(directory).glob("*.stats")):
        with _opened(path) as handle:
            if os.fstat(handle).st_size < _BYTES:
                continue  # it is just being made
            alive = not _locked(handle, shared=True)
            with mmap.mmap(handle, _BYTES, access=mmap.ACCESS_READ) as content:
                words = memoryview(content).cast("q")
                _add(total, words, alive)
                words.release()
    return total


def _key(slot: memoryview | list[int]) -> tuple[str, int]:
    text = b"".join(slot[_NAME + number].to_bytes(8, "little", signed=True) for number in range(16))
    return text.rstrip(b"\0").decode(errors="replace"), slot[0]


def _add(total: dict[tuple[str, int], Snapshot], words: memoryview, alive: bool) -> None:
    for number in range(words[0]):
        with words[_HEADER + number * _SLOT : _HEADER + (number + 1) * _SLOT] as slot:
            key = _key(slot)
            found = slot.tolist()
            if found[0] and _key(slot) == key == _key(found):  # else another version takes the slot over just now
                total.setdefault(key, Snapshot()).add(found, alive)


def _claim(directory: Path) -> int:
    """An open file of the directory that no living process counts in."""
    for number in itertools.count():
        handle = os.open(directory / f"{number}.stats", os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        if _locked(handle, shared=False):
            os.ftruncate(handle, _BYTES)
            return handle
        os.close(handle)
    raise AssertionError


def _locked(handle: int, shared: bool) -> bool:
    """Whether the lock could be taken; closing the file gives it back."""
    operation: Any = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(handle, operation | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)
