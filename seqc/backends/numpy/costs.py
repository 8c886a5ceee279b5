"""Roughly how long an operation takes: enough to tell whether a second thread is worth waking."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seqc.backends.numpy.cut import VIEWS, shape_of
from seqc.ir import Item, Value
from seqc.ops.conv import ConvInputGrad
from seqc.ops.linalg import Gemm, MatMul

# Of one core, on a machine of some years' age.
SECONDS_PER_PRODUCT = 1 / 80e9
SECONDS_PER_ELEMENT = 0.3e-9
SECONDS_PER_CALL = 0.7e-6
# To wake a thread and wait for it, and what handing the interpreter back and forth costs on the way.
SECONDS_PER_MEETING = 60e-6


def seconds_of(v: Value, sizes: Mapping[str, int]) -> float:
    """Returns the seconds that an operation takes on one core, for axes of the given sizes."""
    if isinstance(v.op, (*VIEWS, Item)):
        return 0.0
    results = v.result if isinstance(v.result, tuple) else (v.result,)
    operands = [shape_of(x.type, sizes) for x in v.inputs if not isinstance(x.result, tuple)]
    elements = sum(int(np.prod(shape_of(t, sizes))) for t in results) + sum(int(np.prod(s)) for s in operands)
    seconds = SECONDS_PER_CALL + SECONDS_PER_ELEMENT * elements
    if isinstance(v.op, MatMul | Gemm):
        seconds += 2 * SECONDS_PER_PRODUCT * int(np.prod(shape_of(results[0], sizes))) * operands[0][-1]
    if isinstance(v.op, ConvInputGrad):
        seconds += 2 * SECONDS_PER_PRODUCT * int(np.prod(operands[0][:-1])) * int(np.prod(operands[1]))
    if len(results) > 3:  # a recurrent layer and its gradient
        seconds += 4 * SECONDS_PER_PRODUCT * operands[0][0] * operands[0][1] * int(np.prod(operands[2]))
    return seconds


def worth_sharing(seconds: float, lanes: int) -> bool:
    """Tells whether threads finish such work earlier than one alone."""
    return lanes > 1 and seconds * (1 - 1 / lanes) > SECONDS_PER_MEETING
