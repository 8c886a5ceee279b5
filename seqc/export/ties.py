"""Whole numbers that rounding decides: what a file may give where a number before it is near a border, or another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqc.export.compare import ERROR_FACTOR, LAST_PLACES
from seqc.export.noise import with_rounding
from seqc.export.rewritten import wide
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Item, Value, build, input_value
from seqc.graph.strings import STRING
from seqc.ops.arithmetic import Ceil, Clip, Floor, Round
from seqc.ops.elementwise import Cast
from seqc.ops.reduce import ArgMax, ArgMin
from seqc.ops.sorting import TopK
from seqc.passes.precision import promote_floats
from seqc.sure import of_kind

# Errors put in by hand are as large as errors are, but in random directions; this many times what they come to is
# allowed.
NOISE_FACTOR = 4.0
DRAWS = 3

Ends = tuple[Array, Array]


class Ties:
    """What rounding errors make of the outputs of a graph that are rounded floats, or places of floats.

    Of rounded floats they are those of the graph's own precision, in half-precision files too: a lowered graph has
    other values before the rounding, in other layouts, and errors of half precision would leave little of many outputs
    to compare.

    Args:
        graph: before any pass. half: what the file computes, where it is in half precision.
    """

    def __init__(self, graph: Graph, half: Graph | None = None) -> None:
        self._graph, self._half = graph, half

    def near(self, at: int, arrays: Sequence[Array]) -> Ends | None:
        """Returns the smallest and largest whole numbers that an output may have, or None where no rounding decides.

        They are the two beside a border, or one and the same; of places, such as that of the largest number, those
        where numbers are that rounding errors may change for each other.
        """
        y = self._graph.outputs[at]
        if isinstance(y.result, tuple) or y.dtype == STRING or np.dtype(y.dtype).kind not in "iu":
            return None
        if (place := _place_before(y)) is not None:
            rest = _from(y, place)
            low, high = self._tied(at, place, arrays)
            return _result(rest, [low]), _result(rest, [high])
        before = _float_before(y)
        if before is None:
            return None
        inner, rest = _ending_in(self._graph, before), promote_floats(_from(y, before))
        truth = _run(promote_floats(inner), arrays)
        off = _errors(inner, truth, arrays)
        exact, low, high = (_run(rest, [x]) for x in (truth, truth - off, truth + off))
        # Errors as large as the numbers decide nothing: any number would do.
        border = high.astype(np.float64) - low <= 1
        return np.where(border, low, exact), np.where(border, high, exact)

    def _tied(self, at: int, place: Value, arrays: Sequence[Array]) -> Ends:
        """Returns the first and last places that may be in order where rounding errors decide."""
        op, x = _order(place)
        axis = op.axis
        inner = _ending_in(self._graph, x)
        truth = _run(promote_floats(inner), arrays)
        off = _errors(inner, truth, arrays)
        if self._half is not None:
            off += _errors_in_half(self._half, at, truth, arrays)
        off[~np.isfinite(off)] = 0
        exact = op.eval(truth)[1] if isinstance(op, TopK) else np.expand_dims(op.eval(truth), axis)
        count = truth.shape[axis]
        # The i-th number lies between the i-th of all less their errors and the i-th of all with them.
        falling = op.largest if isinstance(op, TopK) else not isinstance(op, ArgMin)
        below, above = truth - off, truth + off
        least, most = (np.sort(ends, axis) for ends in (below, above))
        if falling:
            least, most = np.flip(least, axis), np.flip(most, axis)
        low, high = exact.copy(), exact.copy()
        for i in range(exact.shape[axis]):
            ith = (*[slice(None)] * axis, slice(i, i + 1))
            tied = (above > least[ith]) & (below < most[ith])
            np.put_along_axis(tied, exact[ith], True, axis)
            low[ith] = np.argmax(tied, axis, keepdims=True)
            high[ith] = count - 1 - np.argmax(np.flip(tied, axis), axis, keepdims=True)
        return (low, high) if isinstance(op, TopK) else (low.squeeze(axis), high.squeeze(axis))


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


def _errors_in_half(graph: Graph, at: int, truth: Array, arrays: Sequence[Array]) -> Array:
    """Returns how far numbers in order may be off in half precision; 0 where a graph has no such numbers."""
    place = _place_before(graph.outputs[at])
    half = None if place is None else _result(_ending_in(graph, _order(place)[1]), arrays)
    if half is None or half.shape != truth.shape:
        return np.zeros_like(truth)
    with np.errstate(all="ignore"):
        # Results are rounded as NumPy rounds them, but for numbers that are added up in another order before that.
        return np.asarray(np.abs(half - truth) + LAST_PLACES * float(np.finfo(np.float16).eps) * np.abs(truth))


def _float_before(y: Value) -> Value | None:
    """Returns the floats that only rounding, limits and views stand between, and whole numbers."""
    rounded = False
    while _keeps_order(y) and len(y.inputs) == 1 and not isinstance(y.inputs[0].result, tuple):
        rounded = rounded or (isinstance(y.op, Cast) and y.inputs[0].type.is_float)
        y = y.inputs[0]
    return y if rounded and y.type.is_float else None


def _place_before(y: Value) -> Value | None:
    """Returns the places of floats in their order that only views and conversions stand behind."""
    while not isinstance(y.result, tuple) and _keeps_order(y) and len(y.inputs) == 1:
        (y,) = y.inputs
    places = isinstance(y.op, ArgMax) or (
        isinstance(y.op, Item) and y.op.index == 1 and isinstance(y.inputs[0].op, TopK)
    )
    return y if places and _order(y)[1].type.is_float else None


def _order(place: Value) -> tuple[ArgMax | TopK, Value]:
    """Returns what finds places, and in what."""
    found = place if isinstance(place.op, ArgMax) else place.inputs[0]
    return of_kind(found.op, ArgMax, TopK), found.inputs[0]


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
