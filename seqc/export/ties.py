"""Whole numbers that a rounding makes: what a file may give where the number before it is near a border."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqc.export.compare import ERROR_FACTOR, LAST_PLACES
from seqc.export.noise import with_rounding
from seqc.export.rewritten import wide
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Value, build, input_value
from seqc.graph.strings import STRING
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

    They are those of the graph's own precision, in half-precision files too: a lowered graph has other values before
    the rounding, in other layouts, and errors of half precision would leave little of many outputs to compare.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def near(self, at: int, arrays: Sequence[Array]) -> Ends | None:
        """Returns the smallest and largest whole numbers that an output may have, or None where none is rounded.

        They are the two beside a border, or one and the same.
        """
        before = _float_before(self._graph.outputs[at])
        if before is None:
            return None
        inner, rest = _ending_in(self._graph, before), promote_floats(_from(self._graph.outputs[at], before))
        truth = _run(promote_floats(inner), arrays)
        off = _errors(inner, truth, arrays)
        exact, low, high = (_run(rest, [x]) for x in (truth, truth - off, truth + off))
        # Errors as large as the numbers decide nothing: any number would do.
        border = high.astype(np.float64) - low <= 1
        return np.where(border, low, exact), np.where(border, high, exact)


def _errors(graph: Graph, truth: Array, arrays: Sequence[Array]) -> Array:
    """Returns how far each number may be off by rounding errors."""
    single = _result(graph, arrays)
    drawn = [_run(with_rounding(graph, np.random.default_rng(i)), arrays) for i in range(DRAWS)]
    with np.errstate(all="ignore"):
        return np.asarray(
            ERROR_FACTOR * np.abs(single - truth)
            + LAST_PLACES * float(np.finfo(single.dtype).eps) * np.abs(truth)
            + NOISE_FACTOR * np.max([np.abs(moved - truth) for moved in drawn], axis=0)
        )


def _float_before(y: Value) -> Value | None:
    """Returns the floats that only rounding, limits and views stand between, and whole numbers."""
    if isinstance(y.result, tuple) or y.dtype == STRING or np.dtype(y.dtype).kind not in "iu":
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
