"""The batch: the axis along which the samples of a tensor lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqc.graph import dims

if TYPE_CHECKING:
    from seqc.graph.ir import Type, Value

# The name of the batch's size.
BATCH = "batch"


def batch_axis(t: Type) -> int | None:
    """Returns the axis along which a tensor's samples lie, the first that depends on the batch; None for none."""
    for i, d in enumerate(t.shape):
        if not isinstance(d, int) and BATCH in dims.names(d):
            return i
    return None


def samples_first(y: Value) -> bool:
    """Tells whether samples lie along the first axis, in each operand and result of an operation that has any."""
    results = y.result if isinstance(y.result, tuple) else (y.result,)
    return not any(batch_axis(t) for t in (*results, *(x.type for x in y.inputs)))
