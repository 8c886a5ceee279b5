"""How much memory the calls of a program take beside the arrays that they work on: an estimate, which is quick."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from functools import partial
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
            for group in _alike(each):
                step = max(len(group) // SOME, 1) if len(group) > ROW else 1
                some = group[: step * SOME : step] if step > 1 else group
                waiting += ((one, weight * len(group) / len(some)) for one in some)
        else:
            waiting += ((one, weight) for one in gc.get_referents(each))
    return int(total)


def _alike(things: Iterable[Any]) -> Iterable[list[Any]]:
    """Returns things by what they are. Among hundreds of calls a layer may be one, of thousands of calls of its own."""
    groups: dict[Any, list[Any]] = {}
    for each in things:
        kind = each.func if isinstance(each, partial) else each.__code__ if isinstance(each, FunctionType) else None
        groups.setdefault((type(each), id(kind)), []).append(each)
    return groups.values()
