"""What waits for one version of one model, and how long its runs take."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from time import perf_counter_ns

from seqc_runtime.inputs import Array
from seqc_runtime.runs import RunControl
from seqc_runtime.server.batching import key_of
from seqc_runtime.server.jobs import Job
from seqc_runtime.server.servable import Batching, Servable

# How much of an average the newest time makes up.
_NEW = 0.1


Outcome = list[Array] | BaseException


class Ticket:
    """A job that waits or runs. done: called with what comes of it, once, unless nobody waits any more (`settled`)."""

    __slots__ = ("alarm", "arrived", "done", "job", "key", "nbytes", "rows", "run", "settled")

    def __init__(self, job: Job, done: Callable[[Outcome], None]) -> None:
        self.job = job
        self.done = done
        self.settled = False
        self.rows = 1 if job.rows is None else job.rows
        self.nbytes = job.nbytes
        self.key = key_of(job)
        self.arrived = perf_counter_ns()
        self.alarm: asyncio.TimerHandle | None = None
        self.run: Run | None = None

    def settle(self) -> None:
        """Nothing comes of it any more."""
        self.settled = True
        if self.run is None:
            self.job.queued = perf_counter_ns() - self.arrived
        if self.alarm is not None:
            self.alarm.cancel()


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
        self.running = 0
        self.due = False  # somebody looks at the queue soon
        self.timer: asyncio.TimerHandle | None = None
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

    def take(self) -> list[Ticket]:
        """The tickets that run next, together."""
        key, group = next(iter(self.groups.items()))
        taken: list[Ticket] = []
        rows = 0
        good = 0
        for ticket in group:
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
        for ticket in taken:
            del group[ticket]
            self._change(-1, ticket)
        if group:
            self.groups.move_to_end(key)
        else:
            del self.groups[key]
        return taken

    def _joins(self, ticket: Ticket) -> bool:
        """Whether a ticket may run with others: not when it is empty, larger than a batch, or not made of rows."""
        return bool(ticket.job.rows) and self.batching.allows(ticket.rows)

    def _change(self, sign: int, ticket: Ticket) -> None:
        self.count += sign
        self.rows += sign * ticket.rows
        self.nbytes += sign * ticket.nbytes
        self.servable.counters.waiting(sign, sign * ticket.rows)
