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
from seqc.backends.numpy import (
    buffers,
    calls,
    executor,
    horizontal_fusion,
    horizontal_run,
    lifetimes,
    machine,
    memory,
    program_writer,
    tile_memory,
    tiling,
)
from seqc.backends.numpy.buffers import Buffers
from seqc.backends.numpy.executor import Executor
from seqc.backends.numpy.horizontal_fusion import Chain, Group
from seqc.backends.numpy.horizontal_run import HorizontalRunner
from seqc.backends.numpy.lifetimes import Lifetime
from seqc.backends.numpy.memory import ScratchPad
from seqc.backends.numpy.naive import NaiveExecutor
from seqc.backends.numpy.packing import Packing
from seqc.backends.numpy.plan_checker import PlanError, check_plan
from seqc.backends.numpy.program_writer import ProgramWriter
from seqc.backends.numpy.regions import ParallelRegion, Program
from seqc.backends.numpy.schedule import NEVER, Schedule
from seqc.backends.numpy.tiling import Tile, Tiling
from seqc.backends.numpy.whole_batch import WholeBatch
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
    **{name: (lambda name=name: judge(name)) for name in MODELS},
    "metrics": metric_state,
    "swap": swapped_state,
    "late": late_input,
}


def test_right_programs_are_accepted() -> None:
    assert {name: ask() for name, ask in JUDGES.items()} == dict.fromkeys(JUDGES, "")


# -- faults in the planner -------------------------------------------------------------------------------------------

Patch = pytest.MonkeyPatch
FAULTS: dict[str, Callable[[Patch], None]] = {}


def fault(function: Callable[[Patch], None]) -> Callable[[Patch], None]:
    FAULTS[function.__name__] = function
    return function


# -- of lifetimes


def _early(lives: dict[Any, Lifetime]) -> tuple[dict[Any, int], int]:
    return lifetimes.plan_memory({k: one._replace(last=max(one.first, one.last - 1)) for k, one in lives.items()})


@fault
def an_array_of_a_tile_is_released_one_call_too_soon(patch: Patch) -> None:
    patch.setattr(tile_memory, "plan_memory", _early)


@fault
def an_intermediate_result_of_a_group_is_released_one_call_too_soon(patch: Patch) -> None:
    patch.setattr(horizontal_run, "plan_memory", _early)


@fault
def what_a_program_keeps_is_released_one_call_too_soon(patch: Patch) -> None:
    patch.setattr(buffers, "plan_memory", _early)


@fault
def what_a_program_keeps_is_found_room_one_call_too_late(patch: Patch) -> None:
    def late(lives: dict[Any, Lifetime]) -> Any:
        return lifetimes.plan_memory({k: x._replace(first=min(x.first + 1, x.last)) for k, x in lives.items()})

    patch.setattr(buffers, "plan_memory", late)


@fault
def calls_that_run_side_by_side_are_thought_to_follow_each_other(patch: Patch) -> None:
    def one_by_one(self: ProgramWriter) -> Any:
        return enumerate(call for _, call in self._places())

    patch.setattr(ProgramWriter, "_timed", one_by_one)


@fault
def inputs_are_not_kept_from_the_start(patch: Patch) -> None:
    place = Buffers.place
    patch.setattr(Buffers, "place", lambda self, calls, given, held: place(self, calls, [], [*held, *given]))


@fault
def results_are_not_kept_to_the_end(patch: Patch) -> None:
    place = Buffers.place
    patch.setattr(Buffers, "place", lambda self, calls, given, held: place(self, calls, given, held[:0]))


@fault
def arrays_are_put_a_little_beside_their_places(patch: Patch) -> None:
    plan = buffers.plan_memory

    def beside(lives: dict[Any, Lifetime]) -> Any:
        places, size = plan(lives)
        return {k: max(0, place - lifetimes.ALIGNMENT) for k, place in places.items()}, size

    patch.setattr(buffers, "plan_memory", beside)


@fault
def a_result_is_written_over_an_operand_that_is_still_read(patch: Patch) -> None:
    def over(at: int, v: Value, y: Value, root: dict[Value, Value], *_: Any) -> Value | None:
        fits = (x for x in v.inputs if x in root and x.type.shape == y.type.shape and x.dtype == y.dtype)
        return next((x for x in fits if v is y), None)

    patch.setattr(tile_memory, "_operand_to_overwrite", over)


# -- of groups


@fault
def a_value_gets_two_homes(patch: Patch) -> None:
    def free(self: Packing, values: list[Value]) -> bool:
        return not any(x in self._packed or x in self.buffers.arrays for x in values)

    patch.setattr(Packing, "_are_free", free)


def _latest_first(groups: Iterable[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: group.when, reverse=True)


@fault
def groups_are_placed_before_those_that_give_what_they_read(patch: Patch) -> None:
    patch.setattr(horizontal_fusion, "in_running_order", _latest_first)


@fault
def what_a_group_reads_is_not_copied_to_its_side(patch: Patch) -> None:
    add = HorizontalRunner.add

    def bare(self: HorizontalRunner, group: Group) -> None:
        self.packing.copied.pop(group, None)
        add(self, group)

    patch.setattr(HorizontalRunner, "add", bare)


@fault
def what_a_group_reads_is_copied_too_early(patch: Patch) -> None:
    start = HorizontalRunner.__init__

    def eager(self: HorizontalRunner, packing: Packing, *rest: Any) -> None:
        start(self, packing, *rest)
        for group, copied in packing.copied.items():
            known = [(piece, x, self.buffers.arrays[x]) for piece, x in copied if x in self.buffers.arrays]
            for piece, x, source in known:
                self.writer.add(calls.copying(calls.Access(source, (x,)), piece.reshape(source.shape)))
            packing.copied[group] = [(piece, x) for piece, x in copied if x not in self.buffers.arrays]

    patch.setattr(HorizontalRunner, "__init__", eager)


@fault
def intermediate_results_of_a_piece_share_one_place(patch: Patch) -> None:
    plan = horizontal_run._plan_piece

    def one_place(chain: Chain, count: int) -> tuple[dict[Value, int], int]:
        places, size = plan(chain, count)
        return dict.fromkeys(places, 0), size

    patch.setattr(horizontal_run, "_plan_piece", one_place)


@fault
def a_piece_of_a_group_is_skipped(patch: Patch) -> None:
    plan = HorizontalRunner._piece

    def partly(self: HorizontalRunner, group: Group, arrays: Any, numbers: Any, span: slice) -> Any:
        fewer = {x: array[:-1] for x, array in arrays.items()}
        return plan(self, group, fewer, numbers, slice(span.start, span.stop - 1))

    patch.setattr(HorizontalRunner, "_piece", partly)


# -- of what is computed for all samples


@fault
def a_barrier_between_products_is_missing(patch: Patch) -> None:
    def always_the_same(self: WholeBatch, xs: Any) -> program_writer.PlannedRegion:
        if self._products is None:
            self._products = self.writer.region(self.schedule.workers)
        return self._products

    patch.setattr(WholeBatch, "_region_of_products", always_the_same)


@fault
def state_is_written_over_before_its_last_reader(patch: Patch) -> None:
    patch.setattr(Schedule, "last_read", lambda self, x, inside: NEVER)


@fault
def new_state_is_not_brought_to_its_place(patch: Patch) -> None:
    patch.setattr(WholeBatch, "commit", lambda self, state: None)


@fault
def state_that_moves_to_other_state_is_not_kept_aside(patch: Patch) -> None:
    patch.setattr(WholeBatch, "_copy", lambda self, x, shown: shown)


# -- of tiles


def _change_before_collecting(patch: Patch, change: Callable[[Tiling], None]) -> None:
    collect = Tiling.collect

    def changed(self: Tiling, number: int) -> None:
        change(self)
        collect(self, number)

    patch.setattr(Tiling, "collect", changed)


@fault
def a_partial_sum_of_a_thread_is_left_out(patch: Patch) -> None:
    def fewer(self: Tiling) -> None:
        self._sums = {y: sums[:-1] or sums for y, sums in self._sums.items()}

    _change_before_collecting(patch, fewer)


@fault
def a_partial_sum_is_added_twice(patch: Patch) -> None:
    def more(self: Tiling) -> None:
        self._sums = {y: [*sums, sums[-1]] for y, sums in self._sums.items()}

    _change_before_collecting(patch, more)


@fault
def statistics_of_a_tile_are_left_out(patch: Patch) -> None:
    def fewer(self: Tiling) -> None:
        self._parts = {v: parts[1:] or parts for v, parts in self._parts.items()}

    _change_before_collecting(patch, fewer)


@fault
def threads_share_the_memory_of_their_tiles(patch: Patch) -> None:
    give = Tiling._memory
    made: dict[Any, Array] = {}

    def shared(self: Tiling, number: Any, worker: int) -> Array:
        if (self, number) not in made:
            made[self, number] = give(self, number, 0)
        return made[self, number]

    patch.setattr(Tiling, "_memory", shared)


@fault
def threads_share_the_memory_of_their_parts_of_sums(patch: Patch) -> None:
    made: dict[Any, Array] = {}

    def shared(self: Tiling, tile: Tile, y: Value) -> Array:
        if (self, y) not in made:
            made[self, y] = self.buffers.buffer_for(y)
        return made[self, y]

    patch.setattr(Tiling, "_partial_buffer", shared)


@fault
def the_last_tile_is_forgotten(patch: Patch) -> None:
    share = tiling.shares

    def fewer(count: int, workers: int) -> list[tuple[int, int]]:
        found = share(count, workers)
        return found[:-1] if len(found) > 1 and workers > 2 else found

    patch.setattr(tiling, "shares", fewer)


@fault
def tiles_are_cut_one_sample_early(patch: Patch) -> None:
    cut = Buffers.cut

    def early(self: Buffers, whole: Array, x: Value, rows: tuple[int, int]) -> Array:
        back = min(1, rows[0])
        return cut(self, whole, x, (rows[0] - back, rows[1] - back))

    patch.setattr(Buffers, "cut", early)


# -- of scratch memory


@fault
def threads_share_their_scratch_memory(patch: Patch) -> None:
    pad = ScratchPad()
    patch.setattr(program_writer, "ScratchPad", lambda: pad)


@fault
def a_kernel_is_given_memory_that_it_was_given_before(patch: Patch) -> None:
    def one_place(self: ScratchPad, shape: tuple[int, ...], dtype: Any) -> Array:
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if count > self.block.nbytes:
            self.block = memory.block(count)
        self.given.append(memory.view(self.block, 0, shape, dtype))
        return self.given[-1]

    patch.setattr(ScratchPad, "__call__", one_place)


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
