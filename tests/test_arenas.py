"""Programs of one model share memory: no run sees what another left there, and none gets in the way of another."""

from __future__ import annotations

import os
import signal
import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import Sequential, layers
from seqc.backends.numpy import kept
from seqc.backends.numpy.arena import GROWTH, Arena, Arenas
from seqc.backends.numpy.executor import Executor
from seqc.backends.numpy.footprint import footprint
from seqc.backends.numpy.kept import Kept
from seqc.backends.numpy.memory import POISON, Memory, ScratchPad, block
from seqc.backends.numpy.turns import Claim, Taken
from seqc.graph.ir import Array

Data = tuple[Array, Array]


def recurrent() -> Sequential:
    keras.utils.set_random_seed(2)
    model = Sequential([keras.Input((None, 3)), layers.LSTM(4), layers.Dropout(0.2), layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def steps(length: int, rows: int = 3) -> Data:
    rng = np.random.default_rng(length)
    return rng.random((rows, length, 3), dtype="float32"), rng.random((rows, 1), dtype="float32")


def images() -> Sequential:
    keras.utils.set_random_seed(2)
    stack = [layers.Conv2D(3, 3, padding="same"), layers.BatchNormalization(), layers.GlobalMaxPooling2D()]
    model = Sequential([keras.Input((None, None, 2)), *stack, layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def image(size: int, rows: int = 3) -> Data:
    rng = np.random.default_rng(size)
    return rng.random((rows, size, size, 2), dtype="float32"), rng.random((rows, 1), dtype="float32")


def arenas(model: Sequential) -> Arenas:
    return model._trainer._kept.arenas


def programs(model: Sequential, kind: str = "") -> list[Any]:
    found = [step.executor for key, step in model._trainer._steps.items() if not kind or key[0] == kind]
    return [bound for executor in found if isinstance(executor, Executor) for bound in executor._programs.values()]


def blocks(model: Sequential) -> int:
    """Returns the bytes of all blocks that the programs of a model are bound to."""
    return sum({number: size for bound in programs(model) for number, size in bound.memory.blocks.items()}.values())


class Separate(Arena):
    """Gives every program memory of its own."""

    def block(self, use: Any, count: int) -> Array:
        return block(count)


@pytest.mark.slow
@pytest.mark.parametrize(("make", "data"), [(recurrent, steps), (images, image)])
def test_no_run_sees_what_another_program_left(
    make: Callable[[], Sequential], data: Callable[[int], Data], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [5, 9, 4, 9, 5]

    def trained(spoil: bool) -> list[Any]:
        model, results = make(), []
        for size in sizes:
            x, y = data(size)
            results += [model.train_on_batch(x, y), model.test_on_batch(x, y), model.predict_on_batch(x)]
            for held in arenas(model).all[0]._blocks.values() if spoil else ():
                held[: held.nbytes // 4 * 4].view(np.uint32).fill(POISON)
        if spoil:
            assert len(arenas(model).all) == 1
            first, *others = [set(bound.memory.blocks) for bound in programs(model)]
            assert any(first & other for other in others)
        return [*results, *model.get_weights()]

    monkeypatch.setenv("SEQC_VERIFY", "0")
    shared = trained(spoil=True)
    monkeypatch.setattr("seqc.backends.numpy.arena.Arena", Separate)
    for a, b in zip(shared, trained(spoil=False), strict=True):
        np.testing.assert_array_equal(a, b)


def predict_within(model: Sequential, x: Array, other: Array) -> tuple[Array, list[Array]]:
    """Returns what a model predicts, and what it predicts of something else in the middle of that."""
    model.predict_on_batch(x)
    (bound,) = [bound for bound in programs(model) if bound.rooms[0].shape == x.shape]
    calls, inner = bound.program.regions[-1].lists[0], []
    calls.insert(len(calls) - 1, lambda: inner.append(model.predict_on_batch(other)))
    try:
        return model.predict_on_batch(x), inner
    finally:
        del calls[-2]


def test_a_run_inside_another_has_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, _), (other, _) = recurrent(), steps(9), steps(8)
    expected = [model.predict_on_batch(x), model.predict_on_batch(other)]
    outer, inner = predict_within(model, x, other)
    np.testing.assert_array_equal(outer, expected[0])
    np.testing.assert_array_equal(inner[0], expected[1])
    assert len(arenas(model).all) == 2
    # With one arena for both the comparison would have failed.
    monkeypatch.setattr(Arenas, "lease", lambda self, function, *rest: function(self.all[0], *rest))
    outer, _ = predict_within(model, x, other)
    assert not np.array_equal(outer, expected[0])


def test_threads_that_use_one_model_do_not_share_memory() -> None:
    model = recurrent()
    samples = [steps(length)[0] for length in range(3, 9)]
    expected = [model.predict_on_batch(x) for x in samples]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda i: model.predict_on_batch(samples[i % 6]), range(90)))
    for i, one in enumerate(found):
        np.testing.assert_array_equal(one, expected[i % 6])
    assert len(arenas(model).all) <= 3


@pytest.mark.slow
def test_a_new_program_is_put_where_the_others_are() -> None:
    model = recurrent()
    for length in (9, 7, 8, 3):
        model.train_on_batch(*steps(length))
        model.predict_on_batch(steps(length)[0])
    sizes = [bound.memory.size for bound in programs(model)]
    assert len(sizes) == 8
    assert max(sizes) <= blocks(model) <= min(2 * max(sizes), sum(sizes) / 2)


def test_blocks_that_were_outgrown_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "OUTGROWN", 20_000)
    model = recurrent()
    for length in range(5, 60, 6):
        model.predict_on_batch(steps(length, 20)[0])
        arena, bound = arenas(model).all[0], programs(model)[-1]
        assert arena.has(bound.memory)
        assert blocks(model) <= GROWTH * bound.memory.size + kept.OUTGROWN + 4096
    assert model.predict_on_batch(steps(5, 20)[0]).shape == (20, 1)


def test_an_arena_that_few_need_shrinks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "OUTGROWN", 20_000)
    model = recurrent()
    model.predict_on_batch(steps(50, 200)[0])
    large = blocks(model)
    for rows in range(1, kept.ALWAYS):
        assert blocks(model) >= large
        model.predict_on_batch(steps(3, rows)[0])
    for rows in range(kept.ALWAYS, 2 * kept.ALWAYS + 2):
        model.predict_on_batch(steps(3, rows)[0])
    assert blocks(model) < large / 20


def test_what_keeps_nobody_is_not_kept() -> None:
    found = Kept()
    found.make_room()
    assert found.arenas.all[0].size == 0


def test_who_comes_second_is_told_and_an_error_ends_the_claim() -> None:
    claim = Claim()

    def fail() -> None:
        raise RuntimeError("of its own")

    with pytest.raises(Taken):
        claim.take(lambda: claim.take(int))
    with pytest.raises(RuntimeError, match="of its own"):
        claim.take(fail)
    assert claim.take(lambda: 3) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_takes_what_another_thread_had() -> None:
    claim, begun, end = Claim(), threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        end.wait(20)

    other = threading.Thread(target=claim.take, args=(hold,))
    other.start()
    begun.wait()
    child = os.fork()
    if not child:
        signal.alarm(20)
        try:
            claim.take(int)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    end.set()
    other.join()
    assert status == 0


def test_a_block_grows_by_a_factor() -> None:
    arena = Arena()
    first = arena.block("a", 1000)
    assert arena.block("a", 10) is first
    assert arena.block("b", 10) is not first
    memory = Memory()
    memory.hold(first[:100])
    assert arena.has(memory)
    assert arena.block("a", 1001).nbytes == GROWTH * 1000
    assert not arena.has(memory)
    assert memory.blocks == {id(first.base): first.base.nbytes}  # type: ignore[union-attr]
    assert arena.size == GROWTH * 1000 + 10


def test_a_pad_takes_what_is_there_and_tells_what_it_needed() -> None:
    arena = Arena()
    held = arena.block(0, 4096)
    pad = ScratchPad(lambda count: arena.block(0, count))
    pad.start()
    assert np.may_share_memory(pad((8,), "float32"), held)
    assert pad.most == 64
    pad((2000,), "float32")
    assert not np.may_share_memory(pad.block, held)
    assert pad.most == 64 + 8000


@pytest.mark.parametrize(("make", "given"), [(recurrent, steps(60)), (images, image(30, 40))])
def test_what_calls_take_is_estimated(
    make: Callable[[], Sequential], given: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQC_VERIFY", "0")
    model = make()
    model.predict_on_batch(given[0][:1])
    tracemalloc.start()
    model.predict_on_batch(given[0])
    bound = programs(model, "predict")[-1]
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    taken -= bound.memory.size
    assert taken / 3 < bound.tables < taken * 2


def test_rows_of_things_that_are_alike_are_estimated_by_some_of_them() -> None:
    one = footprint([[(i + 0.5, [])] for i in range(10)])
    many = footprint([[(i + 0.5, [])] for i in range(1000)])
    assert 80 * one < many < 120 * one
    assert footprint([np.zeros(1000)]) < 500
    row: list[Any] = [[float(i)] for i in range(40)]
    large = [[(i + 0.5, [i]) for i in range(20)] for _ in range(20)]
    apart = footprint(row) + footprint(large)
    assert apart < footprint([*row, partial(len, large)]) < apart + 1000
    held = np.ones(3)
    assert footprint(lambda: held) < 1000
