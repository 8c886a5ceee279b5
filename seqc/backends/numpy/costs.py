"""Roughly how long an operation takes: enough to tell whether a second thread is worth waking."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from seqc.backends.numpy.cut import shape_of
from seqc.graph.ir import Item, Value

# Of one core, on a machine of some years' age.
SECONDS_PER_OPERATION = 1 / 80e9
SECONDS_PER_ELEMENT = 0.3e-9
SECONDS_PER_CALL = 0.7e-6
# To wake a thread and wait for it, and what handing the interpreter back and forth costs on the way.
SECONDS_PER_BARRIER = 60e-6


def seconds_of(v: Value, sizes: Mapping[str, int]) -> float:
    """Returns the seconds that an operation takes on one core, for axes of the given sizes."""
    if v.op.kind == "view" or isinstance(v.op, Item):
        return 0.0
    results = [shape_of(t, sizes) for t in (v.result if isinstance(v.result, tuple) else (v.result,))]
    operands = [shape_of(x.type, sizes) for x in v.inputs if not isinstance(x.result, tuple)]
    elements = sum(prod(shape) for shape in (*results, *operands))
    work = v.op.work(operands, results)
    return SECONDS_PER_CALL + SECONDS_PER_ELEMENT * elements + SECONDS_PER_OPERATION * work


def worth_sharing(seconds: float, workers: int) -> bool:
    """Tells whether threads finish such work earlier than one alone."""
    return workers > 1 and seconds * (1 - 1 / workers) > SECONDS_PER_BARRIER
