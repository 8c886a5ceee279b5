"""When and where jobs run, on an event loop.

A job of a model that is quick runs at once, on the loop: to hand it to a thread costs more than the model does. Others
run in threads. Jobs that come in the same turn of the loop, or while their model is busy, run together where the model
allows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter_ns
from typing import Any, TypeVar

from seqc_runtime.inputs import Array
from seqc_runtime.server.execution import execute
from seqc_runtime.server.jobs import Job
from seqc_runtime.server.lane import Lane, Outcome, Run, Ticket, unavailable
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.turn import Turn
from seqc_runtime.threads import cpu_budget

T = TypeVar("T")
LOG = logging.getLogger("seqc_runtime.server")

INLINE = 300e-6
# What it costs to hold a request back until the end of the loop's turn; a run must save more than that.
HOLDING = 10e-6
# Turns of the loop that requests are held back for after several came in one.
CROWDED = 32
# They are started when they are needed. Each model has a few at most, and must not wait for those that others hold.
THREADS = 1024
# Models load one after the other; others wait for that.
SLOW_THREADS = 32
# Seconds that a timer may go off before its time, as the clock of an event loop has it.
EARLY = 2e-3
# Seconds between looks whether the clients are still there for whom a model runs.
WATCH = 0.25


class Scheduler:
    """Runs jobs. One scheduler belongs to one event loop at a time; see `move`.

    limits: what may wait, and how long. inline: seconds; runs that take less do not go to a thread.
    cpus: a model runs so often at the same time as its threads fit there; None for those of this process.
    """

    def __init__(self, limits: Limits | None = None, inline: float = INLINE, cpus: int | None = None) -> None:
        self.limits = limits or Limits()
        self.inline = inline
        self._lanes: dict[Servable, Lane] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._aside: ThreadPoolExecutor | None = None
        self._slow: ThreadPoolExecutor | None = None
        self._calls: list[None] = []
        self._cpus = cpus or cpu_budget().cpus
        self._refusing = False
        self._idle: list[asyncio.Future[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        # Where connections of this loop write what jobs that ran together came to.
        self.turn = Turn()

    def move(self) -> None:
        """Belong to the running event loop from now on.

        Jobs of one that was closed are over. Raises RuntimeError when the one before is still in use.
        """
        loop, before = asyncio.get_running_loop(), self._loop
        if loop is before:
            return
        if before is not None:
            if before.is_running() or (self.busy and not before.is_closed()):
                raise RuntimeError(
                    "this application answers in one event loop, and another one is still in use: "
                    "make an application for each"
                )
            for lane in self._lanes.values():
                for run in lane.runs:
                    run.control.stop()
            self._lanes, self._idle = {}, []
            self.turn.forget()
        self._loop = loop

    async def submit(self, job: Job) -> list[Array]:
        """The results of a job.

        Raises Refusal: 503 when there is no room or no time, 504 when its time is over; RuntimeExecutionError.
        A caller that is cancelled is waited for no more.
        """
        results = self.at_once(job)
        if results is not None:
            return results
        future: asyncio.Future[list[Array]] = asyncio.get_running_loop().create_future()
        ticket = self.queue(job, partial(_fulfil, future))
        try:
            return await future
        except asyncio.CancelledError:
            self.leave(ticket)
            raise

    def at_once(self, job: Job) -> list[Array] | None:
        """The results of a job whose model is quick and idle; None when it has to wait: see `queue`.

        Raises Refusal: 503 when no more is taken, 504 when its time is over; RuntimeExecutionError.
        """
        if self._refusing:
            raise _refused(job, "rejected", unavailable("the server is about to end: ask another one, or later"))
        if job.deadline is not None and job.deadline <= time.monotonic():
            raise _refused(job, "late", Refusal(504, "the request's time was over before it began"))
        lane = self._lanes.get(job.servable) or self._lane(job.servable)
        if lane.count or lane.running or lane.crowded or not lane.quick(job.nbytes, self.inline):
            return None
        return self._run_now(lane, job)

    def queue(self, job: Job, done: Callable[[Outcome], None]) -> Ticket:
        """Let a job that `at_once` did not run wait for its turn.

        done: called once, on the loop, with the results or what went wrong: a Refusal, or RuntimeExecutionError.

        Raises Refusal (503) when there is no room or no time.
        """
        lane = self._lanes[job.servable]
        ticket = Ticket(job, done)
        if job.deadline is None:
            job.deadline = time.monotonic() + self.limits.request_time
        refusal = lane.no_room(ticket, self.limits, self._at_once(lane))
        if refusal is not None:
            raise _refused(job, "rejected", refusal)
        lane.put(ticket)
        lane.per_tick += lane.gains(HOLDING)
        self._look_soon(lane)
        if job.deadline < lane.ends:
            self._watch_deadlines(lane, job.deadline)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Nobody waits for a queued job any more: `done` is not called."""
        if ticket.settled:
            return
        ticket.settle()
        _count(ticket, "cancelled")
        self._drop(self._lanes[ticket.job.servable], ticket)

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run anything slow in a thread, such as loading a model; the end of the event loop does not wait for it."""
        if self._slow is None:
            self._slow = ThreadPoolExecutor(SLOW_THREADS, "seqc-slow")
        return await asyncio.get_running_loop().run_in_executor(self._slow, self._call, function, *arguments)

    def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        self._calls.append(None)
        try:
            return function(*arguments)
        finally:
            self._calls.pop()

    async def aside(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run what takes long on the CPU in a thread, one after the other: together they would only need more memory.

        The interpreter runs the loop in between, but not during a single call of a C function.
        """
        if self._aside is None:
            self._aside = ThreadPoolExecutor(1, "seqc-aside")
        return await asyncio.get_running_loop().run_in_executor(self._aside, function, *arguments)

    @property
    def busy(self) -> bool:
        """Whether a job waits or runs."""
        return any(lane.count or lane.running for lane in self._lanes.values())

    @property
    def calling(self) -> bool:
        """Whether what `call` was given runs, which nothing can stop."""
        return bool(self._calls)

    async def drain(self) -> None:
        """Refuse new jobs, and return when all that are here have ended."""
        self._refusing = True
        if self.busy:
            for lane in self._lanes.values():
                self._look_soon(lane)
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(waiter)
            await waiter

    def close(self) -> None:
        """Refuse new jobs and those that wait, and stop those that run."""
        self._refusing = True
        for lane in self._lanes.values():
            for ticket in lane.tickets():
                self._give_up(lane, ticket, "rejected", unavailable("the server ends: ask another one"))
            for timer in (lane.timer, lane.watch, lane.alarm):
                if timer is not None:
                    timer.cancel()
        for pool in (self._pool, self._aside, self._slow):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=pool is self._slow)

    def _lane(self, servable: Servable) -> Lane:
        loop = self._loop = self._loop or asyncio.get_running_loop()
        lane = self._lanes[servable] = Lane(servable)
        servable.when_retired(lambda: _call(loop, self._forget, servable))
        return lane

    def _forget(self, servable: Servable) -> None:
        """Keep nothing of a version that is not served any more, once its jobs have ended: its session is freed."""
        lane = self._lanes.get(servable)
        if lane is None:
            return
        if lane.count or lane.running:
            asyncio.get_running_loop().call_later(0.05, self._forget, servable)
        else:
            del self._lanes[servable]
            if lane.alarm is not None:
                lane.alarm.cancel()

    def _run_now(self, lane: Lane, job: Job) -> list[Array]:
        if lane.gains(HOLDING):
            if not lane.per_tick:
                self._running().call_soon(self._end_tick, lane)
            lane.per_tick += 1
        start = perf_counter_ns()
        results = job.run()
        lane.learn(job.nbytes, (perf_counter_ns() - start) / 1e9, inline=True)
        return results

    def _end_tick(self, lane: Lane) -> None:
        if lane.per_tick > 1:
            lane.crowded = CROWDED
        elif lane.crowded:
            lane.crowded -= 1
        lane.per_tick = 0

    def _at_once(self, lane: Lane) -> int:
        """How many runs of a model fit on the CPUs."""
        return max(1, self._cpus // lane.servable.model.threads)

    def _look_soon(self, lane: Lane) -> None:
        if not lane.due:
            lane.due = True
            self._running().call_soon(self._look, lane)

    def _look(self, lane: Lane) -> None:
        """Start what can start."""
        lane.due = False
        if lane.per_tick:
            self._end_tick(lane)
        most = self._at_once(lane)
        while lane.count and lane.running < most:
            if self._waits_for_more(lane):
                return
            tickets, lost = lane.take()
            for ticket in lost:
                self._settle_lost(ticket)
            if not tickets:
                self._tell_idle()
                continue
            run = Run(tickets)
            if not lane.running and lane.quick(run.nbytes, self.inline):
                self._finish(lane, run, execute(lane.servable, run), inline=True)
                # Others have their turn before more of this model runs on the loop.
                if lane.count:
                    self._look_soon(lane)
                return
            self._start(lane, run)

    def _waits_for_more(self, lane: Lane) -> bool:
        """Whether the first of a batch waits a little longer, because the next one would save more than that costs."""
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        left = 0.0 if self._refusing else lane.patience()
        if left <= 0:
            return False
        lane.timer = self._running().call_later(left, self._look, lane)
        return True

    def _settle_lost(self, ticket: Ticket) -> None:
        late = ticket.lost(time.monotonic()) == "late"
        self._settle(ticket, _late(ticket) if late else _gone(), "late" if late else "cancelled")

    def _start(self, lane: Lane, run: Run) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, "seqc-run")
        lane.runs.add(run)
        loop = self._running()
        if lane.watch is None:
            lane.watch = loop.call_later(WATCH, self._watch, lane)
        try:
            pool_future = self._pool.submit(execute, lane.servable, run)
        except RuntimeError as error:  # no thread can be started; one that is there may still find the run
            LOG.error("a run cannot begin: %s", error)
            run.control.stop()
            lane.runs.discard(run)
            for ticket in tuple(run.tickets):
                self._settle(ticket, unavailable("the server has no thread to run the model in: ask later"), "rejected")
            self._tell_idle()
            return
        pool_future.add_done_callback(lambda done: _call(loop, self._ended, lane, run, done))

    def _watch(self, lane: Lane) -> None:
        """Give up what nobody waits for any more, as long as runs take long."""
        for ticket in lane.tickets():
            if not ticket.settled and ticket.lost(time.monotonic()):
                self._settle_lost(ticket)
                self._drop(lane, ticket)
        lane.watch = self._running().call_later(WATCH, self._watch, lane) if lane.runs else None

    def _ended(self, lane: Lane, run: Run, done: Any) -> None:
        lane.runs.discard(run)
        error = done.exception()
        outcomes: list[Outcome] = [error] * len(run.tickets) if error is not None else done.result()
        self._finish(lane, run, outcomes, inline=False)
        if lane.count:
            self._look(lane)

    def _finish(self, lane: Lane, run: Run, outcomes: list[Outcome], inline: bool) -> None:
        if run.live and run.started:
            lane.learn(run.nbytes, (perf_counter_ns() - run.started) / 1e9, inline)
        with self.turn.together():
            for ticket, outcome in zip(run.tickets, outcomes, strict=True):
                self._settle(ticket, outcome)
        # Tickets refer to their run: without this, inputs and sessions would stay until the garbage is collected.
        run.tickets.clear()
        self._tell_idle()

    def _settle(self, ticket: Ticket, outcome: Outcome, reason: str = "failed") -> None:
        """End a ticket, unless it has ended, and count it: here only, and in `leave`."""
        if ticket.settled:
            return
        ticket.settle()
        _count(ticket, reason if isinstance(outcome, BaseException) else None)
        try:
            ticket.done(outcome)
        except Exception:  # one that cannot take its results must not keep the others from theirs
            LOG.exception("the results of a request could not be handed over")

    def _running(self) -> asyncio.AbstractEventLoop:
        """The event loop of the requests. Raises RuntimeError before the first of them."""
        if self._loop is None:
            raise RuntimeError("a scheduler has no event loop before its first request")
        return self._loop

    def _watch_deadlines(self, lane: Lane, ends: float) -> None:
        """Look at a lane when the first of its deadlines comes: one timer for all, since hardly any ever does."""
        if lane.alarm is not None:
            lane.alarm.cancel()
        lane.ends = ends
        lane.alarm = self._running().call_later(ends - time.monotonic(), self._deadline, lane)

    def _deadline(self, lane: Lane) -> None:
        """Settle what is late; go on with the next deadline."""
        lane.alarm, lane.ends = None, math.inf
        now = time.monotonic() + EARLY
        following = math.inf
        for ticket in lane.tickets():
            ends = ticket.job.deadline or math.inf
            if ends <= now:
                self._give_up(lane, ticket, "late", _late(ticket))
            elif not ticket.settled:
                following = min(following, ends)
        if following < lane.ends:
            self._watch_deadlines(lane, following)

    def _give_up(self, lane: Lane, ticket: Ticket, reason: str, refusal: Refusal) -> None:
        if not ticket.settled:
            self._settle(ticket, refusal, reason)
            self._drop(lane, ticket)

    def _drop(self, lane: Lane, ticket: Ticket) -> None:
        """Forget a ticket that was given up: once only, for its run ends with the last that is."""
        if not lane.remove(ticket) and ticket.run is not None:
            ticket.run.leave()
        self._tell_idle()

    def _tell_idle(self) -> None:
        if self._idle and not self.busy:
            for waiter in self._idle:
                if not waiter.done():
                    waiter.set_result(None)
            self._idle.clear()


def _fulfil(future: asyncio.Future[list[Array]], outcome: Outcome) -> None:
    if future.done():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: Any) -> None:
    # When the loop is closed, nobody waits any more.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)


def _late(ticket: Ticket) -> Refusal:
    where = "while it waited" if ticket.run is None else "before the model was done"
    return Refusal(504, f"the request's time was over {where}")


def _count(ticket: Ticket, reason: str | None = None) -> None:
    """Count a request that ended; `reason` when it was not answered."""
    counters, begun = ticket.job.servable.counters, ticket.begun
    if reason is not None:
        counters.failed(reason, perf_counter_ns() - begun)
        return
    start, end = ticket.started, ticket.ended
    counters.answered(ticket.rows, end - begun, start - ticket.arrived, ticket.arrived - begun, end - start)


def _gone() -> Refusal:
    return Refusal(499, "the client has gone")


def _refused(job: Job, reason: str, refusal: Refusal) -> Refusal:
    """The refusal of a job that gets no ticket, counted."""
    job.servable.counters.failed(reason, perf_counter_ns() - job.begun if job.begun else 0)
    return refusal
