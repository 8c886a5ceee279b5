"""How jobs end: once, counted once, without holding up others."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

from onnx import TensorProto, helper
from runtime_kit.serving_models import adder, build, job, looped, serve
from test_server_scheduling import ALONE, SLOW, row, run

from seqc_runtime.errors import RuntimeStoppedError
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.probe import Wishes, probe
from seqc_runtime.server.scheduling import Scheduler
from seqc_runtime.server.servable import Batching, Servable

QUICK = Batching(1, fixed=20e-6)


def held(servable: Servable) -> threading.Event:
    """Let runs wait, as inside a long operator, until the event is set or they are stopped."""
    go, plain = threading.Event(), servable.run

    def waiting(feeds: Any, wanted: Any, control: Any = None) -> Any:
        while not go.wait(0.002):
            if control.stopped:
                raise RuntimeStoppedError("stopped")
        return plain(feeds, wanted, control)

    servable.run = waiting  # type: ignore[method-assign]
    return go


def total(servable: Servable) -> int:
    found = servable.counters.snapshot()
    return found.success + sum(found.fail.values())


@pytest.mark.slow
def test_a_loop_that_was_quick_once_does_not_hold_up_the_event_loop() -> None:
    endless, other = serve(looped(100_000_000), QUICK, "endless"), serve(adder(1), QUICK)

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        deadline = time.monotonic() + 0.5
        task = asyncio.ensure_future(scheduler.submit(job(endless, row(1, 64), deadline=deadline)))
        await asyncio.sleep(0)
        for number in range(10):
            (y,) = await scheduler.submit(job(other, row(number)))
            assert y[0, 0] == number + 1
        with pytest.raises(Refusal, match="before the model was done"):
            await task
        await scheduler.drain()

    run(main())
    found = endless.counters.snapshot()
    assert found.fail["late"] == total(endless) == 1
    assert found.fail_ns > 4e8


def test_models_that_are_given_sizes_do_not_run_on_the_event_loop() -> None:
    def growing(dtype: int) -> Servable:
        infos = [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("s", dtype, [1]),
        ]
        nodes = [
            helper.make_node("Cast", ["s"], ["size"], to=TensorProto.INT64),
            helper.make_node("Tile", ["x", "size"], ["y"]),
        ]
        graph = helper.make_graph(nodes, "g", infos, [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["m"])])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        return serve(model.SerializeToString())

    assert not growing(TensorProto.INT64).bounded
    assert not growing(TensorProto.INT32).bounded
    assert growing(TensorProto.FLOAT).bounded
    assert serve(adder(1)).bounded


def test_larger_inputs_than_were_tried_are_not_taken_for_as_quick() -> None:
    data = build(
        [helper.make_node("Tanh", ["x"], ["y"])], {"x": [1, "height", "width"]}, {"y": [1, "height", "width"]}, {}
    )
    batching, _ = probe(serve(data).model, Wishes())
    assert batching.max_rows == 1
    image = 4 * 3000 * 3000
    assert batching.fixed + batching.per_byte * image > 300e-6
    assert batching.fixed + batching.per_byte * 64 < 300e-6


@pytest.mark.slow
def test_models_that_hang_do_not_keep_threads_from_others() -> None:
    hanging, other = serve(adder(0), ALONE, "hanging"), serve(adder(1), ALONE)
    go = held(hanging)

    async def main() -> None:
        scheduler = Scheduler(cpus=40)
        tasks = [asyncio.ensure_future(scheduler.submit(job(hanging, row(i)))) for i in range(40)]
        await asyncio.sleep(0.05)
        (y,) = await asyncio.wait_for(scheduler.submit(job(other, row(1))), 30)
        assert y[0, 0] == 2
        go.set()
        await asyncio.gather(*tasks)

    run(main())


class AtOnce(Scheduler):
    """Cancels the task of a job in the turn of the loop in which the job ends, as clients may."""

    def __init__(self) -> None:
        super().__init__(cpus=1)
        self.victims: dict[int, asyncio.Task[Any]] = {}

    def _settle(self, ticket: Any, *arguments: Any) -> None:
        super()._settle(ticket, *arguments)
        if id(ticket.job) in self.victims:
            self.victims.pop(id(ticket.job)).cancel()


@pytest.mark.slow
def test_a_job_that_ends_and_is_cancelled_in_one_turn_is_counted_once() -> None:
    servable = serve(adder(1), SLOW)

    async def main() -> None:
        scheduler = AtOnce()
        mine = job(servable, row(1))
        task = scheduler.victims[id(mine)] = asyncio.ensure_future(scheduler.submit(mine))
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert total(servable) == 1


@pytest.mark.slow
def test_a_job_that_is_late_and_cancelled_in_one_turn_does_not_stop_the_one_it_runs_with() -> None:
    servable = serve(adder(1), SLOW)
    go = held(servable)

    async def main() -> None:
        scheduler = AtOnce()
        late = job(servable, row(1), deadline=time.monotonic() + 0.2)
        first = scheduler.victims[id(late)] = asyncio.ensure_future(scheduler.submit(late))
        second = asyncio.ensure_future(scheduler.submit(job(servable, row(2))))
        with pytest.raises(asyncio.CancelledError):
            await first
        await asyncio.sleep(0.05)
        go.set()
        (y,) = await second
        assert y[0, 0] == 3

    run(main())
    found = servable.counters.snapshot()
    assert (found.success, found.fail["late"], found.executions) == (1, 1, 1)
    assert total(servable) == 2


@pytest.mark.slow
def test_a_client_that_goes_while_the_model_runs_ends_the_run() -> None:
    servable, gone = serve(adder(1), ALONE), threading.Event()
    held(servable)

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        task = asyncio.ensure_future(scheduler.submit(job(servable, row(1), gone=gone.is_set)))
        await asyncio.sleep(0.05)
        gone.set()
        with pytest.raises(Refusal, match="the client has gone"):
            await asyncio.wait_for(task, 30)
        await asyncio.wait_for(scheduler.drain(), 30)

    run(main())
    assert servable.counters.snapshot().fail["cancelled"] == total(servable) == 1


@pytest.mark.slow
def test_closing_stops_what_runs_and_refuses_what_waits() -> None:
    servable = serve(adder(1), ALONE)
    held(servable)

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        tasks = [asyncio.ensure_future(scheduler.submit(job(servable, row(1)))) for _ in range(3)]
        await asyncio.sleep(0.05)
        scheduler.close()
        for error in await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30):
            assert isinstance(error, Refusal)
            assert error.status == 503
        while scheduler.busy:
            await asyncio.sleep(0.01)

    run(main())
    assert servable.counters.snapshot().fail["rejected"] == total(servable) == 3


@pytest.mark.slow
def test_requests_of_many_rows_are_not_taken_for_as_many_runs() -> None:
    servable = serve(looped(100), Batching(1, fixed=0.05))

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        many, deadline = np.zeros((1000, 64), np.float32), time.monotonic() + 40
        tasks = []
        for _ in range(8):
            tasks.append(asyncio.ensure_future(scheduler.submit(job(servable, many, deadline=deadline))))
            await asyncio.sleep(0.001)
        assert len(await asyncio.gather(*tasks)) == 8

    run(main())


@pytest.mark.slow
def test_times_of_requests_and_of_batches_agree() -> None:
    servable = serve(adder(1), SLOW)

    async def main() -> None:
        begun = time.perf_counter_ns() - 10**9
        scheduler = Scheduler(cpus=1)
        await asyncio.gather(*(scheduler.submit(job(servable, row(i), begun=begun)) for i in range(4)))

    run(main())
    found = servable.counters.snapshot()
    assert found.batches[4].count == 1
    assert found.batches[4].input_ns == found.input_ns >= 4 * 10**9
    # Each of the four waited for the one run: Triton counts its time for each of them, and once for the batch.
    assert found.infer_ns == 4 * found.batches[4].infer_ns
    assert found.total_ns == found.input_ns + found.queue_ns + found.infer_ns


@pytest.mark.slow
def test_a_batch_that_loses_a_client_still_has_a_size_that_is_exact() -> None:
    servable = serve(adder(1), Batching(8, frozenset({1, 2, 4}), fixed=1.0))
    sizes, plain = [], servable.run

    def noting(feeds: Any, wanted: Any, control: Any = None) -> Any:
        sizes.append(len(feeds["x"]))
        return plain(feeds, wanted, control)

    servable.run = noting  # type: ignore[method-assign]

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        jobs = [job(servable, row(i), gone=lambda i=i: i == 2) for i in range(4)]
        answers = await asyncio.gather(*map(scheduler.submit, jobs), return_exceptions=True)
        assert isinstance(answers[2], Refusal)
        assert [float(one[0][0, 0]) for one in answers if isinstance(one, list)] == [1, 2, 4]

    run(main())
    assert sizes == [2, 1]


@pytest.mark.slow
def test_where_no_thread_can_be_started_requests_are_refused_and_draining_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    servable = serve(adder(1), ALONE)

    def unable(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", unable)
            with pytest.raises(Refusal, match="no thread") as refusal:
                await asyncio.wait_for(scheduler.submit(job(servable, row(1))), 30)
        assert refusal.value.status == 503
        (y,) = await scheduler.submit(job(servable, row(2)))
        assert y[0, 0] == 3
        await asyncio.wait_for(scheduler.drain(), 30)

    run(main())
    found = servable.counters.snapshot()
    assert (found.success, found.fail["rejected"]) == (1, 1)
