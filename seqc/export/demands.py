"""What operations ask of the numbers they are given: rows that are in a table, divisors that are not zero.

And sums, products and powers of integers that onnxruntime, which takes them in double precision and ends them at an end
of the type, has as NumPy has them.
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
from seqc.ops.transcendental import Pow

# What operands of an operation must be, given their arrays, and sizes of the graph's axes.
_Test = Callable[[Sequence[Array], Mapping[str, int]], bool]
_Demand = tuple[Sequence[Value], _Test]
# Of one operand alone.
_TestOfOne = Callable[[Array, Mapping[str, int]], bool]


class Demands:
    """All that a graph asks of numbers that follow from its inputs.

    Attributes:
        reached: the inputs from which they follow.
    """

    def __init__(self, graph: Graph) -> None:
        moved = _moved(graph)
        self._asked = [(xs, test) for value in graph.walk() for xs, test in _demands(value) if not moved.isdisjoint(xs)]
        asked = [x for xs, _ in self._asked for x in xs]
        whole = Graph(graph.inputs, tuple(asked), tuple(map(str, range(len(asked)))))
        self.reached = moved & set(whole.walk()) & set(graph.inputs)
        self._interpreter = Interpreter(whole) if asked else None

    def are_met(self, arrays: Sequence[Array], sizes: Mapping[str, int]) -> bool:
        """Returns whether inputs of some sizes lead to numbers that every operation takes."""
        if self._interpreter is None:
            return True
        try:
            found = iter(self._interpreter.run(arrays))
            return all(test([np.asarray(next(found)) for _ in xs], sizes) for xs, test in self._asked)
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


def _demands(value: Value) -> Iterator[_Demand]:
    op = value.op
    if isinstance(op, Gather):
        yield _of_one(value.inputs[1], _within(value.inputs[0], 0))
    elif isinstance(op, GatherElements):
        yield _of_one(value.inputs[1], _within(value.inputs[0], op.axis))
    elif isinstance(op, GatherND | Scatter):
        yield _of_one(value.inputs[1], _at_places(value.inputs[0]))
    elif isinstance(op, LookUp) and op.default is None:
        keys = set(op.keys)
        yield _of_one(value.inputs[0], lambda x, _: keys.issuperset(x.ravel().tolist()))
    elif _is_whole(value) and isinstance(op, Div | Mod | Fmod):
        yield _of_one(value.inputs[1], lambda x, _: bool(np.all(x != 0)))
    elif _is_whole(value) and isinstance(op, ReduceSum | ReduceProd):
        yield _of_one(value.inputs[0], lambda x, _: _total_fits(op, x))
    elif _is_whole(value) and isinstance(op, Pow):
        yield value.inputs, lambda operands, _: _power_fits(*operands)


def _of_one(x: Value, test: _TestOfOne) -> _Demand:
    return (x,), lambda arrays, sizes: test(arrays[0], sizes)


def _is_whole(value: Value) -> bool:
    return not isinstance(value.result, tuple) and not value.type.is_float and value.dtype not in ("bool", STRING)


def _within(table: Value, axis: int) -> _TestOfOne:
    def test(ids: Array, sizes: Mapping[str, int]) -> bool:
        size = dims.evaluate(table.type.shape[axis], sizes)
        return not ids.size or bool(-size <= ids.min() and ids.max() < size)

    return test


def _at_places(x: Value) -> _TestOfOne:
    def test(places: Array, sizes: Mapping[str, int]) -> bool:
        along = np.moveaxis(places, -1, 0)
        return all(_within(x, axis)(at, sizes) for axis, at in enumerate(along))

    return test


def _total_fits(op: ReduceSum | ReduceProd, x: Array) -> bool:
    most = 2.0**31 - 1 if x.dtype == "int32" else 2.0**53  # others are added up as int64, see `widen_integers`
    # Of sizes of numbers, so that no part of a sum is larger, whatever the order.
    with np.errstate(over="ignore"):
        return bool(np.all(op.eval(np.abs(x.astype(np.float64))) <= most))


def _power_fits(base: Array, exponent: Array) -> bool:
    # Those of 32 bits and less are raised as int32 at the least; others are exact as far as double precision is.
    most = min(2.0**53, float(np.iinfo(base.dtype).max))
    with np.errstate(over="ignore", divide="ignore"):
        return bool(np.all(exponent >= 0) and np.all(np.abs(base.astype(np.float64)) ** exponent <= most))
