"""Running a graph as plainly as can be, each operation by its `eval`: what every backend has to agree with.

Slots stand for look-ups, and arrays are dropped as soon as nobody needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.errors import ShapeError, in_layer
from seqc.graph.blas_threads import one_blas_thread
from seqc.graph.ir import Array, Constant, Graph, Input, Value


@dataclass(frozen=True, eq=False)
class Instruction:
    """Runs `function` on the arrays of some slots, writes a slot, and frees slots nobody reads again."""

    function: Callable[..., Any]
    operands: tuple[int, ...]
    result: int
    last_uses: tuple[int, ...]
    value: Value


class Interpreter:
    """A graph made ready to run any number of times.

    Args:
        graph: what to run. Its declared shapes may be symbolic; arrays decide the sizes at each run.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        order = graph.walk()
        slot = {v: i for i, v in enumerate(order)}
        self._inputs = [slot.get(x) for x in graph.inputs]
        self._names = graph.input_names
        self._outputs = [slot[y] for y in graph.outputs]
        self._start: list[Any] = [v.op.array if isinstance(v.op, Constant) else None for v in order]
        _check_inputs(order, graph)
        self._instructions = _instructions(order, slot, frozenset(self._outputs))

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Returns the outputs for input arrays given in the order of the graph's inputs."""
        slots = self._start.copy()
        for at, array in zip(self._inputs, arrays, strict=True):
            if at is not None:
                slots[at] = array
        at_work: Instruction | None = None
        try:
            # What overflows or is not a number shows in the results; NumPy's warnings would name no layer.
            with np.errstate(all="ignore"), one_blas_thread():
                for i in self._instructions:
                    at_work = i
                    slots[i.result] = i.function(*[slots[o] for o in i.operands])
                    for dead in i.last_uses:
                        slots[dead] = None
        except Exception as error:
            named = in_layer(error, "" if at_work is None else at_work.value.scope)
            if named is error:
                raise
            raise named from error
        return [slots[o] for o in self._outputs]

    def run_named(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Returns outputs by name for input arrays by name."""
        missing = [n for n in self._names if n not in arrays]
        if missing:
            raise ShapeError(f"The graph needs inputs {list(self._names)}; missing: {missing}.")
        results = self.run([arrays[n] for n in self._names])
        return dict(zip(self.graph.output_names, results, strict=True))


def _check_inputs(order: Sequence[Value], graph: Graph) -> None:
    known = set(graph.inputs)
    for v in order:
        if isinstance(v.op, Input) and v not in known:
            raise ShapeError(f"The graph reads '{v.op.label}', which is not among its inputs {graph.input_names}.")


def _instructions(order: Sequence[Value], slot: Mapping[Value, int], kept: frozenset[int]) -> list[Instruction]:
    last: dict[int, Value] = {}
    for v in order:
        for x in (v, *v.inputs):
            last[slot[x]] = v
    ends: dict[Value, list[int]] = {}
    for at, v in last.items():
        if at not in kept and not isinstance(order[at].op, Constant):
            ends.setdefault(v, []).append(at)
    return [
        Instruction(v.op.eval, tuple(slot[x] for x in v.inputs), slot[v], tuple(ends.get(v, ())), v)
        for v in order
        if not isinstance(v.op, Input | Constant)
    ]
