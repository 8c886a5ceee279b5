"""Threads that run the parts of a plan side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from seqc.errors import ConfigError

Work = Sequence[Callable[[], Any]]


def thread_count() -> int:
    """Returns how many threads training uses: SEQC_NUM_THREADS, or as many as this process may keep busy.

    Raises:
        ConfigError: SEQC_NUM_THREADS is not a positive number.
    """
    told = os.environ.get("SEQC_NUM_THREADS", "").strip()
    if not told:
        return available_cores()
    if not told.isdigit() or int(told) < 1:
        raise ConfigError(f"SEQC_NUM_THREADS must be a positive whole number; got {told!r}.")
    return int(told)


@cache
def available_cores() -> int:
    """Returns the cores this process may use, by its affinity and its control group's quota."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    quota = _quota()
    return max(1, min(cores, cores if quota is None else int(quota + 0.5)))


def _quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Returns how many cores' time the control group grants, None for no limit."""
    try:
        granted, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            granted = (root / "cpu/cpu.cfs_quota_us").read_text()
            period = (root / "cpu/cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        share = int(granted) / int(period)
    except (ValueError, ZeroDivisionError):
        return None  # "max"
    return share if share > 0 else None


class Failure(Exception):
    """What went wrong in a list of work, and at which place."""

    def __init__(self, lane: int, place: int, error: BaseException) -> None:
        super().__init__(lane, place)
        self.lane, self.place, self.error = lane, place, error


class _Worker:
    """One thread that waits for work."""

    def __init__(self, lane: int) -> None:
        self.lane = lane
        self.failure: Failure | None = None
        self._work: Work = ()
        self._go, self._done = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._done.acquire()
        threading.Thread(target=self._loop, name=f"seqc-{lane}", daemon=True).start()

    def start(self, work: Work) -> None:
        self._work = work
        self._go.release()

    def wait(self) -> Failure | None:
        """Waits for the end of the work, which goes on when it is interrupted; the interruption is returned."""
        interrupted: Failure | None = None
        while True:
            try:
                self._done.acquire()
                break
            except KeyboardInterrupt as error:
                interrupted = Failure(0, 0, error)
        self._work = ()
        return interrupted

    def _loop(self) -> None:
        np.seterr(all="ignore")  # of this thread only
        while True:
            self._go.acquire()
            self.failure = run_list(self.lane, self._work)
            self._done.release()


class Workers:
    """Runs lists of work side by side: the first in the caller's thread, each other in one of its own."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._process = 0
        self._busy = threading.Lock()

    def run(self, lists: Sequence[Work]) -> None:
        """Runs all lists to their ends.

        Raises:
            Failure: one of them failed; the first one is told.
        """
        failure = run_list(0, lists[0]) if len(lists) == 1 else self._run_together(lists)
        if failure is not None:
            raise failure

    def _run_together(self, lists: Sequence[Work]) -> Failure | None:
        with self._busy:
            self._ensure(len(lists) - 1)
            others = self._workers[: len(lists) - 1]
            for worker, work in zip(others, lists[1:], strict=True):
                worker.start(work)
            failure = run_list(0, lists[0])
            for worker in others:
                interrupted = worker.wait()
                failure = failure or interrupted or worker.failure
        return failure

    def _ensure(self, count: int) -> None:
        if self._process != os.getpid():  # threads do not survive a fork
            self._workers, self._process = [], os.getpid()
        while len(self._workers) < count:
            self._workers.append(_Worker(len(self._workers) + 1))


WORKERS = Workers()


def run_list(lane: int, work: Work) -> Failure | None:
    """Runs a list in order; returns what went wrong, if anything did."""
    calls = iter(work)
    try:
        for call in calls:
            call()
    except BaseException as error:
        return Failure(lane, len(work) - calls.__length_hint__() - 1, error)  # type: ignore[attr-defined]
    return None
