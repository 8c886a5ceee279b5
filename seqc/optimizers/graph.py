"""What optimizers need beside `seqc.ops`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seqc import ops
from seqc.graph.ir import Value
from seqc.graph.tracing import Trace, current_trace, tracing


def where_true(condition: Value, update: Callable[[], None]) -> None:
    """Keeps what `update` assigns to variables only where a scalar condition holds; nothing branches inside a graph."""
    trace = current_trace()
    if trace is None:
        if bool(condition):
            update()
        return
    branch = Trace(trace.training, learning=trace.learning)
    branch.reads, branch.updates = trace.reads, dict(trace.updates)
    with tracing(branch):
        update()
    for variable, new in branch.updates.items():
        old = trace.updates.get(variable)
        if new is not old:
            trace.updates[variable] = ops.where(condition, new, trace.read(variable) if old is None else old)


def norm(values: Sequence[Value]) -> Value:
    """Returns the Euclidean norm of all elements of all values, a scalar."""
    squares = [ops.sum(ops.square(v)) for v in values]
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    return ops.sqrt(total)


def limit_norm(gradient: Value, size: Value, limit: float) -> Value:
    """Returns a gradient scaled down so that the norm `size` it is part of is at most `limit`."""
    return gradient * (limit / ops.maximum(size, limit))
