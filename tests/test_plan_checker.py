"""The plan checker accepts right programs, and refuses every fault that is planted in the planner or in a program."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.executor_runs import Cell, Conditions, Twin, twin, under
from seqc import Sequential, layers, metrics, ops, optimizers
from seqc.backends.numpy import builder as builder_module
from seqc.backends.numpy import calls, executor, horizontal_fusion, horizontal_run, machine, stage, tiles
from seqc.backends.numpy.builder import Builder
from seqc.backends.numpy.executor import Executor
from seqc.backends.numpy.horizontal_fusion import Group
from seqc.backends.numpy.horizontal_run import HorizontalRunner
from seqc.backends.numpy.memory import ScratchPad
from seqc.backends.numpy.naive import NaiveExecutor
from seqc.backends.numpy.plan_checker import PlanError, check_plan
from seqc.backends.numpy.regions import ParallelRegion, Program
from seqc.backends.numpy.stage import BufferPlan
from seqc.backends.numpy.tiles import TileBinder
from seqc.graph.dims import symbol
from seqc.graph.ir import Array, Graph, Value, constant, input_value
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
    return twin(model, *batches[0], rule, "mse"), batches


def _recurrent() -> tuple[Twin, list[list[Array]]]:
    keras.utils.set_random_seed(1)
    stack = [L.Embedding(7, 4, mask_zero=True), L.LSTM(3, return_sequences=True), L.Dropout(0.3), L.GRU(3), L.Dense(1)]
    model = Sequential([keras.Input((5,), dtype="int32"), *stack])
    rng = np.random.default_rng(0)
    batches = [[rng.integers(0, 7, (n, 5)), rng.normal(size=(n, 1))] for n in (6, 2)]
    return twin(model, *batches[0], optimizers.SGD(0.1, momentum=0.9, clipnorm=0.1), "mse"), batches


def _wide() -> tuple[Twin, list[list[Array]]]:
    """Products that are taken out of tiles, and an optimizer whose groups read what other groups give."""
    keras.utils.set_random_seed(1)
    stack = [L.Dense(20, "relu", kernel_constraint="max_norm"), L.Dense(20), L.Dense(20), L.Dense(3)]
    model = Sequential([keras.Input((30,)), *stack])
    rng = np.random.default_rng(0)
    batches = [[rng.normal(size=(n, 30)), rng.normal(size=(n, 3))] for n in (8, 8)]
    return twin(model, *batches[0], optimizers.AdamW(0.01, clipnorm=0.2, weight_decay=0.1), "mse"), batches


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
    except AssertionError:  # of the checker, or of the planner itself
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
        (result,) = Executor(graph, cells, cells).run([np.float64(0)])
    except AssertionError:
        return "checker"
    found = [result.ravel(), *(cell.array for cell in cells)]
    return "" if np.array_equal(found, [[0, 1, 2], [10, 12, 14], [0, 1, 2]]) else "comparison"


JUDGES: dict[str, Callable[[], str]] = {
    **{name: (lambda name=name: judge(name)) for name in MODELS},
    "metrics": metric_state,
    "swap": swapped_state,
}


def test_right_programs_are_accepted() -> None:
    assert {name: ask() for name, ask in JUDGES.items()} == dict.fromkeys(JUDGES, "")


# -- faults in the planner -------------------------------------------------------------------------------------------

Patch = pytest.MonkeyPatch
FAULTS: dict[str, Callable[[Patch], None]] = {}


def fault(function: Callable[[Patch], None]) -> Callable[[Patch], None]:
    FAULTS[function.__name__] = function
    return function


@fault
def a_value_gets_two_homes(patch: Patch) -> None:
    def free(self: HorizontalRunner, values: list[Value]) -> bool:
        return not any(x in self._flats or x in self.builder.arrays for x in values)

    patch.setattr(HorizontalRunner, "_are_free", free)


def _latest_first(groups: Iterable[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: group.when, reverse=True)


@fault
def groups_are_placed_before_those_that_give_what_they_read(patch: Patch) -> None:
    patch.setattr(horizontal_fusion, "in_running_order", _latest_first)


@fault
def a_buffer_is_released_one_call_too_soon(patch: Patch) -> None:
    find = BufferPlan._find_last_uses

    def early(self: BufferPlan) -> None:
        find(self)
        made = {y: at for at, v in enumerate(self.values) for y in self.results(v)}
        self._last = {v: max(made.get(v, 0), last - 1) for v, last in self._last.items()}

    patch.setattr(BufferPlan, "_find_last_uses", early)


@fault
def a_result_is_written_over_an_operand_that_is_still_read(patch: Patch) -> None:
    def over(self: BufferPlan, at: int, v: Value, y: Value) -> Value | None:
        fits = (x for x in v.inputs if x in self.places and x.type.shape == y.type.shape and x.dtype == y.dtype)
        return next((x for x in fits if v is y and x not in self._taken), None)

    patch.setattr(BufferPlan, "_over", over)


@fault
def what_stages_share_is_released_a_stage_too_soon(patch: Patch) -> None:
    plan = stage.plan_stages

    def early(graph: Graph, batch: int, workers: int) -> Any:
        cut, plans, stored = plan(graph, batch, workers)
        return cut, plans, {v: max(cut.tiled[v], last - 1) for v, last in stored.items()}

    patch.setattr(builder_module, "plan_stages", early)


@fault
def a_barrier_between_products_is_missing(patch: Patch) -> None:
    patch.setattr(Builder, "_phase_of_products", _all_products_in_one_phase)


def _all_products_in_one_phase(self: Builder, xs: Any) -> ParallelRegion:
    if self._last_products is None:
        self._last_products = ParallelRegion.of(self.workers)
        self.regions.append(self._last_products)
    return self._last_products


@fault
def a_partial_sum_of_a_thread_is_left_out(patch: Patch) -> None:
    collect = Builder._collect

    def partly(self: Builder, number: int) -> None:
        self.sums = {y: parts[:-1] or parts for y, parts in self.sums.items()}
        collect(self, number)

    patch.setattr(Builder, "_collect", partly)


@fault
def a_partial_sum_is_added_twice(patch: Patch) -> None:
    collect = Builder._collect

    def twice(self: Builder, number: int) -> None:
        self.sums = {y: [*parts, parts[-1]] for y, parts in self.sums.items()}
        collect(self, number)

    patch.setattr(Builder, "_collect", twice)


@fault
def statistics_of_a_tile_are_left_out(patch: Patch) -> None:
    collect = Builder._collect

    def partly(self: Builder, number: int) -> None:
        self.parts = {v: parts[1:] or parts for v, parts in self.parts.items()}
        self.counts = {v: counts[1:] or counts for v, counts in self.counts.items()}
        collect(self, number)

    patch.setattr(Builder, "_collect", partly)


@fault
def state_is_written_over_before_its_last_reader(patch: Patch) -> None:
    patch.setattr(Builder, "last_read", lambda self, x, inside: (-1.0, -1.0))


@fault
def new_state_is_not_brought_to_its_place(patch: Patch) -> None:
    patch.setattr(Builder, "_commit", lambda self: None)


@fault
def state_that_moves_to_other_state_is_not_kept_aside(patch: Patch) -> None:
    patch.setattr(Builder, "_copy", lambda self, x, shown: shown)


@fault
def threads_share_the_memory_of_their_tiles(patch: Patch) -> None:
    give = Builder._memory
    patch.setattr(Builder, "_memory", lambda self, worker: give(self, 0))


@fault
def threads_share_the_memory_of_their_parts_of_sums(patch: Patch) -> None:
    give = Builder.partial_buffer
    patch.setattr(Builder, "partial_buffer", lambda self, worker, y: give(self, 0, y))


@fault
def threads_share_their_scratch_memory(patch: Patch) -> None:
    made: dict[int, ScratchPad] = {}
    patch.setattr(builder_module, "ScratchPad", lambda memory: made.setdefault(id(memory), ScratchPad(memory)))


@fault
def a_kernel_is_given_memory_that_it_was_given_before(patch: Patch) -> None:
    def one_block(self: ScratchPad, shape: tuple[int, ...], dtype: Any) -> Array:
        array = self.__dict__.setdefault("only", np.zeros(1 << 20, np.uint8))
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.given.append(array[:count].view(dtype).reshape(shape))
        return self.given[-1]

    patch.setattr(ScratchPad, "__call__", one_block)


@fault
def the_last_tile_is_forgotten(patch: Patch) -> None:
    share = builder_module.shares

    def fewer(count: int, workers: int) -> list[tuple[int, int]]:
        found = share(count, workers)
        return found[:-1] if len(found) > 1 and workers > 2 else found

    patch.setattr(builder_module, "shares", fewer)


@fault
def tiles_are_cut_one_sample_early(patch: Patch) -> None:
    def cut(self: TileBinder, whole: Array, x: Value) -> Array:
        axis = tiles.batch_axis(x.type)
        assert axis is not None
        each = whole.shape[axis] // self.builder.batch
        start = max(0, self.rows[0] - 1) * each
        rows = slice(start, start + (self.rows[1] - self.rows[0]) * each)
        return whole[(*(slice(None),) * axis, rows)]

    patch.setattr(TileBinder, "_cut", cut)


@fault
def what_a_group_reads_is_not_copied_to_its_side(patch: Patch) -> None:
    add = HorizontalRunner.add

    def bare(self: HorizontalRunner, group: Group) -> None:
        self._loose.pop(group, None)
        add(self, group)

    patch.setattr(HorizontalRunner, "add", bare)


@fault
def what_a_group_reads_is_copied_too_early(patch: Patch) -> None:
    place = HorizontalRunner.place

    def eager(self: HorizontalRunner, group: Group) -> None:
        place(self, group)
        for piece, x in self._loose.pop(group, []):
            if x in self.builder.arrays:
                source = self.builder.arrays[x]
                bound = calls.copying(calls.Access(source, (x,)), piece.reshape(source.shape))
                self.builder.serial().add(0, bound)
            else:
                self._loose.setdefault(group, []).append((piece, x))

    patch.setattr(HorizontalRunner, "place", eager)


@fault
def intermediate_results_of_a_piece_share_one_place(patch: Patch) -> None:
    def take(self: Any, at: int, v: Value, arrays: Any) -> Array:
        if not self.spares:
            self.spares.append(self.memory.block(machine.PIECE * 8))
        return self.spares[0].view(v.dtype)[: self.count]

    patch.setattr(horizontal_run.ScratchBuffers, "take", take)


@fault
def a_piece_of_a_group_is_skipped(patch: Patch) -> None:
    add = HorizontalRunner._add_piece

    def partly(self: HorizontalRunner, group: Group, region: ParallelRegion, number: int, piece: slice) -> None:
        add(self, group, region, number, slice(piece.start, piece.stop - 1))

    patch.setattr(HorizontalRunner, "_add_piece", partly)


@pytest.mark.parametrize("name", FAULTS)
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
    kept: list[Any] = []
    patch = conditions(name)
    patch.setattr(executor, "check_plan", lambda *given: kept.append(given))
    patch.setattr(Program, "drop_records", lambda self: None)
    try:
        replace(both, state={k: [Cell(c.array) for c in v] for k, v in both.state.items()}).run(Executor, batches[:1])
    finally:
        patch.undo()
    program, *rest = kept[0]
    yield program, lambda changed: check_plan(changed, *rest)


def with_records(program: Program, records: list[list[list[calls.BoundCall]]]) -> Program:
    return replace(
        program,
        regions=[
            ParallelRegion(region.lists, region.values, r) for region, r in zip(program.regions, records, strict=False)
        ],
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("most", [10, pytest.param(100_000, marks=pytest.mark.slow)], ids=["some", "all"])
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
    monkeypatch.setattr(executor, "check_plan", lambda *given: seen.append(given))
    for told, count in (("", 0), ("0", 0), ("1", 1)):
        monkeypatch.setenv("SEQC_VERIFY", told)
        seen.clear()
        Sequential([keras.Input((3,)), L.Dense(2)]).predict(np.ones((2, 3)), verbose=0)
        assert len(seen) == count


def test_planted_faults_name_what_they_break() -> None:
    """A patch of something that is gone would plant nothing."""
    assert len(FAULTS) >= 12
    for plant in FAULTS.values():
        assert "setattr" in inspect.getsource(plant)
