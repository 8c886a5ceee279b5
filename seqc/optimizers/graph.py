"""What optimizers need beside `seqc.ops`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seqc import ops
from seqc.graph.ir import Value
from seqc.graph.tracing import Trace, Variable, current_trace, tracing


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


def limited(
    grads: list[Value], norm_of_each: float | None, norm_of_all: float | None, size: float | None
) -> list[Value]:
    """Returns gradients scaled down to the one of these limits that is set; as in Keras, 0 and less are none.

    Args:
        norm_of_each, norm_of_all: the largest norms. size: the largest absolute value of an element.
    """
    if norm_of_each is not None and norm_of_each > 0:
        return [_limit_norm(g, norm([g]), norm_of_each) for g in grads]
    if norm_of_all is not None and norm_of_all > 0:
        together = norm(grads)
        # Where the norm is no finite number, the factor is NaN and so all weights, as in Keras; 0 would hide it.
        factor = norm_of_all / ops.maximum(together, norm_of_all) + (together - together)
        return [g * factor for g in grads]
    return [ops.clip(g, -size, size) for g in grads] if size is not None and size > 0 else grads


def _limit_norm(gradient: Value, size: Value, limit: float) -> Value:
    return gradient * (limit / ops.maximum(size, limit))


def overwrite(pairs: Sequence[tuple[Variable, Variable]]) -> None:
    """Sets the first variable of each pair to what the second one is."""
    for variable, other in pairs:
        variable.assign(other.to_value())
