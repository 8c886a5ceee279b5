"""Roughly how long an operation takes: enough to tell whether a second thread is worth waking."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from seqc.backends.numpy import machine
from seqc.backends.numpy.cut import shape_of
from seqc.graph.ir import Item, Value


def seconds_of(v: Value, sizes: Mapping[str, int]) -> float:
    """Returns the seconds that an operation takes on one core, for axes of the given sizes."""
    if v.op.kind == "view" or isinstance(v.op, Item):
        return 0.0
    results = [shape_of(t, sizes) for t in (v.result if isinstance(v.result, tuple) else (v.result,))]
    operands = [shape_of(x.type, sizes) for x in v.inputs if not isinstance(x.result, tuple)]
    elements = sum(prod(shape) for shape in (*results, *operands))
    work = v.op.work(operands, results)
    return machine.SECONDS_PER_CALL + machine.SECONDS_PER_ELEMENT * elements + machine.SECONDS_PER_OPERATION * work
