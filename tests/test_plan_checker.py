"""The plan checker accepts right programs, and refuses every fault that is planted in the planner or in a program."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.effort import effort
from kit.executor_runs import Cell, Conditions, Twin, twin, under
from kit.planner_faults import FAULTS, Patch
from seqc import Sequential, layers, metrics, ops, optimizers
from seqc.backends.numpy import (
    calls,
    executor,
    machine,
)
from seqc.backends.numpy.executor import Executor
from seqc.backends.numpy.naive import NaiveExecutor
from seqc.backends.numpy.plan_checker import PlanError, check_plan
from seqc.backends.numpy.regions import ParallelRegion, Program
from seqc.backends.numpy.shadow import Shadow
from seqc.graph.dims import symbol
from seqc.graph.ir import Array, Graph, constant, input_value
from seqc.ops.shape import reshape

L = layers


def _normed() -> tuple[Twin, list[list[Array]]]:
    keras.utils.set_random_seed(1)
    stack = [
        L.Conv2D(4, 3, padding="same", kernel_regularizer="l2"), L.BatchNormalization(), L.ReLU(), L.MaxPooling2D(2),
        L.DepthwiseConv2D(3, padding="same"), L.BatchNormalization(), L.Flatten(), L.Dense(9, "tanh"), L.Dense(2),
    ]  # fmt: skip
    model = Sequential([keras.Input((6, 6, 2)), *stack])
    rng = np.random.default_rng(0)
    batches = [[rng.normal(size=(n, 6, 6, 2)), rng.normal(size=(n, 2))] for n in (7, 7, 3)]
    rule = optimizers.Adam(0.01, global_clipnorm=0.5, gradient_accumulation_steps=2, use_ema=True)
    return twin(model, batches[0], rule, "mse"), batches


def _recurrent() -> tuple[Twin, list[list[Array]]]:
    keras.utils.set_random_seed(1)
    stack = [L.Embedding(7, 4, mask_zero=True), L.LSTM(3, return_sequences=True), L.Dropout(0.3), L.GRU(3), L.Dense(1)]
    model = Sequential([keras.Input((5,), dtype="int32"), *stack])
    rng = np.random.default_rng(0)
    batches = [[rng.integers(0, 7, (n, 5)), rng.normal(size=(n, 1))] for n in (6, 2)]
    return twin(model, batches[0], optimizers.SGD(0.1, momentum=0.9, clipnorm=0.1), "mse"), batches


def _wide() -> tuple[Twin, list[list[Array]]]:
    """Products that are taken out of tiles, and an optimizer whose groups read what other groups give."""
    keras.utils.set_random_seed(1)
    stack = [L.Dense(20, "relu", kernel_constraint="max_norm"), L.Dense(20), L.Dense(20), L.Dense(3)]
    model = Sequential([keras.Input((30,)), *stack])
    rng = np.random.default_rng(0)
    batches = [[rng.normal(size=(n, 30)), rng.normal(size=(n, 3))] for n in (8, 8)]
    return twin(model, batches[0], optimizers.AdamW(0.01, clipnorm=0.2, weight_decay=0.1), "mse"), batches


MODELS = {"normed": cache(_normed), "recurrent": cache(_recurrent), "wide": cache(_wide)}
CONDITIONS = {"normed": Conditions(2, 4096), "recurrent": Conditions(3, 256), "wide": Conditions(2, 2048)}


def conditions(name: str) -> pytest.MonkeyPatch:
    """Puts a model's conditions in force."""
    patch = under(CONDITIONS[name])
    if name == "wide":
        patch.setattr(machine, "cache_bytes", lambda level: 1024)  # so that its matrices are large
    return patch


def judge(name: str) -> str:
    """Returns who objects to a model's programs: "checker", "comparison", or "" for nobody."""
    both, batches = MODELS[name]()
    cells = {kind: [Cell(cell.array) for cell in held] for kind, held in both.state.items()}
    mine = replace(both, state=cells)
    patch = conditions(name)
    try:
        actual = mine.run(Executor, batches)
    except (AssertionError, RuntimeError):  # of the checker, or of the planner itself
        return "checker"
    finally:
        patch.undo()
    expected = mine.run(NaiveExecutor, batches)
    right = all(np.allclose(a, b, rtol=1e-7, atol=1e-7) for a, b in zip(actual, expected, strict=True))
    return "" if right else "comparison"


def metric_state() -> str:
    """The same for two metrics that share a sum, which no training step has."""
    x, y = np.linspace(-1, 1, 8)[:, None], np.array([0, 1, 0, 1, 1, 0, 1, 1.0])[:, None]
    model = Sequential([keras.Input((1,)), L.Dense(1, activation="sigmoid", kernel_initializer="ones")])
    model.compile("sgd", "binary_crossentropy", metrics=[metrics.Precision(), metrics.Recall()])
    try:
        found = model.evaluate(x, y, verbose=0)
    except AssertionError:
        return "checker"
    return "" if np.allclose(found, [0.6201254, 0.75, 0.6], rtol=1e-6) else "comparison"


def swapped_state() -> str:
    """The same for a step that swaps two variables and gives one of them as its result."""
    a, b = (input_value(name, "float64", (3,)) for name in "ab")
    x = input_value("x", "float64", ())
    graph = Graph((x, a, b), (reshape(a, (3, 1)), b * constant(2.0), a), ("result", "a", "b"))
    cells = [Cell(np.arange(3.0)), Cell(np.arange(5.0, 8.0))]
    try:
        (result,) = Executor(graph, cells, cells).run([np.array(0, np.float64)])
    except AssertionError:
        return "checker"
    found = [result.ravel(), *(cell.array for cell in cells)]
    return "" if np.array_equal(found, [[0, 1, 2], [10, 12, 14], [0, 1, 2]]) else "comparison"


def late_input() -> str:
    """The same for a step that reads an input when much of what it has computed is not needed any more."""
    x, y = (input_value(name, "float64", (symbol("batch"), 3)) for name in "xy")
    staged = y
    for factor in (1.0, 2.0, 1.5):  # a stage each
        staged = staged * factor + ops.sum(staged, axis=0)
    graph = Graph((x, y), (ops.sum(x * ops.sum(staged, axis=0)),), ("result",))
    given = [np.arange(18.0).reshape(6, 3), np.arange(18.0).reshape(6, 3) / 10]
    patch = under(Conditions(2, 64))
    try:
        (found,) = Executor(graph, [], []).run(given)
    except AssertionError:
        return "checker"
    finally:
        patch.undo()
    return "" if np.allclose(found, NaiveExecutor(graph, [], []).run(given)[0], rtol=1e-12) else "comparison"


JUDGES: dict[str, Callable[[], str]] = {
    **{name: partial(judge, name) for name in MODELS},
    "metrics": metric_state,
    "swap": swapped_state,
    "late": late_input,
}


@pytest.mark.slow
def test_right_programs_are_accepted() -> None:
    assert {name: ask() for name, ask in JUDGES.items()} == dict.fromkeys(JUDGES, "")


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (i % 3 > 0)) for i, n in enumerate(FAULTS)]
)
def test_a_fault_that_is_planted_in_the_planner_is_found(name: str) -> None:
    patch = pytest.MonkeyPatch()
    FAULTS[name](patch)
    try:
        found = {who: ask() for who, ask in JUDGES.items()}
    finally:
        patch.undo()
    # The checker needs no luck with numbers: it is the one that has to see it.
    assert "checker" in found.values(), found


# -- faults in a program ---------------------------------------------------------------------------------------------


@contextmanager
def built(name: str) -> Iterator[tuple[Program, Callable[[Program], None]]]:
    """Gives the program of a model with its records, and what checks a program in its place."""
    both, batches = MODELS[name]()
    kept: list[Program] = []
    patch = conditions(name)
    patch.setattr(executor, "check_plan", kept.append)
    try:
        replace(both, state={k: [Cell(c.array) for c in v] for k, v in both.state.items()}).run(Executor, batches[:1])
    finally:
        patch.undo()
    yield kept[0], check_plan


def with_records(program: Program, records: list[list[list[calls.Record]]]) -> Program:
    return replace(
        program,
        regions=[
            ParallelRegion(region.lists, region.values, r) for region, r in zip(program.regions, records, strict=False)
        ],
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("most", [5, pytest.param(effort(50, 100_000), marks=pytest.mark.slow)], ids=["some", "many"])
def test_every_single_call_is_missed_when_it_is_left_out(name: str, most: int) -> None:
    with built(name) as (program, check):
        check(program)
        records = [[list(calls) for calls in region.records] for region in program.regions]
        places = [
            (p, t, c) for p, region in enumerate(records) for t, made in enumerate(region) for c in range(len(made))
        ]
        rng = np.random.default_rng(0)
        chosen = [places[i] for i in rng.permutation(len(places))[:most]]
        unseen = []
        for p, t, c in chosen:
            left_out = records[p][t].pop(c)
            try:
                check(with_records(program, records))
                unseen.append(left_out)
            except PlanError:
                pass
            records[p][t].insert(c, left_out)
    assert not unseen


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_barrier_is_missed_where_one_thread_reads_what_others_wrote(name: str) -> None:
    with built(name) as (program, check):
        records = [region.records for region in program.regions]
        needed = 0
        for at in range(len(records) - 1):
            first, second = records[at], records[at + 1]
            if len(first) < 2 or len(second) > 1:
                continue
            joined = [*first[:-1], [*first[-1], *second[0]]]
            changed = [*records[:at], joined, *records[at + 2 :]]
            regions = [ParallelRegion([[] for _ in r], [[] for _ in r], r) for r in changed]
            try:
                check(replace(program, regions=regions))
            except PlanError:
                needed += 1
        assert needed


def test_the_message_names_the_call_what_it_reads_and_what_is_there() -> None:
    with built("wide") as (program, check):
        records = [[list(calls) for calls in region.records] for region in program.regions]
        records[0][0].clear()
        with pytest.raises(
            PlanError, match=r"Region \d+, thread \d+, call \d+ \(.*\) reads .*, and finds memory that "
        ):
            check(with_records(program, records))


def test_what_a_view_of_all_samples_shows_is_kept_for_its_last_reader() -> None:
    x, state = input_value("x", "float64", (symbol("batch"), 3)), input_value("s", "float64", (3,))
    squares = x * x
    first_rows, staged = squares[0:2], squares
    for factor in (1.0, 2.0, 1.5, 0.5):  # a stage each, in which other values are kept
        staged = staged * factor + ops.sum(staged, axis=0)
    late = ops.sum(staged, axis=0)
    graph = Graph((x, state), (ops.sum(first_rows * late), state + late), ("result", "s"))
    results = []
    patch = under(Conditions(2, 64))
    try:
        for kind in (NaiveExecutor, Executor):
            cell = Cell(np.zeros(3))
            results.append([kind(graph, [cell], [cell]).run([np.arange(18.0).reshape(6, 3)])[0], cell.array])
    finally:
        patch.undo()
    for expected, actual in zip(*results, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_a_user_can_ask_for_the_check_and_gets_none_otherwise(monkeypatch: Patch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(executor, "check_plan", seen.append)
    for told, count in (("", 0), ("0", 0), ("1", 1)):
        monkeypatch.setenv("SEQC_VERIFY", told)
        seen.clear()
        Sequential([keras.Input((3,)), L.Dense(2)]).predict(np.ones((2, 3)), verbose=0)
        assert len(seen) == count


def test_planted_faults_name_what_they_break() -> None:
    """A patch of something that is gone would plant nothing."""
    assert len(FAULTS) >= 27
    for plant in FAULTS.values():
        assert "setattr" in inspect.getsource(plant) or "_change_before_collecting" in inspect.getsource(plant)


def test_arrays_without_elements_lie_nowhere() -> None:
    held = np.zeros((4, 10), "float32")
    for empty in (held[4:], held[:0], held[:, 10:], np.zeros((0, 10), "float32")):
        for shadow in (Shadow([held]), Shadow([held[1:2]]), Shadow([empty])):
            assert shadow.numbers(empty).size == 0
            assert not shadow.read(empty, 0)
            assert not shadow.write(empty, 1)
