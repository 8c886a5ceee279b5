"""What waits for one version of one model, and how long its runs take."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from time import perf_counter_ns

from seqc_runtime.inputs import Array
from seqc_runtime.runs import RunControl
from seqc_runtime.server.batching import key_of
from seqc_runtime.server.jobs import Job
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.servable import Batching, Servable

# How much of an average the newest time makes up.
_NEW = 0.1


Outcome = list[Array] | BaseException


class Ticket:
    """A job that waits or runs. done: called with what comes of it, once, unless nobody waits any more (`settled`)."""

    __slots__ = ("arrived", "done", "ended", "job", "key", "nbytes", "rows", "run", "settled", "started")

    def __init__(self, job: Job, done: Callable[[Outcome], None]) -> None:
        self.job = job
        self.done = done
        self.settled = False
        self.rows = 1 if job.rows is None else job.rows
        self.nbytes = job.nbytes
        self.key = key_of(job)
        self.arrived = perf_counter_ns()
        self.started = self.ended = 0  # when its run was
        self.run: Run | None = None

    @property
    def begun(self) -> int:
        """When its request came."""
        return self.job.begun or self.arrived

    def lost(self, now: float) -> str | None:
        """Why it need not run any more at `now`, of the reasons that requests are counted by; None when it must."""
        if self.job.deadline is not None and self.job.deadline <= now:
            return "late"
        return "cancelled" if self.job.gone is not None and self.job.gone() else None

    def settle(self) -> None:
        """Nothing comes of it any more."""
        self.settled = True
        if self.run is None:
            self.job.queued = perf_counter_ns() - self.arrived


class Run:
    """Tickets that run together. When nobody waits for any of them any more, it is stopped."""

    __slots__ = ("control", "live", "nbytes", "started", "tickets")

    def __init__(self, tickets: list[Ticket]) -> None:
        self.tickets = tickets
        self.control = RunControl()
        self.live = len(tickets)
        self.nbytes = sum(ticket.nbytes for ticket in tickets)
        self.started = 0
        for ticket in tickets:
            ticket.run = self

    def leave(self) -> None:
        """One of the tickets is not waited for any more."""
        self.live -= 1
        if not self.live:
            self.control.stop()


class Lane:
    """The queue of a version. Tickets stand in groups whose samples have the same shapes; groups take turns."""

    def __init__(self, servable: Servable) -> None:
        self.servable = servable
        self.groups: OrderedDict[Hashable, dict[Ticket, None]] = OrderedDict()
        self.count = self.rows = self.nbytes = 0
        self.runs: set[Run] = set()  # in threads
        self.due = False  # somebody looks at the queue soon
        self.timer: asyncio.TimerHandle | None = None
        self.watch: asyncio.TimerHandle | None = None
        # When the first of the deadlines here is, on the clock time.monotonic.
        self.alarm: asyncio.TimerHandle | None = None
        self.ends = math.inf
        self.per_tick = 0
        self.crowded = 0  # so many more ticks in which requests are expected to come together
        self.fixed = servable.batching.fixed
        self.per_byte = servable.batching.per_byte
        # How much longer runs take than was measured at load, and how long they took lately.
        self.scale = 1.0
        self.lately = self.fixed
        self.gap = 1.0
        self.last_arrival = 0

    @property
    def batching(self) -> Batching:
        """How its samples may run together."""
        return self.servable.batching

    @property
    def running(self) -> int:
        """How many runs are in threads."""
        return len(self.runs)

    def tickets(self) -> list[Ticket]:
        """Those that run, in threads, and those that wait."""
        return [*(t for run in self.runs for t in run.tickets), *(t for group in self.groups.values() for t in group)]

    def quick(self, nbytes: int, inline: float) -> bool:
        """Whether a run of so many bytes of input surely takes less than `inline` seconds."""
        return self.servable.bounded and self.predict(nbytes) < inline

    def gains(self, seconds: float) -> bool:
        """Whether requests that run together save more than `seconds` each."""
        return self.batching.max_rows > 1 and self.fixed > seconds

    def no_room(self, ticket: Ticket, limits: Limits, at_once: int) -> Refusal | None:
        """Why a ticket cannot wait here; None when it can. at_once: runs that there may be at the same time."""
        name, runs = self.servable.name, min(self.count, self.rows / max(1, self.batching.max_rows))
        behind = self.lately * runs / at_once
        if self.count and (
            self.rows + ticket.rows > limits.queue_rows or self.nbytes + ticket.nbytes > limits.queue_bytes
        ):
            message = f"{self.rows} rows ({self.nbytes} bytes) wait for model {name!r} already: ask later"
            return unavailable(message, behind)
        wait = (ticket.job.deadline or math.inf) - time.monotonic()
        if self.runs and behind > wait:
            message = (
                f"model {name!r} is busy for about {behind:.3g} s, and the request has {wait:.3g} s: "
                "give it more time, or ask later"
            )
            return unavailable(message, behind - wait)
        return None

    def patience(self) -> float:
        """Seconds that the first of a batch waits longer, because the next one would save more than that costs."""
        batching = self.batching
        if batching.max_delay <= 0 or batching.max_rows == 1:
            return 0.0
        first, rows = self.oldest()
        if rows >= batching.max_rows or self.count * self.gap > max(self.fixed, self.lately - self.fixed):
            return 0.0
        return batching.max_delay - (perf_counter_ns() - first.arrived) / 1e9

    def predict(self, nbytes: int) -> float:
        """Seconds that a run of so many bytes of input takes."""
        return self.scale * (self.fixed + self.per_byte * nbytes)

    def learn(self, nbytes: int, seconds: float, inline: bool) -> None:
        """Take a measured time into account."""
        self.lately += _NEW * (seconds - self.lately)
        expected = self.fixed + self.per_byte * nbytes
        if not expected:
            self.fixed = seconds
            return
        ratio = seconds / expected
        if inline or ratio < self.scale:
            self.scale += _NEW * (min(ratio, 10 * self.scale) - self.scale)
        elif self.scale > 1:
            # What a thread measures includes waiting for the interpreter. So times that were longer than measured at
            # load are forgotten slowly, and then looked at again.
            self.scale *= 0.99

    def put(self, ticket: Ticket) -> None:
        """Add to the queue."""
        self.groups.setdefault(ticket.key, {})[ticket] = None
        self._change(1, ticket)
        if self.last_arrival:
            self.gap += _NEW * ((ticket.arrived - self.last_arrival) / 1e9 - self.gap)
        self.last_arrival = ticket.arrived

    def remove(self, ticket: Ticket) -> bool:
        """Take one out before its turn; False when it does not wait here."""
        group = self.groups.get(ticket.key)
        if group is None or ticket not in group:
            return False
        del group[ticket]
        if not group:
            del self.groups[ticket.key]
        self._change(-1, ticket)
        return True

    def oldest(self) -> tuple[Ticket, int]:
        """The first ticket of the group whose turn it is, and how many rows wait with it."""
        group = next(iter(self.groups.values()))
        return next(iter(group)), sum(ticket.rows for ticket in group) if len(group) < 64 else self.rows

    def take(self) -> tuple[list[Ticket], list[Ticket]]:
        """The tickets that run next, together, and those in front of them that are lost.

        They are told apart here, for a batch that lost some of its tickets later may have a size that is not allowed.
        """
        key, group = next(iter(self.groups.items()))
        taken: list[Ticket] = []
        lost: list[Ticket] = []
        now, rows, good = time.monotonic(), 0, 0
        for ticket in group:
            if ticket.lost(now):
                lost.append(ticket)
                continue
            if taken and (not self._joins(ticket) or rows + ticket.rows > self.batching.max_rows):
                break
            taken.append(ticket)
            rows += ticket.rows
            if len(taken) == 1 or self.batching.allows(rows):
                good = len(taken)
            if not self._joins(ticket):
                break
        # Where only some sizes are allowed, the largest of them that was met.
        del taken[good:]
        for ticket in (*taken, *lost):
            del group[ticket]
        self._change(-1, *taken, *lost)
        if group:
            self.groups.move_to_end(key)
        else:
            del self.groups[key]
        return taken, lost

    def _joins(self, ticket: Ticket) -> bool:
        """Whether a ticket may run with others: not when it is empty, larger than a batch, or not made of rows."""
        return bool(ticket.job.rows) and self.batching.allows(ticket.rows)

    def _change(self, sign: int, *tickets: Ticket) -> None:
        rows = nbytes = 0
        for ticket in tickets:
            rows += ticket.rows
            nbytes += ticket.nbytes
        self.count += sign * len(tickets)
        self.rows += sign * rows
        self.nbytes += sign * nbytes
        self.servable.counters.waiting(sign * len(tickets), sign * rows)


def unavailable(message: str, retry_after: float = 1) -> Refusal:
    """503, and after how many seconds to ask again."""
    return Refusal(503, message, {"retry-after": str(max(1, min(60, round(retry_after))))})
