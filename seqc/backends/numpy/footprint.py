"""How much memory the calls of a program take beside the arrays that they work on: an estimate, which is quick."""

from __future__ import annotations

import gc
import sys
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from seqc.graph.ir import Op, Value

# Of so many things in a row that are much alike, as the steps of a recurrent layer are, some are looked at.
ROW, SOME = 24, 8
# What an array takes that shows memory of the arena, with its shape and strides.
VIEW = 144
# What programs share.
SHARED = (
    type,
    ModuleType,
    CodeType,
    BuiltinFunctionType,
    np.ufunc,
    np.dtype,
    str,
    bytes,
    int,
    float,
    type(None),
    Op,
    Value,
)


def footprint(root: Any) -> int:
    """Returns about how many bytes something takes, with all that it refers to and without the data of arrays."""
    total = 0.0
    seen: set[int] = set()
    waiting: list[tuple[Any, float]] = [(root, 1.0)]
    while waiting:
        each, weight = waiting.pop()
        if id(each) in seen or isinstance(each, SHARED):
            continue
        seen.add(id(each))
        if isinstance(each, np.ndarray):
            total += weight * VIEW
            continue
        total += weight * sys.getsizeof(each)
        if isinstance(each, FunctionType):  # not its globals
            waiting += ((cell, weight) for cell in each.__closure__ or ())
        elif isinstance(each, list | tuple) and len(each) > ROW:
            step = len(each) // SOME
            waiting += ((one, weight * len(each) / SOME) for one in each[: step * SOME : step])
        else:
            waiting += ((one, weight) for one in gc.get_referents(each))
    return int(total)
