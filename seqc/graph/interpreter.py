"""Running a graph as plainly as can be, each operation by its `eval`: what every backend has to agree with.

Slots stand for look-ups, and arrays are dropped as soon as nobody needs them. Where one number says which of two
operands is taken, what only the other one needs is not computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.errors import ShapeError, in_layer
from seqc.graph.blas_threads import one_blas_thread
from seqc.graph.ir import Array, Constant, Graph, Input, Value

# When a value is needed: slots of conditions, the outermost first, and what each has to be.
Way = tuple[tuple[int, bool], ...]


@dataclass(frozen=True, eq=False)
class Instruction:
    """Runs `function` on the arrays of some slots, writes a slot, and frees slots nobody reads again.

    Attributes:
        way: when the result is needed; nothing is computed else.
    """

    function: Callable[..., Any]
    operands: tuple[int, ...]
    result: int
    last_uses: tuple[int, ...]
    value: Value
    way: Way = ()


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
                    if not i.way or all(bool(slots[at]) is wanted for at, wanted in i.way):
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
    ways = _ways(order, slot, kept)
    last: dict[int, Value] = {}
    for v in order:
        for at in (*(slot[x] for x in (v, *v.inputs)), *(condition for condition, _ in ways[v])):
            last[at] = v
    ends: dict[Value, list[int]] = {}
    for at, v in last.items():
        if at not in kept and not isinstance(order[at].op, Constant):
            ends.setdefault(v, []).append(at)
    return [
        Instruction(
            _taken if _takes_one(v) else v.op.eval,
            tuple(slot[x] for x in v.inputs),
            slot[v],
            tuple(ends.get(v, ())),
            v,
            ways[v],
        )
        for v in order
        if not isinstance(v.op, Input | Constant)
    ]


def _takes_one(v: Value) -> bool:
    """Tells whether a value is one of two operands as it is, by a single condition."""
    if not v.op.chooses:
        return False
    condition, *both = v.inputs
    return condition.type.rank == 0 and all(x.type.shape == v.type.shape for x in both)


def _taken(condition: Array, a: Any, b: Any) -> Any:
    return a if condition else b


def _ways(order: Sequence[Value], slot: Mapping[Value, int], kept: frozenset[int]) -> dict[Value, Way]:
    """Returns when each value is needed: where all who read it are, as far as these agree.

    A condition comes before what is needed only by it: it is the first operand of what chooses.
    """
    ways: dict[Value, Way] = {order[at]: () for at in kept}
    for v in reversed(order):
        way, takes = ways[v], _takes_one(v)
        for i, x in enumerate(v.inputs):
            mine = (*way, (slot[v.inputs[0]], i == 1)) if takes and i else way
            ways[x] = _shared(ways[x], mine) if x in ways else mine
    return ways


def _shared(one: Way, other: Way) -> Way:
    """Returns with what two ways begin."""
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    return one[:same]
