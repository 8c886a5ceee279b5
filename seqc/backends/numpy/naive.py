"""The naive executor: a step's whole batch at once in one thread, each operation by its `eval`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqc.backends.numpy.interrupts import UNFINISHED, whole
from seqc.backends.numpy.state import StateRef
from seqc.backends.numpy.target import NUMPY
from seqc.backends.numpy.workers import Run
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph
from seqc.passes.duplicates import merge_duplicates


class NaiveExecutor:
    """Does what `Executor` does, as plainly as can be: to compare with, and to look into."""

    def __init__(self, graph: Graph, reads: Sequence[StateRef], writes: Sequence[StateRef]) -> None:
        self.reads, self.writes = tuple(reads), tuple(writes)
        self.interpreter = Interpreter(merge_duplicates(graph, NUMPY))

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Runs the graph on the arrays that are given, changes the state, and returns the results."""
        given = [*arrays, *(holder.array for holder in self.reads)]
        outputs = self.interpreter.run(given)
        count = len(outputs) - len(self.writes)
        # State is changed in place, and some results show what they were computed from.
        results = [shown.copy() for shown in outputs[:count]]
        run = Run()
        try:
            self._keep(run, [new.copy() for new in outputs[count:]])
            if run.interrupted:
                raise KeyboardInterrupt
        except BaseException as error:
            if run.at == 0:
                error.add_note(UNFINISHED)
            raise
        return results

    @whole
    def _keep(self, run: Run, news: Sequence[Array]) -> None:
        """Changes the state."""
        run.at = 0
        for holder, new in zip(self.writes, news, strict=True):
            np.copyto(holder.array, new)
        run.at = 1
