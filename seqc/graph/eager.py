"""The numbers of values that depend on no input: what a layer called on an array, or a constant, comes to."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from seqc.errors import TraceError
from seqc.graph.element_types import HALVES
from seqc.graph.ir import Array, Constant, Input, Type, Value, constant
from seqc.graph.scopes import trace_under_way

# How many operations in a row may be computed again. Fewer would keep more arrays of what is between results.
REPEATED = 8


def evaluate_eagerly(value: Value) -> Array:
    """Computes a value that depends on constants only.

    A constant stands for it from then on, and for what is `REPEATED` operations apart before it, so that a loop of
    Python's takes time in proportion to its steps. While a graph is traced, whose gradients may be asked for, nothing
    changes.

    Raises:
        TraceError: it depends on a graph input, whose array is not known yet.
    """
    known: dict[Value, Any] = {}
    derived: set[Value] = set()
    deep: dict[Value, int] = {}
    keeps = trace_under_way.get() is None
    with np.errstate(all="ignore"):  # what is not a number shows in the result
        for v in _not_yet_known(value):
            if isinstance(v.op, Input):
                raise _not_known(value, v, v.op)
            arrays = [_array(x) if x.known is not None else known[x] for x in v.inputs]
            known[v] = _evaluated(
                v, [a if v.op.bits else _widened(x, a) for x, a in zip(v.inputs, arrays, strict=True)]
            )
            if v.op.derived or not derived.isdisjoint(v.inputs):
                derived.add(v)
                continue
            deep[v] = 1 + max((deep.get(x, 0) for x in v.inputs), default=0)
            if keeps and (v is value or deep[v] >= REPEATED) and _keep(v, known[v]):
                deep[v] = 0
    # What was kept stays as it is, whatever is done with this.
    return cast(Array, known[value]) if value.known is None else _array(value).copy()


def _not_yet_known(value: Value) -> list[Value]:
    """Returns what there is to compute, operands before their users."""
    done: dict[Value, None] = {}
    stack = [value]
    while stack:
        v = stack[-1]
        missing = [] if v in done else [x for x in v.inputs if x.known is None and x not in done]
        if missing:
            stack += missing[::-1]
            continue
        stack.pop()
        if v.known is None:
            done[v] = None
    return list(done)


def _array(value: Value) -> Array:
    return cast(Constant, cast(Value, value.known).op).array


def _keep(value: Value, array: Any) -> bool:
    """Has a constant stand for a value, and tells whether one does."""
    if isinstance(value.result, Type) and not isinstance(value.op, Constant):
        kept = constant(array, borrowed=True)
        if kept.type == value.type:
            value.known = kept
    return value.known is not None


def _not_known(value: Value, v: Value, op: Input) -> TraceError:
    """Returns what to say of a value that depends on an input `v`."""
    if not _reads_inputs(value):
        known_as = isinstance(value.result, Type) and value.type.size is not None
        return TraceError(
            f"{f'The size {value.type.size}' if known_as else 'The size of an axis'} is not known while the "
            "graph is being built, so it cannot be a number of Python's, as in range(), int() or a condition. "
            "Use functions of seqc.ops (arange, where, slices and so on), or say the size in the model's Input."
        )
    return TraceError(
        f"This needs the numbers of '{op.label}' ({v.type}), which are not known while the graph is being "
        "built. Use seqc.ops functions instead of NumPy or Python control flow on tensors."
    )


def _evaluated(value: Value, arrays: list[Any]) -> Any:
    """Computes one operation."""
    result = value.op.eval(*arrays)
    if isinstance(value.result, tuple):
        return tuple(_as(r, t.dtype) for r, t in zip(result, value.result, strict=True))
    return _as(result, value.result.dtype)


def _widened(value: Value, array: Any) -> Any:
    """Returns half precision as float32, to which NumPy is hundreds of times quicker; `_as` rounds what comes of it."""
    return array.astype("float32") if isinstance(value.result, Type) and value.result.dtype in HALVES else array


def _as(array: Any, dtype: str) -> Any:
    return np.asarray(array, dtype) if dtype in HALVES else array


def _reads_inputs(value: Value) -> bool:
    """Tells whether a value depends on the numbers of graph inputs, and not on their shapes alone."""
    stack, seen = [value], {value}
    while stack:
        v = stack.pop()
        if isinstance(v.op, Input):
            return True
        read = [x for i, x in enumerate(v.inputs) if i not in v.op.shape_only and x not in seen]
        seen.update(read)
        stack += read
    return False


def is_known(value: Value) -> bool:
    """Tells whether the numbers of a value are known while a graph is being built."""
    return not value.awaited


def known_array(value: Value, what: str, advice: str) -> Array:
    """Returns the numbers of a value that depends on constants only.

    Args:
        value: the value. what: what depends on the numbers. advice: what to do where they are not known.

    Raises:
        TraceError: they are not known while the graph is being built.
    """
    if not is_known(value):
        raise TraceError(f"{what} depends on numbers that are not known before the model runs ({value.type}). {advice}")
    return evaluate_eagerly(value)
