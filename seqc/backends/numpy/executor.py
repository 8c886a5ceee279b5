"""Running a traced step on NumPy: programs by shape of the data, state that is changed in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.backends.numpy.build import build_program
from seqc.backends.numpy.interrupts import UNFINISHED, whole
from seqc.backends.numpy.kept import Keepable, Kept
from seqc.backends.numpy.lowering import lower_for_numpy
from seqc.backends.numpy.plan_checker import check_plan, is_wanted
from seqc.backends.numpy.regions import Program
from seqc.backends.numpy.state import State, StateRef
from seqc.backends.numpy.turns import Turn
from seqc.backends.numpy.workers import WORKERS, Failure, Run, thread_count
from seqc.errors import SeqcError
from seqc.graph import dims
from seqc.graph.batch import BATCH
from seqc.graph.blas_threads import one_blas_thread
from seqc.graph.ir import Array, Graph, Input, Value


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
        # By the shapes of what is given. The last batch of an epoch, for instance, has a program of its own.
        self._programs: dict[Any, _Bound] = {}
        self._kept = kept or Kept()
        self._kept.add(self)
        # A program has one set of arrays: several threads that predict with one model take turns.
        self._turn = Turn()

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Runs the graph on the arrays that are given, changes the state, and returns copies of the results.

        Raises:
            SeqcError: an operation refuses the numbers; the message names the layer. The state is as it was, or the
            error has a note that says otherwise; so has a KeyboardInterrupt.
        """
        return self._turn.take(self._run, Run(), arrays)

    def _run(self, run: Run, arrays: Sequence[Array]) -> list[Array]:
        bound = self._bound(arrays)
        try:
            results = self._finish(run, bound, arrays)
            if run.interrupted:
                raise KeyboardInterrupt
            return results
        except BaseException as error:
            known = _explained(error, run, bound.program)
            if bound.program.is_halfway(run):
                known.add_note(UNFINISHED)
            if known is error:
                raise
            raise known from known.__cause__

    @whole
    def _finish(self, run: Run, bound: _Bound, arrays: Sequence[Array]) -> list[Array]:
        """Runs a program on arrays."""
        WORKERS.settle_earlier()
        if bound.poisoned:
            bound.program.memory.poison()
        for room, array in zip(bound.rooms, arrays, strict=True):
            np.copyto(room, array, casting="same_kind")
        # What overflows or is not a number shows in the results; NumPy's warnings would name no layer.
        with np.errstate(all="ignore"), one_blas_thread():
            bound.program.run(run)
        return [shown.copy() for shown in bound.program.results]

    def _bound(self, arrays: Sequence[Array]) -> _Bound:
        """Returns the program for arrays of these shapes, made anew where state has moved."""
        key = tuple([a.shape for a in arrays])
        found = self._programs.get(key)
        if found is not None and found.is_current():
            found.used = self._kept.now()
            return found
        self._programs.pop(key, None)
        self._programs[key] = made = self._build(arrays)
        made.used = self._kept.now()
        self._kept.make_room()
        return made

    def kept(self) -> list[_Bound]:
        """Returns the programs there are."""
        return list(self._programs.values())

    def drop(self, program: Keepable) -> None:
        """Forgets a program; one of such shapes is built again when it is needed."""
        for key, bound in list(self._programs.items()):
            if bound is program:
                self._programs.pop(key, None)

    def _build(self, arrays: Sequence[Array]) -> _Bound:
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
        program = build_program(graph, batch, state, thread_count(), recorded=verified)
        rooms = [program.inputs[x] for x in graph.inputs[: len(self.given)]]
        if verified:
            check_plan(program)
        return _Bound(program, rooms, [(h, h.array) for h in holders.values()], verified)


class _Bound:
    """A program and what a run of it needs to know.

    Attributes:
        rooms: where the arrays go that are given. state: the arrays of the state it was made for. poisoned: whether
        memory is spoiled before each run. used: when it was used for the last time, see `Kept`.
    """

    def __init__(
        self, program: Program, rooms: list[Array], state: list[tuple[StateRef, Array]], poisoned: bool
    ) -> None:
        self.program, self.rooms, self.state = program, rooms, state
        self.poisoned = poisoned
        self.used = 0

    @property
    def size(self) -> int:
        """How many bytes of memory it takes."""
        return self.program.memory.size

    def is_current(self) -> bool:
        return all(holder.array is array for holder, array in self.state)


def _explained(error: BaseException, run: Run, program: Program) -> BaseException:
    """Returns what an error of a run is to the user: of a call's, the call's own; one of seqc's names the layer."""
    if not isinstance(error, Failure):
        return error
    failure, error = error, error.error
    if not isinstance(error, SeqcError):
        return error
    scope = program.value_at(run, failure).scope
    if not scope or scope in str(error):
        return error
    named = type(error)(f"In layer '{scope}': {error}")
    named.__cause__ = error
    return named
