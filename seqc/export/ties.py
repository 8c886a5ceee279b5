"""Whole numbers that a rounding makes: what a file may give where the number before it is near a border."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqc.export.compare import ERROR_FACTOR, LAST_PLACES, distance, scale_of
from seqc.export.noise import with_rounding
from seqc.export.rewritten import wide
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Value, build, input_value
from seqc.ops.arithmetic import Ceil, Clip, Floor, Round
from seqc.ops.elementwise import Cast
from seqc.passes.precision import promote_floats

# Errors put in by hand are as large as errors are, but in random directions; this many times what they come to is
# allowed.
NOISE_FACTOR = 4.0
DRAWS = 3

Ends = tuple[Array, Array]


class Ties:
    """What rounding errors make of the outputs of a graph that are floats rounded to whole numbers.

    Args:
        single: what NumPy computes in the file's precision, where that is another one than the graph's.
    """

    def __init__(self, graph: Graph, single: Graph | None = None) -> None:
        self._graph = graph
        self._own = single or graph

    def near(self, at: int, arrays: Sequence[Array]) -> Ends | None:
        """Returns the smallest and largest whole numbers that an output may have, or None where none is rounded."""
        exact, own = _float_before(self._graph.outputs[at]), _float_before(self._own.outputs[at])
        if exact is None or own is None:
            return None
        inner = _ending_in(self._graph, exact)
        truth = _run(promote_floats(inner), arrays)
        single = _result(_ending_in(self._own, own), arrays)
        drawn = [_run(with_rounding(inner, np.random.default_rng(i)), arrays) for i in range(DRAWS)]
        off = (
            ERROR_FACTOR * distance(single, truth)
            + LAST_PLACES * float(np.finfo(single.dtype).eps) * scale_of(truth, single)
            + NOISE_FACTOR * max(distance(moved, truth) for moved in drawn)
        )
        rest = promote_floats(_from(self._graph.outputs[at], exact))
        return _run(rest, [truth - off]), _run(rest, [truth + off])


def _float_before(y: Value) -> Value | None:
    """Returns the floats that only rounding, limits and views stand between, and whole numbers."""
    if isinstance(y.result, tuple) or np.dtype(y.dtype).kind not in "iu":
        return None
    rounded = False
    while _keeps_order(y) and len(y.inputs) == 1 and not isinstance(y.inputs[0].result, tuple):
        rounded = rounded or (isinstance(y.op, Cast) and y.inputs[0].type.is_float)
        y = y.inputs[0]
    return y if rounded and y.type.is_float else None


def _keeps_order(y: Value) -> bool:
    return isinstance(y.op, Cast | Round | Floor | Ceil | Clip) or y.op.kind == "view"


def _ending_in(graph: Graph, y: Value) -> Graph:
    return Graph(graph.inputs, (y,), ("y",))


def _from(y: Value, start: Value) -> Graph:
    """Returns what is computed between two values as a graph of its own."""
    steps = []
    last = y
    while last is not start:
        steps.append(last)
        (last,) = last.inputs
    x = value = input_value("x", start.dtype, start.type.shape)
    for step in reversed(steps):
        value = build(step.op, (value,), step.scope)
    return Graph((x,), (value,), ("y",))


def _run(graph: Graph, arrays: Sequence[Array]) -> Array:
    return _result(graph, [wide(a) for a in arrays])


def _result(graph: Graph, arrays: Sequence[Array]) -> Array:
    with np.errstate(all="ignore"):
        (y,) = Interpreter(graph).run(list(arrays))
    return np.asarray(y)
