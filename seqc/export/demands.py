"""What operations ask of the numbers they are given: rows that are in a table, divisors that are not zero.

And sums and products of integers that onnxruntime, which takes them in double precision and ends them at the largest
number of the type, has as NumPy has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from seqc.errors import SeqcError
from seqc.graph import dims
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Input, Value
from seqc.graph.strings import STRING
from seqc.ops.arithmetic import Div, Mod
from seqc.ops.gather import Gather, GatherElements
from seqc.ops.reduce import ReduceProd, ReduceSum
from seqc.ops.rounding import Fmod
from seqc.ops.scattering import GatherND, Scatter
from seqc.ops.strings import LookUp

# Of one operand of an operation, the array of which is asked, at sizes of the graph's axes.
_Demand = Callable[[Array, Mapping[str, int]], bool]


class Demands:
    """All that a graph asks of numbers that follow from its inputs.

    Attributes:
        reached: the inputs from which they follow.
    """

    def __init__(self, graph: Graph) -> None:
        moved = _moved(graph)
        asked = [(x, test) for value in graph.walk() for x, test in _demands(value) if x in moved]
        self._tests = [test for _, test in asked]
        whole = Graph(graph.inputs, tuple(x for x, _ in asked), tuple(map(str, range(len(asked)))))
        self.reached = moved & set(whole.walk()) & set(graph.inputs)
        self._interpreter = Interpreter(whole) if asked else None

    def are_met(self, arrays: Sequence[Array], sizes: Mapping[str, int]) -> bool:
        """Returns whether inputs of some sizes lead to numbers that every operation takes."""
        if self._interpreter is None:
            return True
        try:
            found = self._interpreter.run(arrays)
            return all(test(np.asarray(x), sizes) for test, x in zip(self._tests, found, strict=True))
        except (SeqcError, ValueError, IndexError):
            return False


def _moved(graph: Graph) -> set[Value]:
    """Returns the values that follow from numbers of the inputs, not from their sizes alone."""
    moved: set[Value] = set()
    for value in graph.walk():
        if isinstance(value.op, Input) or any(
            x in moved for i, x in enumerate(value.inputs) if i not in value.op.shape_only
        ):
            moved.add(value)
    return moved


def _demands(value: Value) -> Iterator[tuple[Value, _Demand]]:
    op = value.op
    if isinstance(op, Gather):
        yield value.inputs[1], _within(value.inputs[0], 0)
    elif isinstance(op, GatherElements):
        yield value.inputs[1], _within(value.inputs[0], op.axis)
    elif isinstance(op, GatherND | Scatter):
        yield value.inputs[1], _at_places(value.inputs[0])
    elif isinstance(op, LookUp) and op.default is None:
        keys = set(op.keys)
        yield value.inputs[0], lambda x, _: keys.issuperset(x.ravel().tolist())
    elif _is_whole(value) and isinstance(op, Div | Mod | Fmod):
        yield value.inputs[1], lambda x, _: bool(np.all(x != 0))
    elif _is_whole(value) and isinstance(op, ReduceSum | ReduceProd):
        yield value.inputs[0], lambda x, _: _fits(op, x)


def _is_whole(value: Value) -> bool:
    return not isinstance(value.result, tuple) and not value.type.is_float and value.dtype not in ("bool", STRING)


def _within(table: Value, axis: int) -> _Demand:
    def test(ids: Array, sizes: Mapping[str, int]) -> bool:
        size = dims.evaluate(table.type.shape[axis], sizes)
        return not ids.size or bool(-size <= ids.min() and ids.max() < size)

    return test


def _at_places(x: Value) -> _Demand:
    def test(places: Array, sizes: Mapping[str, int]) -> bool:
        along = np.moveaxis(places, -1, 0)
        return all(_within(x, axis)(at, sizes) for axis, at in enumerate(along))

    return test


def _fits(op: ReduceSum | ReduceProd, x: Array) -> bool:
    most = 2.0**31 - 1 if x.dtype == "int32" else 2.0**53  # others are added up as int64, see `widen_integers`
    # Of sizes of numbers, so that no part of a sum is larger, whatever the order.
    with np.errstate(over="ignore"):
        return bool(np.all(op.eval(np.abs(x.astype(np.float64))) <= most))
