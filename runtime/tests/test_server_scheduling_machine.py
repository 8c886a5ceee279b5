"""Any history of arrivals, cancellations, deadlines, errors and retirements, against what must come of it."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from runtime_kit.effort import effort
from runtime_kit.serving_models import job, serve, simple

from seqc_runtime.errors import RuntimeExecutionError, RuntimeStoppedError
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.scheduling import Scheduler
from seqc_runtime.server.servable import Batching, Servable

LIMITS = Limits(queue_rows=40, queue_bytes=4000)
# Samples of two lengths, so that there are groups which cannot run together.
DATA = simple("Neg", ["batch", "width"])
BATCHINGS = (
    Batching(8, fixed=1.0),
    Batching(8, fixed=1e-6),
    Batching(1, fixed=1.0),
    Batching(8, frozenset({1, 2, 4, 8}), fixed=1.0),
    Batching(6, max_delay=0.002, fixed=1.0),
)
BAD = 0.5
REASONS = {499: "cancelled", 503: "rejected", 504: "late"}


@functools.cache
def plain() -> Servable:
    return serve(DATA)


class Held(Servable):
    """Its runs in threads wait until they are let go; remembers which rows ran together, in order."""

    def __init__(self, batching: Batching) -> None:
        super().__init__("m", 1, plain().model, batching=batching)
        self.go = threading.Event()
        self.ran: list[list[int]] = []
        self.begun: list[list[int]] = []

    def run(self, feeds: Any, wanted: Any, control: Any = None) -> Any:
        marks = [int(number) for number in feeds["x"][:, 0]] if feeds["x"].size else []
        self.begun.append(marks)
        while threading.current_thread() is not threading.main_thread() and not self.go.wait(0.001):
            if control.stopped:
                raise RuntimeStoppedError("stopped")
        if (feeds["x"] % 1 == BAD).any():
            raise RuntimeExecutionError("the model fails on this")
        results = super().run(feeds, wanted, control)
        self.ran.append(marks)
        return results


@dataclass
class Sent:
    """A request and what may come of it."""

    servable: Held
    mark: int
    x: Any
    task: asyncio.Task[Any]
    bad: bool
    deadline: float | None
    gone: bool = False
    cancelled: bool = False
    gone_box: list[bool] = field(default_factory=list)


class Machine(RuleBasedStateMachine):
    """Several versions served by one scheduler."""

    @initialize(kinds=st.lists(st.sampled_from(BATCHINGS), min_size=2, max_size=3), cpus=st.sampled_from([1, 1, 2]))
    def start(self, kinds: list[Batching], cpus: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.problems: list[Any] = []
        self.loop.set_exception_handler(lambda loop, context: self.problems.append(context))
        self.scheduler = Scheduler(LIMITS, cpus=cpus)
        self.cpus = cpus
        self.servables = [Held(batching) for batching in kinds]
        self.sent: list[Sent] = []

    def turn(self, seconds: float = 0.0) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @rule(
        which=st.integers(0, 2),
        rows=st.lists(st.sampled_from([0, 1, 1, 1, 2, 3, 7, 12, 45]), min_size=1, max_size=5),
        width=st.sampled_from([1, 1, 2]),
        fate=st.sampled_from(["fine"] * 5 + ["bad", "late", "over", "gone"]),
        turns=st.booleans(),
    )
    def send(self, which: int, rows: list[int], width: int, fate: str, turns: bool) -> None:
        self.send_each(which, rows, width, fate)
        if turns:
            self.turn()

    def send_each(self, which: int, rows: list[int], width: int, fate: str) -> None:
        for count in rows:
            servable = self.servables[which % len(self.servables)]
            mark = len(self.sent) + 100
            x = np.full((count, width), mark, np.float32)
            if fate == "bad" and count:
                x[-1, -1] += BAD
            now, gone = time.monotonic(), [fate == "gone"]
            deadline = {"late": now + 0.003, "over": now - 1}.get(fate)
            made = job(servable, x, deadline=deadline, gone=lambda gone=gone: gone[0])

            async def submit(made: Any = made) -> Any:
                return await self.scheduler.submit(made)

            task = self.loop.create_task(submit())
            bad = fate == "bad" and bool(count)
            self.sent.append(Sent(servable, mark, x, task, bad, deadline, gone[0], gone_box=gone))

    @rule(which=st.integers(0, 2), rows=st.lists(st.sampled_from([1, 1, 2, 3, 7]), min_size=4, max_size=8))
    def flood(self, which: int, rows: list[int]) -> None:
        """More than run together, in one turn."""
        self.send_each(which, rows, 1, "fine")

    @rule(number=st.integers(0, 1000), turns=st.booleans())
    def cancel(self, number: int, turns: bool) -> None:
        if open_ones := [one for one in self.sent if not one.task.done()]:
            one = open_ones[number % len(open_ones)]
            one.cancelled = one.task.cancel() or one.cancelled
        if turns:
            self.turn()

    @rule(number=st.integers(0, 1000))
    def leave(self, number: int) -> None:
        if open_ones := [one for one in self.sent if not one.task.done()]:
            one = open_ones[number % len(open_ones)]
            one.gone = one.gone_box[0] = True

    @rule(which=st.integers(0, 2), seconds=st.sampled_from([0.0, 0.002, 0.005]))
    def let_go(self, which: int, seconds: float) -> None:
        servable = self.servables[which % len(self.servables)]
        servable.go.set()
        self.turn(seconds)
        servable.go.clear()

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 2))
    def retire(self, which: int) -> None:
        """A new version takes the place of one whose jobs go on."""
        number = which % len(self.servables)
        old = self.servables[number]
        old.retire()
        self.servables[number] = Held(old.batching)

    @rule()
    def pass_time(self) -> None:
        self.turn(0.004)

    @invariant()
    def limits_hold(self) -> None:
        for servable, lane in getattr(self, "scheduler", Scheduler())._lanes.items():
            waiting = [ticket for group in lane.groups.values() for ticket in group]
            assert lane.count == len(waiting)
            assert lane.rows == sum(ticket.rows for ticket in waiting)
            assert lane.nbytes == sum(ticket.nbytes for ticket in waiting)
            assert lane.count <= 1 or (lane.rows <= LIMITS.queue_rows and lane.nbytes <= LIMITS.queue_bytes)
            assert lane.running <= self.cpus
            found = servable.counters.snapshot()
            assert (found.pending, found.pending_rows) == (lane.count, lane.rows)

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.finish()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()

    def finish(self) -> None:
        self.turn()
        for one in self.sent:
            one.servable.go.set()
        self.loop.run_until_complete(asyncio.wait_for(self.scheduler.drain(), 60))
        if self.sent:
            self.loop.run_until_complete(asyncio.wait({one.task for one in self.sent}, timeout=60))
        assert not self.scheduler.busy
        gc.collect()
        self.turn()
        assert not self.problems
        for one in self.sent:
            self.check_answer(one)
        for servable in {id(one.servable): one.servable for one in self.sent}.values():
            self.check_counts(servable, [one for one in self.sent if one.servable is servable])

    def outcome(self, one: Sent) -> str:
        if one.task.cancelled():
            return "gave up"
        error = one.task.exception()
        if error is None:
            return "answered"
        return REASONS[error.status] if isinstance(error, Refusal) else "failed"

    def check_answer(self, one: Sent) -> None:
        outcome = self.outcome(one)
        if outcome == "answered":
            assert not one.bad
            (y,) = one.task.result()
            np.testing.assert_array_equal(y, -one.x)
        elif outcome == "failed":
            assert one.bad
            assert isinstance(one.task.exception(), RuntimeExecutionError)
        elif outcome == "late":
            assert one.deadline is not None
        elif outcome == "cancelled":
            assert one.gone
        elif outcome == "gave up":
            assert one.cancelled

    def check_counts(self, servable: Held, sent: list[Sent]) -> None:
        found = servable.counters.snapshot()
        outcomes = [self.outcome(one) for one in sent]
        # Tasks that were cancelled before their first step never asked for anything.
        asked = found.success + sum(found.fail.values())
        assert len(sent) - outcomes.count("gave up") <= asked <= len(sent)
        for reason in ("rejected", "late", "failed"):
            assert outcomes.count(reason) <= found.fail[reason]
        # One that ended and was cancelled in the same turn counts as what it ended as.
        raced = asked - (len(sent) - outcomes.count("gave up"))
        answered = [one for one, outcome in zip(sent, outcomes, strict=True) if outcome == "answered"]
        assert len(answered) <= found.success <= len(answered) + raced
        if found.success == len(answered):
            assert found.rows == sum(len(one.x) for one in answered)
        assert found.executions == sum(batch.count for batch in found.batches.values()) == len(servable.ran)
        assert sum(size * batch.count for size, batch in found.batches.items()) == sum(map(len, servable.ran))
        assert sum(found.latency) == found.success
        assert found.total_ns == found.queue_ns + found.input_ns + found.infer_ns
        assert (found.pending, found.pending_rows) == (0, 0)
        batching = servable.batching
        for marks in servable.begun:
            # No batch is larger than allowed, or mixes in what may not be in one.
            assert len(set(marks)) <= 1 or batching.allows(len(marks))
        self.check_order(servable, sent)

    def check_order(self, servable: Held, sent: list[Sent]) -> None:
        """Those that can run together begin in the order in which they came: nobody is overtaken by smaller ones."""
        widths = {one.mark: one.x.shape[1] for one in sent}
        for width in (1, 2):
            firsts: list[int] = []
            for marks in servable.begun:
                fresh = [m for m in dict.fromkeys(marks) if widths.get(m) == width]
                # What failed together runs again, each alone.
                firsts += [mark for mark in fresh if mark not in firsts]
            assert firsts == sorted(firsts) or self.cpus > 1


Machine.TestCase.settings = settings(
    max_examples=effort(12, 30),
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    # A failing history is shown as it is: to make it smaller takes minutes.
    phases=(Phase.explicit, Phase.generate),
)
TestEveryHistory = pytest.mark.slow(Machine.TestCase)
