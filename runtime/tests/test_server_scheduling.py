"""When jobs run, what they wait for, and what becomes of those that are late, cancelled or too many."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

from runtime_kit.serving_models import adder, job, looped, mlp, pair, serve

from seqc_runtime.errors import RuntimeExecutionError
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.scheduling import Scheduler
from seqc_runtime.server.servable import Batching

# As if every run took this long, so that nothing runs on the loop.
SLOW = Batching(16, fixed=1.0)
ALONE = Batching(1, fixed=1.0)


@pytest.fixture(scope="module", autouse=True)
def _what_tests_before_left() -> None:
    """Takes it out of sight of the many collections of garbage here, each of which would look through it all."""
    gc.collect()
    gc.freeze()


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run on a loop that tells of exceptions nobody asked for, and of tasks that are left."""
    problems: list[dict[str, Any]] = []

    async def watched() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        result = await asyncio.wait_for(main, 60)
        gc.collect()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    result = asyncio.run(watched())
    assert not problems
    return result


def row(value: float, width: int = 4) -> np.ndarray:
    return np.full((1, width), value, np.float32)


@pytest.mark.slow
def test_requests_of_one_turn_of_the_loop_run_together_without_waiting() -> None:
    servable = serve(adder(1), SLOW)

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        results = await asyncio.gather(*(scheduler.submit(job(servable, row(i))) for i in range(10)))
        assert [float(y[0][0, 0]) for y in results] == [i + 1 for i in range(10)]

    run(main())
    found = servable.counters.snapshot()
    assert (found.success, found.rows, found.executions, found.pending) == (10, 10, 1, 0)
    assert found.batches[10].count == 1


@pytest.mark.slow
def test_a_quick_model_that_runs_requests_one_by_one_runs_them_at_once_again_after_one_has_waited() -> None:
    servable = serve(adder(1), Batching(1, fixed=1e-6))

    async def main() -> None:
        scheduler = Scheduler()
        for value in (1.0, 2.0):
            found = scheduler.at_once(job(servable, row(value)))
            assert found is not None
            assert found[0][0, 0] == value + 1
        done: list[Any] = []
        scheduler.queue(job(servable, row(3.0)), done.append)
        while not done:
            await asyncio.sleep(0)
        assert scheduler.at_once(job(servable, row(4.0))) is not None

    run(main())


def test_with_a_delay_the_first_waits_for_others_when_a_run_costs_more_than_they_take_to_come() -> None:
    servable = serve(adder(1), Batching(16, fixed=10.0, max_delay=50.0))

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        first = asyncio.ensure_future(scheduler.submit(job(servable, row(0))))
        await asyncio.sleep(0.05)
        assert not first.done()
        # A batch that is full waits no longer.
        others = [scheduler.submit(job(servable, row(i))) for i in range(1, 16)]
        results = await asyncio.wait_for(asyncio.gather(first, *others), 30)
        assert [float(y[0][0, 0]) for y in results] == [i + 1 for i in range(16)]

    run(main())
    assert servable.counters.snapshot().executions == 1


def test_with_a_delay_nobody_waits_for_others_that_come_too_rarely_to_save_anything() -> None:
    servable = serve(looped(300), Batching(16, fixed=0.05, max_delay=50.0))

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        await asyncio.wait_for(scheduler.submit(job(servable, row(0, 64))), 30)

    run(main())
    assert servable.counters.snapshot().executions == 1


def test_those_that_come_while_the_model_is_busy_run_together() -> None:
    servable = serve(looped(300), SLOW)

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        first = asyncio.ensure_future(scheduler.submit(job(servable, row(0, 64))))
        await asyncio.sleep(0.002)
        others = [asyncio.ensure_future(scheduler.submit(job(servable, row(i, 64)))) for i in range(8)]
        await asyncio.gather(first, *others)

    run(main())
    assert servable.counters.snapshot().executions == 2


def test_a_failing_request_does_not_fail_its_neighbours() -> None:
    servable = serve(adder(1), SLOW)
    plain = servable.run

    def picky(feeds: Any, wanted: list[str], control: Any = None) -> Any:
        if (feeds["x"] == 13).any():
            raise RuntimeExecutionError("no 13 here")
        return plain(feeds, wanted, control)

    servable.run = picky  # type: ignore[method-assign, assignment]

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        jobs = [scheduler.submit(job(servable, row(i))) for i in (1, 13, 3)]
        first, bad, third = await asyncio.gather(*jobs, return_exceptions=True)
        assert isinstance(bad, RuntimeExecutionError)
        assert isinstance(first, list)
        assert isinstance(third, list)
        assert float(first[0][0, 0]) == 2
        assert float(third[0][0, 0]) == 4

    run(main())
    found = servable.counters.snapshot()
    assert (found.success, found.fail["failed"]) == (2, 1)


def test_each_gets_the_outputs_it_wants_in_its_order() -> None:
    servable = serve(pair(), SLOW)
    a, b = np.array([[3, 4]], np.float32), np.array([[1, 2]], np.float32)

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        both, one, turned = await asyncio.gather(
            scheduler.submit(job(servable, a, b)),
            scheduler.submit(job(servable, 2 * a, b, wanted=["times"])),
            scheduler.submit(job(servable, a, 2 * b, wanted=["times", "minus"])),
        )
        assert [y.tolist() for y in both] == [[[2, 2]], [[3, 8]]]
        assert [y.tolist() for y in one] == [[[6, 16]]]
        assert [y.tolist() for y in turned] == [[[6, 16]], [[1, 0]]]

    run(main())


def test_an_overdue_run_is_stopped_and_answered_504() -> None:
    servable = serve(looped(3_000_000), ALONE)

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        start = time.monotonic()
        with pytest.raises(Refusal) as refusal:
            await scheduler.submit(job(servable, row(1, 64), deadline=start + 0.2))
        assert refusal.value.status == 504
        await scheduler.drain()
        assert time.monotonic() - start < 20

    run(main())
    assert servable.counters.snapshot().fail["late"] == 1


def test_one_whose_time_is_over_while_it_waits_is_504_and_does_not_run() -> None:
    servable = serve(looped(3_000_000), ALONE)

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        first = asyncio.ensure_future(scheduler.submit(job(servable, row(1, 64))))
        second = asyncio.ensure_future(scheduler.submit(job(servable, row(1, 64), deadline=time.monotonic() + 0.1)))
        with pytest.raises(Refusal, match="while it waited") as refusal:
            await second
        assert refusal.value.status == 504
        first.cancel()
        await scheduler.drain()
        assert not scheduler.busy
        with pytest.raises(asyncio.CancelledError):
            await first

    run(main())


@pytest.mark.slow
def test_each_of_many_deadlines_is_kept_in_whatever_order_they_come() -> None:
    servable = serve(looped(30_000_000), Batching(1, fixed=1e-3))

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        start = time.monotonic()
        ended: dict[float, float] = {}

        def wait(after: float) -> None:
            def done(outcome: object) -> None:
                assert isinstance(outcome, Refusal)
                assert outcome.status == 504
                ended[after] = time.monotonic() - start
                if after == 0.1:  # one that comes while those that are late are told so
                    wait(0.15)

            scheduler.queue(job(servable, row(1, 64), deadline=start + after), done)

        first = asyncio.ensure_future(scheduler.submit(job(servable, row(1, 64), deadline=start + 0.6)))
        await asyncio.sleep(0)
        for after in (0.3, 0.1, 0.2, 0.1001, 0.4):
            wait(after)
        with pytest.raises(Refusal, match="before the model was done"):
            await first
        assert list(ended) == sorted(ended)
        assert len(ended) == 6
        assert all(after - 0.01 <= then < after + 0.2 for after, then in ended.items())
        await scheduler.drain()

    run(main())
    assert servable.counters.snapshot().fail["late"] == 7


def test_a_cancelled_request_leaves_the_queue_and_its_neighbours_alone() -> None:
    servable = serve(looped(2000), SLOW)

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        first = asyncio.ensure_future(scheduler.submit(job(servable, row(1, 64))))
        await asyncio.sleep(0)
        waiting = [asyncio.ensure_future(scheduler.submit(job(servable, row(i, 64)))) for i in range(6)]
        await asyncio.sleep(0)
        for task in waiting[::2]:
            task.cancel()
        results = await asyncio.gather(first, *waiting, return_exceptions=True)
        for number, result in enumerate(results[1:]):
            assert isinstance(result, asyncio.CancelledError) == (number % 2 == 0)
        await scheduler.drain()

    run(main())


def test_a_client_that_has_gone_is_not_run_for() -> None:
    servable = serve(adder(0), ALONE)
    runs: list[int] = []
    plain = servable.run

    def counted(feeds: Any, wanted: list[str], control: Any = None) -> Any:
        runs.append(1)
        return plain(feeds, wanted, control)

    servable.run = counted  # type: ignore[method-assign, assignment]

    async def main() -> None:
        with pytest.raises(Refusal):
            await Scheduler().submit(job(servable, row(1), gone=lambda: True))

    run(main())
    assert not runs


@pytest.mark.parametrize("limits", [Limits(queue_rows=2), Limits(queue_bytes=512)])
def test_a_full_queue_is_503_with_retry_after_at_once(limits: Limits) -> None:
    servable = serve(looped(3_000_000), ALONE)

    async def main() -> None:
        scheduler = Scheduler(limits, cpus=1)
        tasks = []
        for _ in range(6):
            tasks.append(asyncio.ensure_future(scheduler.submit(job(servable, row(1, 64)))))
            await asyncio.sleep(0.01)
        done, waiting = await asyncio.wait(tasks, timeout=0.1)
        assert len(done) == 3
        for task in done:
            error = task.exception()
            assert isinstance(error, Refusal)
            assert error.status == 503
            assert int(error.headers["retry-after"]) >= 1
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await scheduler.drain()

    run(main())


def test_one_that_would_wait_too_long_is_503_at_once() -> None:
    servable = serve(looped(3_000_000), ALONE)

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        tasks = [asyncio.ensure_future(scheduler.submit(job(servable, row(1, 64)))) for _ in range(5)]
        await asyncio.sleep(0.05)
        with pytest.raises(Refusal, match="busy for about") as refusal:
            await scheduler.submit(job(servable, row(1, 64), deadline=time.monotonic() + 0.5))
        assert refusal.value.status == 503
        assert "retry-after" in refusal.value.headers
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())


def test_draining_finishes_what_is_there_and_refuses_what_comes() -> None:
    servable = serve(looped(2000), SLOW)

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        tasks = [asyncio.ensure_future(scheduler.submit(job(servable, row(i, 64)))) for i in range(40)]
        await asyncio.sleep(0)
        draining = asyncio.ensure_future(scheduler.drain())
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as refusal:
            await scheduler.submit(job(servable, row(1, 64)))
        assert refusal.value.status == 503
        await draining
        assert len(await asyncio.gather(*tasks)) == 40

    run(main())


def test_a_heavy_model_does_not_starve_a_cheap_one() -> None:
    heavy = serve(looped(100_000), ALONE, "heavy")
    cheap = serve(mlp(8, 4), Batching(16, fixed=20e-6))

    async def main() -> None:
        scheduler = Scheduler(cpus=1)
        tasks = [asyncio.ensure_future(scheduler.submit(job(heavy, row(1, 64)))) for _ in range(50)]
        await asyncio.sleep(0)
        for _ in range(20):
            await scheduler.submit(job(cheap, row(1, 8)))
        assert not any(task.done() for task in tasks[10:])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await scheduler.drain()

    run(main())


def test_a_retired_version_is_freed_when_its_jobs_have_ended() -> None:
    servable = serve(looped(2000), ALONE)
    ref = weakref.ref(servable)

    async def main(servable: Any) -> None:
        scheduler = Scheduler(cpus=1)
        task = asyncio.ensure_future(scheduler.submit(job(servable, row(1, 64))))
        await asyncio.sleep(0)
        servable.retire()
        del servable
        await task
        del task
        for _ in range(200):
            gc.collect()
            if not scheduler._lanes:
                break
            await asyncio.sleep(0.02)
        assert not scheduler._lanes

    coroutine = main(servable)
    del servable
    run(coroutine)
    gc.collect()
    assert ref() is None


@pytest.mark.parametrize("batching", [SLOW, Batching(1)], ids=["in threads", "on the loop"])
def test_versions_and_inputs_are_freed_without_the_help_of_the_garbage_collection(batching: Batching) -> None:
    servable = serve(adder(1), batching)
    alive: list[weakref.ref[Any]] = [weakref.ref(servable), weakref.ref(servable.model)]

    async def main(servable: Any) -> None:
        scheduler = Scheduler(cpus=1)
        for count in (1, 5):
            inputs = [row(i) for i in range(count)]
            alive.extend(weakref.ref(x) for x in inputs)
            await asyncio.gather(*(scheduler.submit(job(servable, x)) for x in inputs))
            del inputs
        servable.retire()
        del servable
        for _ in range(500):
            if not any(ref() for ref in alive[:2]):
                break
            await asyncio.sleep(0.01)

    gc.collect()
    gc.disable()
    try:
        coroutine = main(servable)
        del servable
        asyncio.run(coroutine)
        assert [ref() for ref in alive] == [None] * len(alive)
    finally:
        gc.enable()
