"""The batch: the axis along which the samples of a tensor lie."""

from __future__ import annotations

from seqc.graph import dims
from seqc.graph.ir import Type

# The name of the batch's size.
BATCH = "batch"


def batch_axis(t: Type) -> int | None:
    """Returns the axis along which a tensor's samples lie, the first that depends on the batch; None for none."""
    return next((i for i, d in enumerate(t.shape) if BATCH in dims.names(d)), None)
