"""Running a traced step on NumPy: programs by shape of the data, state that is changed in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from seqc.backends.numpy.arena import Arena
from seqc.backends.numpy.build import build_program
from seqc.backends.numpy.footprint import footprint
from seqc.backends.numpy.interrupts import UNFINISHED, whole
from seqc.backends.numpy.kept import Dropped, Keepable, Kept, remember
from seqc.backends.numpy.lowering import lower_for_numpy
from seqc.backends.numpy.memory import Memory
from seqc.backends.numpy.plan_checker import check_plan, is_wanted
from seqc.backends.numpy.regions import Program
from seqc.backends.numpy.state import State, StateRef
from seqc.backends.numpy.turns import Turn
from seqc.backends.numpy.workers import WORKERS, Failure, Run, thread_count
from seqc.errors import in_layer
from seqc.graph import dims
from seqc.graph.batch import BATCH
from seqc.graph.blas_threads import one_blas_thread
from seqc.graph.ir import Array, Graph, Input, Value
from seqc.utils.garbage import collected_later


class Executor:
    """Runs a graph of which some inputs are state, and the last outputs its new values.

    Args:
        graph: inputs are what is given at each run, then one per holder of `reads`; outputs are results, then one
        per holder of `writes`.
        kept: what this and other executors may keep together; by default it is alone.
    """

    def __init__(
        self, graph: Graph, reads: Sequence[StateRef], writes: Sequence[StateRef], kept: Kept | None = None
    ) -> None:
        self.graph, self.reads, self.writes = graph, tuple(reads), tuple(writes)
        self.given = graph.inputs[: len(graph.inputs) - len(self.reads)]
        # By the shapes of what is given and the arena. The last batch of an epoch, for instance, has one of its own.
        self._programs: dict[Any, _Bound] = {}
        # What is remembered of those that were dropped, by the shapes.
        self._dropped: dict[Any, Dropped] = {}
        self._kept = kept or Kept()
        self._kept.add(self)
        # There is one state: several threads that use one model take turns.
        self._turn = Turn()

    def run(self, arrays: Sequence[Array], watched: Callable[[Program], Program] | None = None) -> list[Array]:
        """Runs the graph on the arrays that are given, changes the state, and returns copies of the results.

        Args:
            arrays: what is given.
            watched: gives the program to run in the place of the one that there is, for measuring.

        Raises:
            SeqcError: an operation refuses the numbers; the message names the layer. The state is as it was, or the
            error has a note that says otherwise; so has a KeyboardInterrupt.
        """
        return self._turn.take(self._kept.arenas.lease, self._run, Run(), arrays, watched)

    def _run(
        self, arena: Arena, run: Run, arrays: Sequence[Array], watched: Callable[[Program], Program] | None
    ) -> list[Array]:
        bound = self._bound(arrays, arena)
        program = bound.program if watched is None else watched(bound.program)
        try:
            results = self._finish(run, bound, program, arrays)
            if run.interrupted:
                raise KeyboardInterrupt
            return results
        except BaseException as error:
            known = _explained(error, run, program)
            if program.is_halfway(run):
                known.add_note(UNFINISHED)
            if known is error:
                raise
            raise known from known.__cause__

    @whole
    def _finish(self, run: Run, bound: _Bound, program: Program, arrays: Sequence[Array]) -> list[Array]:
        """Runs a program on arrays."""
        WORKERS.settle_earlier()
        if bound.poisoned:
            program.memory.poison()
        for room, array in zip(bound.rooms, arrays, strict=True):
            np.copyto(room, array, casting="same_kind")
        # What overflows or is not a number shows in the results; NumPy's warnings would name no layer.
        with np.errstate(all="ignore"), one_blas_thread():
            program.run(run)
        return [shown.copy() for shown in program.results]

    def _bound(self, arrays: Sequence[Array], arena: Arena) -> _Bound:
        """Returns the program for arrays of these shapes in an arena, made anew where state has moved."""
        key = (arena, *[a.shape for a in arrays])
        found = self._programs.get(key)
        if found is not None and found.is_current():
            found.used = self._kept.now()
            return found
        self._programs.pop(key, None)
        self._kept.make_room(self._dropped.pop(key[1:], None))
        self._programs[key] = made = self._build(arrays, arena)
        made.used = self._kept.now()
        return made

    def kept(self) -> list[_Bound]:
        """Returns the programs there are."""
        return list(self._programs.values())

    def drop(self, program: Keepable) -> None:
        """Forgets a program; one of such shapes is built again when it is needed."""
        for key, bound in list(self._programs.items()):
            if bound is program:
                self._programs.pop(key, None)
                remember(self._dropped, key[1:], Dropped(bound.used, bound.tables))

    @collected_later
    def _build(self, arrays: Sequence[Array], arena: Arena) -> _Bound:
        sizes = dims.bind_sizes((x.type.shape, a.shape) for x, a in zip(self.given, arrays, strict=True))
        batch = sizes.pop(BATCH, 1)
        graph = lower_for_numpy(self.graph, sizes)
        holders = dict(zip(graph.inputs[len(self.given) :], self.reads, strict=True))
        inputs = {holder: x for x, holder in holders.items()}
        for i, holder in enumerate(self.writes):
            if holder not in inputs:  # new state that nothing reads has an input of its own: a place to write to
                op = Input(f"state:{i}", holder.array.dtype.name, holder.array.shape)
                inputs[holder] = Value(op, (), op.infer())
                holders[inputs[holder]] = holder
        graph = Graph((*graph.inputs[: len(self.given)], *holders), graph.outputs, graph.output_names)
        state = State(holders, [inputs[holder] for holder in self.writes])
        verified = is_wanted()
        program = build_program(graph, batch, state, thread_count(), verified, arena)
        rooms = [program.inputs[x] for x in graph.inputs[: len(self.given)]]
        if verified:
            check_plan(program)
        return _Bound(program, arena, rooms, [(h, h.array) for h in holders.values()], verified)


class _Bound:
    """A program and what a run of it needs to know.

    Attributes:
        arena: where its memory is. rooms: where the arrays go that are given. state: the arrays of the state it was
        made for. poisoned: whether memory is spoiled before each run. used: when it was used for the last time, see
        `Kept`.
    """

    def __init__(
        self,
        program: Program,
        arena: Arena,
        rooms: list[Array],
        state: list[tuple[StateRef, Array]],
        poisoned: bool,
    ) -> None:
        self.program, self.arena, self.rooms, self.state = program, arena, rooms, state
        self.poisoned = poisoned
        self.used = 0

    @property
    def memory(self) -> Memory:
        """What it takes of the arena."""
        return self.program.memory

    @cached_property
    def tables(self) -> int:
        """About how many bytes its calls take."""
        return footprint([region.lists for region in self.program.regions])

    def is_current(self) -> bool:
        return all(holder.array is array for holder, array in self.state)


def _explained(error: BaseException, run: Run, program: Program) -> BaseException:
    """Returns what an error of a run is to the user: of a call's, the call's own, which names the layer."""
    if not isinstance(error, Failure):
        return error
    if not isinstance(error.error, Exception):  # an interruption, which belongs to no layer
        return error.error
    return in_layer(error.error, program.value_at(run, error).scope)
