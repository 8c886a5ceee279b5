"""How much memory the programs of one model take: what was used last stays, and the rest as long as there is room."""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.effort import effort
from seqc import Sequential, layers
from seqc.backends.numpy import kept
from seqc.backends.numpy.executor import Executor
from seqc.graph.ir import Array
from seqc.training import stepper
from seqc.training.stepper import Stepper


def recurrent(units: int = 4) -> Sequential:
    keras.utils.set_random_seed(2)
    model = Sequential([keras.Input((None, 3)), layers.LSTM(units), layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def batch(steps: int, rows: int = 6) -> tuple[Array, Array]:
    rng = np.random.default_rng(steps)
    return rng.random((rows, steps, 3), dtype="float32"), rng.random((rows, 1), dtype="float32")


def programs(model: Sequential) -> dict[tuple[int, ...], int]:
    """Returns the bytes of each program that is kept, by the shape of its samples."""
    executors = [step.executor for step in model._trainer._steps.values()]
    assert all(isinstance(executor, Executor) for executor in executors)
    return {key[1]: bound.memory.size for e in executors for key, bound in e._programs.items()}  # type: ignore[union-attr]


@pytest.mark.slow
def test_few_programs_of_any_size_and_many_small_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    model = recurrent()
    for steps in range(12, 2, -1):
        model.train_on_batch(*batch(steps))
    assert [shape[1] for shape in programs(model)] == list(range(12, 2, -1))
    monkeypatch.setattr(kept, "ROOM", 1)
    model.train_on_batch(*batch(10))
    model.train_on_batch(*batch(2))
    assert sorted(shape[1] for shape in programs(model)) == [2, 3, 4, 10]
    assert all(size > 0 for size in programs(model).values())


def test_steps_of_all_kinds_share_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "ROOM", 1)
    model = recurrent()
    for rows in (2, 3, 4):
        x, y = batch(5, rows)
        model.train_on_batch(x, y)
        model.test_on_batch(x, y)
        model.predict_on_batch(x)
    executors = [step.executor for step in model._trainer._steps.values()]
    programs = [len(executor._programs) for executor in executors if isinstance(executor, Executor)]
    assert sum(programs) == kept.ALWAYS


def counted(method: Callable[..., Any], name: str, made: Counter[str]) -> Callable[..., Any]:
    def counting(*given: Any) -> Any:
        made[name] += 1
        return method(*given)

    return counting


def made_anew(monkeypatch: pytest.MonkeyPatch, model: Sequential, lengths: Iterable[int]) -> tuple[int, int]:
    """Returns how many steps are traced and how many programs are built for one batch of each of these lengths."""
    made: Counter[str] = Counter()
    with monkeypatch.context() as patch:
        for owner, name in ((Stepper, "_trace_step"), (Executor, "_build")):
            patch.setattr(owner, name, counted(getattr(owner, name), name, made))
        for steps in lengths:
            model.train_on_batch(*batch(steps))
    return made["_trace_step"], made["_build"]


def test_what_was_dropped_and_comes_again_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "ROOM", 1)
    monkeypatch.setattr(stepper, "KEPT_STEPS", 6)
    model, lengths = recurrent(), range(3, 14)
    assert made_anew(monkeypatch, model, lengths) == (11, 11)
    assert len(programs(model)) == kept.ALWAYS
    traced, built = made_anew(monkeypatch, model, lengths)
    assert traced <= 11 - 6
    assert built <= 11
    traced, built = made_anew(monkeypatch, model, lengths)
    assert traced == 0
    assert built <= 6
    made_anew(monkeypatch, model, lengths)
    assert made_anew(monkeypatch, model, lengths) == (0, 0)
    assert len(programs(model)) == 11


def test_of_more_in_turn_than_there_is_room_for_some_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    model, lengths = recurrent(), range(3, 14)
    made_anew(monkeypatch, model, lengths)
    bounds = [b for step in model._trainer._steps.values() for b in step.executor._programs.values()]  # type: ignore[union-attr]
    monkeypatch.setattr(kept, "ROOM", sum(bound.tables for bound in bounds) * 2 // 3)
    monkeypatch.setattr(kept, "MOST", kept.ROOM)
    model = recurrent()
    for turn in range(5):
        _, built = made_anew(monkeypatch, model, lengths)
        assert turn == 0 or built <= 8
    # Others that are used from now on take the places of those that are not.
    for _ in range(3):
        made_anew(monkeypatch, model, range(20, 23))
    assert made_anew(monkeypatch, model, range(20, 23)) == (0, 0)


@pytest.mark.slow
def test_training_does_not_depend_on_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [5, 9, 2, 7, 5, 3, 8, 9, 2, 5, 6, 4, 5]
    weights = []
    for room, most in ((kept.ROOM, kept.MOST), (1, kept.MOST), (1, 1)):
        monkeypatch.setattr(kept, "ROOM", room)
        monkeypatch.setattr(kept, "MOST", most)
        model = recurrent()
        for steps in lengths:
            model.train_on_batch(*batch(steps))
        weights.append(model.get_weights())
    for a, *others in zip(*weights, strict=True):
        for b in others:
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_many_lengths_take_a_few_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_VERIFY", "0")  # the many programs that are built are alike
    model = recurrent(16)
    model.train_on_batch(*batch(5, 32))
    gc.collect()
    tracemalloc.start()
    for steps in range(10, 160, effort(4, 1)):
        model.train_on_batch(*batch(steps, 32))
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 30e6  # of all of these together at least 50e6
