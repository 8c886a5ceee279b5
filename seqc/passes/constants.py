"""Computing once what depends on constants only."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.graph.ir import Constant, Graph, Item, Value, constant
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.shape import BroadcastLike
from seqc.passes._rewriting import known_array

# A result up to this many bytes is kept even where it is larger than what it came from.
_SMALL = 4096


def fold_constants(graph: Graph, _: Target) -> Graph:
    """Returns the graph with nodes over constants replaced by their results.

    Exactly: f(c) = d for constants c, where d is the array that f gives of c.

    A large result of more than twice its operands' size stays a computation: a file should not carry repeated numbers.
    """
    results: dict[Value, Any] = {}

    def evaluate(value: Value) -> Any:
        if value in results:
            return results[value]
        with np.errstate(all="ignore"):
            result = value.op.eval(*(known_array(x) for x in value.inputs))
        if isinstance(value.result, tuple):  # asked for once per item
            results[value] = result
        return result

    def rule(_: Value, value: Value) -> Value | None:
        source = value.inputs[0] if isinstance(value.op, Item) else value
        if not source.inputs or isinstance(value.result, tuple):
            return None
        if any(known_array(x) is None for x in source.inputs):
            return None
        result = evaluate(source)
        if isinstance(value.op, Item):
            result = result[value.op.index]
        array = np.asarray(result, value.type.dtype, order="C")
        if array.nbytes > _SMALL and array.nbytes > 2 * _bytes_before(source):
            return None
        # A view of an operand is as unwritten as that; what was computed here is written by nobody else.
        return constant(array, _label(source), borrowed=True)

    return rewrite(graph, rule)


def _bytes_before(value: Value) -> int:
    # The second operand of BroadcastLike gives a shape, no numbers.
    operands = value.inputs[:1] if isinstance(value.op, BroadcastLike) else value.inputs
    arrays = (known_array(x) for x in operands)
    return sum(a.nbytes for a in arrays if a is not None)


def _label(value: Value) -> str:
    """The one name among the operands: a transposed kernel is still that kernel."""
    labels = {x.op.label for x in value.inputs if isinstance(x.op, Constant) and x.op.label}
    return labels.pop() if len(labels) == 1 else ""
