"""Faults planted in the planner of the NumPy backend; the plan checker has to object to each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from seqc.backends.numpy import (
    buffers,
    calls,
    horizontal_fusion,
    horizontal_run,
    lifetimes,
    memory,
    program_writer,
    tile_memory,
)
from seqc.backends.numpy.arena import Arena
from seqc.backends.numpy.buffers import Buffers
from seqc.backends.numpy.horizontal_fusion import Chain, Group
from seqc.backends.numpy.horizontal_run import HorizontalRunner
from seqc.backends.numpy.lifetimes import Lifetime
from seqc.backends.numpy.memory import ScratchPad
from seqc.backends.numpy.packing import Packing
from seqc.backends.numpy.program_writer import ProgramWriter
from seqc.backends.numpy.schedule import NEVER, Schedule
from seqc.backends.numpy.stage import Stage
from seqc.backends.numpy.tiling import Tile, Tiling
from seqc.backends.numpy.whole_batch import WholeBatch
from seqc.graph.ir import Array, Value

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
    patch.setattr(Buffers, "place", lambda self, calls, given, held, to: place(self, calls, [], [*held, *given], to))


@fault
def results_are_not_kept_to_the_end(patch: Patch) -> None:
    place = Buffers.place
    patch.setattr(Buffers, "place", lambda self, calls, given, held, to: place(self, calls, given, held[:0], to))


@fault
def arrays_are_put_a_little_beside_their_places(patch: Patch) -> None:
    plan: Any = vars(buffers)["plan_memory"]

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

    def changed(self: Tiling, stage: Stage) -> None:
        change(self)
        collect(self, stage)

    patch.setattr(Tiling, "collect", changed)


@fault
def a_partial_sum_of_a_thread_is_left_out(patch: Patch) -> None:
    def fewer(self: Tiling) -> None:
        self._sums = {y: sums[:-1] or sums for y, sums in self._sums.items()}

    _change_before_collecting(patch, fewer)


@fault
def a_partial_sum_is_added_twice(patch: Patch) -> None:
    def more(self: Tiling) -> None:
        self._sums = {y: [*sums, replace(sums[-1], index=sums[-1].index + 1)] for y, sums in self._sums.items()}

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
def the_last_sample_is_forgotten(patch: Patch) -> None:
    add = Tiling._add_piece

    def fewer(self: Tiling, stage: Any, piece: tuple[int, int], *rest: Any) -> None:
        start, stop = piece
        add(self, stage, (start, stop - (stop - start > 1 and stop == self.schedule.batch)), *rest)

    patch.setattr(Tiling, "_add_piece", fewer)


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
    block = Arena.block
    patch.setattr(
        Arena, "block", lambda self, use, count: block(self, "values" if use == "values" else "scratch", count)
    )


@fault
def scratch_memory_lies_where_values_are(patch: Patch) -> None:
    block = Arena.block
    patch.setattr(Arena, "block", lambda self, use, count: block(self, "values", count))


@fault
def a_kernel_is_given_memory_that_it_was_given_before(patch: Patch) -> None:
    def one_place(self: ScratchPad, shape: tuple[int, ...], dtype: Any) -> Array:
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if count > self.block.nbytes:
            self.block = memory.block(count)
        self.given.append(memory.view(self.block, 0, shape, dtype))
        return self.given[-1]

    patch.setattr(ScratchPad, "__call__", one_place)
