"""Threads that run the parts of a plan side by side."""

from __future__ import annotations

import _thread
import os
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from queue import SimpleQueue
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

    def __init__(self, worker: int, place: int, error: BaseException) -> None:
        super().__init__(worker, place)
        self.worker, self.place, self.error = worker, place, error


class Hand:
    """A list of calls that one thread carries out, and how far it is; the first of several is the caller's own.

    An exception from outside, such as Ctrl-C, can end the thread that waits between any two instructions. That is why
    nothing here is said by taking turns: every list has an object of its own, and whatever may happen twice says the
    same the second time.

    Attributes:
        worker: its number among the lists that run side by side. failure: what went wrong, if anything did.
        finished: whether it is at rest after it was carried out.
    """

    __slots__ = ("_calls", "_count", "_done", "_taken", "failure", "finished", "worker")

    def __init__(self, worker: int, work: Work) -> None:
        self.worker = worker
        self.failure: Failure | None = None
        self.finished = False
        self._calls, self._count = iter(work), len(work)
        if worker:
            self._taken: dict[str, bool] = {}
            self._done = threading.Lock()
            self._done.acquire()

    @property
    def place(self) -> int:
        """The place of the call that is under way, or was the last one."""
        return self._count - self._calls.__length_hint__() - 1  # type: ignore[attr-defined,no-any-return]

    def carry_out(self) -> None:
        """Runs the calls in order, up to the first that fails."""
        try:
            for call in self._calls:
                call()
        except BaseException as error:
            self.failure = Failure(self.worker, self.place, error)

    def carry_out_elsewhere(self) -> None:
        """Does so in a thread that somebody waits for, unless nobody does any more."""
        if self._is_taken_by(waiter=False):
            self.carry_out()
            self.finished = True  # before the lock tells, which the one who waits may take without noticing
            self._done.release()

    def cancel(self) -> None:
        """Makes the call under way the last one."""
        self._calls.__setstate__(self._count)  # type: ignore[attr-defined]

    def wait(self) -> None:
        """Returns when the calls are at rest; may be interrupted, and called again."""
        while not self.finished:
            self._done.acquire()

    def settle(self) -> None:
        """Cancels what is left and returns when it is at rest; may be interrupted, and called again."""
        self.cancel()
        if not self._is_taken_by(waiter=True):  # no thread has it yet: none will
            self.wait()

    def _is_taken_by(self, waiter: bool) -> bool:
        """Takes the list, unless it was taken, and tells whether it is that side's now."""
        return self._taken.setdefault("by waiter", waiter) is waiter


class Run:
    """One run of several regions: what is under way, so that it can be brought to rest from anywhere.

    Attributes:
        at: the number of the region. hands: the lists of that region. cancelled: whether no more calls are to begin.
        interrupted: whether an interruption is to be raised when the run is over.
    """

    def __init__(self) -> None:
        self.at = -1
        self.hands: list[Hand] = []
        self.cancelled = False
        self.interrupted = False

    def cancel(self) -> None:
        """Lets the calls under way be the last ones; called from any thread."""
        self.cancelled = True
        for hand in self.hands:
            hand.cancel()

    def settle(self) -> None:
        """Cancels what is left and waits until all threads are at rest; may be interrupted, and called again."""
        self.cancel()
        for hand in self.hands[1:]:
            hand.settle()


class Workers:
    """Runs lists of work side by side: the first in the caller's thread, each other in one of its own.

    Several threads may call at a time. Each worker takes up what comes to it in order.
    """

    def __init__(self) -> None:
        self._queues: dict[int, SimpleQueue[Hand]] = {}
        # By thread the run that it has begun and not seen the end of.
        self._under_way: dict[int, Run] = {}

    def run(self, lists: Sequence[Work], run: Run | None = None) -> None:
        """Runs all lists to their ends, or until the run is cancelled.

        Args:
            run: what the lists are a region of; by default they are everything.

        Raises:
            Failure: one of them failed; the first one is told.
        """
        if run is None:
            run = Run()
        if len(lists) == 1:
            hand = Hand(0, lists[0])
            run.hands = [hand]
            if not run.cancelled:  # since the region before
                hand.carry_out()
            failure = hand.failure
        else:
            run.hands = [Hand(worker, work) for worker, work in enumerate(lists)]
            failure = None if run.cancelled else self._run_together(run, run.hands)
        if failure is not None:
            raise failure

    def _run_together(self, run: Run, hands: list[Hand]) -> Failure | None:
        me = threading.get_ident()
        self._under_way[me] = run
        try:
            for hand in hands[1:]:
                self._queue(hand.worker).put(hand)
            hands[0].carry_out()
            first = hands[0].failure
            if first is not None and not isinstance(first.error, Exception):
                run.cancel()  # an interruption: nobody is going to read what the others compute
            for hand in hands[1:]:
                hand.wait()
        except BaseException:
            self.settle_earlier()
            raise
        self._under_way.pop(me, None)
        return next((hand.failure for hand in hands if hand.failure is not None), None)

    def settle_earlier(self) -> None:
        """Waits until nothing is under way any more of what this thread began and was interrupted in."""
        me = threading.get_ident()
        while (run := self._under_way.get(me)) is not None:
            run.settle()
            self._under_way.pop(me, None)

    def _queue(self, worker: int) -> SimpleQueue[Hand]:
        """Returns the queue of a worker, which is started the first time."""
        queue = self._queues.get(worker)
        if queue is None:
            fresh: SimpleQueue[Hand] = SimpleQueue()
            # Not by `threading`, whose own locks an interruption could leave locked. Like daemons, these threads keep
            # nobody from leaving; one that waits at a queue which nobody else knows does no harm.
            _thread.start_new_thread(_work, (fresh,))
            queue = self._queues.setdefault(worker, fresh)
        return queue

    def forget(self) -> None:
        """Starts anew with other threads."""
        self._queues, self._under_way = {}, {}


WORKERS = Workers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=WORKERS.forget)  # threads do not survive a fork


def _work(queue: SimpleQueue[Hand]) -> None:
    """What a worker does: all that comes, for ever."""
    np.seterr(all="ignore")  # of this thread only
    while True:
        hand = queue.get()
        hand.carry_out_elsewhere()
        del hand  # or the arrays of a model would live until the next work comes
