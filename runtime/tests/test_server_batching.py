"""Whatever comes together, in whatever order, and whatever happens to it: every answer is the one given alone."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

import onnxruntime
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_kit.serving_models import conv, job, lstm, mlp, pair, serve, simple

from seqc_runtime.errors import RuntimeExecutionError
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.probe import Wishes, probe
from seqc_runtime.server.scheduling import Scheduler
from seqc_runtime.server.servable import Batching, Servable

MODELS: dict[str, tuple[bytes, list[Any]]] = {
    "mlp": (mlp(8, 32, 3), [(8,)]),
    "conv": (conv(), [(2, 8, 8)]),
    "lstm": (lstm(), [("time", 2)]),
    "pair": (pair(), [(2,), (2,)]),
    "softmax over the batch": (simple("Softmax", ["batch", 4], axis=0), [(4,)]),
    "fixed": (simple("Relu", [2, 4]), [None]),
}
BAD = 1234.5


@functools.cache
def servable(name: str, exact: bool) -> Servable:
    """Probed as the server does it; fails for inputs that hold BAD, as a model may fail on some of what it gets."""
    made = serve(MODELS[name][0])
    batching, _ = probe(made.model, Wishes(max_rows=8, exact=exact, max_delay=0.001))
    made = serve(MODELS[name][0], batching)
    plain = made.run

    def run(feeds: Any, wanted: Any, control: Any = None) -> Any:
        if any((array == BAD).any() for array in feeds.values()):
            raise RuntimeExecutionError("the model fails on this")
        return plain(feeds, wanted, control)

    made.run = run  # type: ignore[method-assign]
    return made


@functools.cache
def session(name: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(MODELS[name][0], options, providers=["CPUExecutionProvider"])


REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 3),  # turns of the loop since the one before
        st.integers(0, 10),  # rows
        st.sampled_from(["fine"] * 5 + ["bad", "cancelled", "late", "gone"]),
        st.integers(1, 3),  # length of sequences
    ),
    min_size=1,
    max_size=14,
)


@pytest.mark.parametrize("name", MODELS)
@given(requests=REQUESTS, exact=st.booleans(), inline=st.sampled_from([0.0, 1.0]), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_every_answer_is_the_one_given_alone(
    name: str, requests: list[tuple[int, int, str, int]], exact: bool, inline: float, seed: int
) -> None:
    made, random = servable(name, exact), np.random.default_rng(seed)

    async def main() -> None:
        scheduler = Scheduler(inline=inline)
        tasks = []
        for turns, rows, fate, length in requests:
            for _ in range(turns):
                await asyncio.sleep(0)
            arrays = arrays_of(name, rows, length, random)
            if fate == "bad":
                arrays[0][...] = BAD
            more: dict[str, Any] = {}
            if fate == "late":
                more["deadline"] = time.monotonic() + random.choice([0.0, 0.0005])
            if fate == "gone":
                more["gone"] = lambda: True
            made_job = job(made, *arrays, **more)
            tasks.append((fate, made_job, asyncio.ensure_future(scheduler.submit(made_job))))
            if fate == "cancelled":
                asyncio.get_running_loop().call_soon(tasks[-1][2].cancel)
        # All have been given to the scheduler, so none may be refused because it ends.
        await asyncio.sleep(0)
        await asyncio.wait_for(scheduler.drain(), 60)
        for fate, made_job, task in tasks:
            await asyncio.wait([task], timeout=60)
            check(fate, made_job, task, functools.partial(check_results, name, exact or made.batching.max_rows == 1))
        assert not scheduler.busy
        found = made.counters.snapshot()
        assert (found.pending, found.pending_rows) == (0, 0)

    asyncio.run(main())


def arrays_of(name: str, rows: int, length: int, random: np.random.Generator) -> list[np.ndarray]:
    shapes = MODELS[name][1]
    sizes = [(2, 4) if s is None else (rows, *(length if n == "time" else n for n in s)) for s in shapes]
    return [random.standard_normal(whole).astype(np.float32) for whole in sizes]


def check(fate: str, made_job: Any, task: asyncio.Task[Any], check_given: Callable[[Any, Any], None]) -> None:
    if task.cancelled():
        assert fate == "cancelled"
    elif task.exception() is not None:
        check_error(fate, made_job, task.exception())
    else:
        assert fate != "bad" or made_job.rows == 0
        check_given(made_job, task.result())


def check_error(fate: str, made_job: Any, error: BaseException | None) -> None:
    empty = all(array.size == 0 for array in made_job.feeds.values())
    refused = isinstance(error, Refusal) and fate in ("late", "gone")
    assert refused or (fate == "bad" and not empty and isinstance(error, RuntimeExecutionError)), error


def check_results(name: str, exact: bool, made_job: Any, results: Any) -> None:
    if made_job.rows == 0:
        assert all(len(result) == 0 for result in results)
        return
    alone = session(name).run(list(made_job.wanted), made_job.feeds)
    for expected, result in zip(alone, results, strict=True):
        assert result.shape == expected.shape
        if exact:
            assert result.tobytes() == expected.tobytes()
        else:
            np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


def test_sequences_of_different_lengths_come_together_and_are_never_padded() -> None:
    made = serve(lstm(), Batching(8, fixed=1.0))
    random = np.random.default_rng(0)
    inputs = [random.standard_normal((1, length, 2)).astype(np.float32) for length in (3, 5, 3, 5, 3)]

    async def main() -> list[Any]:
        scheduler = Scheduler(cpus=1)
        return await asyncio.gather(*(scheduler.submit(job(made, x)) for x in inputs))

    for x, (y,) in zip(inputs, asyncio.run(main()), strict=True):
        np.testing.assert_allclose(y, session("lstm").run(None, {"x": x})[0], rtol=0, atol=1e-6)
    assert made.counters.snapshot().executions == 2


def test_an_empty_batch_among_others_is_answered_empty() -> None:
    made = serve(lstm(), Batching(8, fixed=1.0))

    async def main() -> list[Any]:
        scheduler = Scheduler(cpus=1)
        sizes = (1, 0, 2)
        return await asyncio.gather(*(scheduler.submit(job(made, np.ones((n, 3, 2), np.float32))) for n in sizes))

    assert [y.shape for (y,) in asyncio.run(main())] == [(1, 3), (0, 3), (2, 3)]


def test_more_rows_than_a_batch_run_alone_and_whole() -> None:
    made = serve(mlp(8, 3), Batching(4, fixed=1.0))

    async def main() -> list[Any]:
        scheduler = Scheduler(cpus=1)
        return await asyncio.gather(*(scheduler.submit(job(made, np.ones((n, 8), np.float32))) for n in (1, 9, 1, 4)))

    assert [len(y) for (y,) in asyncio.run(main())] == [1, 9, 1, 4]
    assert 9 in made.counters.snapshot().batches


def test_exact_sizes_are_the_only_ones_that_run_together() -> None:
    made = serve(mlp(8, 3), Batching(8, frozenset({1, 2, 4, 8}), fixed=1.0))

    async def main() -> list[Any]:
        scheduler = Scheduler(cpus=1)
        return await asyncio.gather(
            *(scheduler.submit(job(made, np.ones((n, 8), np.float32))) for n in (1, 1, 1, 1, 1, 3, 2, 1, 1))
        )

    assert [len(y) for (y,) in asyncio.run(main())] == [1, 1, 1, 1, 1, 3, 2, 1, 1]
    # A job of three rows is not of an allowed size, so it runs as it would alone.
    assert set(made.counters.snapshot().batches) <= {1, 2, 3, 4, 8}


def test_an_output_without_a_row_for_each_sample_is_not_cut_wrongly() -> None:
    made = serve(simple("Softmax", ["batch", 4], axis=0), Batching(8, fixed=1.0))
    plain = made.run
    made.run = lambda feeds, wanted, control=None: [y[:1] for y in plain(feeds, wanted, control)]  # type: ignore[method-assign]

    async def main() -> list[Any]:
        scheduler = Scheduler(cpus=1)
        return await asyncio.gather(*(scheduler.submit(job(made, np.ones((1, 4), np.float32))) for _ in range(3)))

    assert [y.tolist() for (y,) in asyncio.run(main())] == [[[1.0] * 4]] * 3
