"""The numbers of values that depend on no input: what a layer called on an array, or a constant, comes to."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from seqc.errors import TraceError
from seqc.graph.element_types import HALVES
from seqc.graph.ir import Array, Input, Type, Value, walk


def evaluate_eagerly(value: Value) -> Array:
    """Computes a value that depends on constants only.

    Raises:
        TraceError: it depends on a graph input, whose array is not known yet.
    """
    known: dict[Value, Any] = {}
    with np.errstate(all="ignore"):  # what is not a number shows in the result
        for v in walk([value]):
            if isinstance(v.op, Input):
                raise _not_known(value, v, v.op)
            known[v] = _evaluated(v, [known[x] if v.op.bits else _widened(x, known[x]) for x in v.inputs])
    return cast(Array, known[value])


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
    return not any(isinstance(v.op, Input) or v.op.symbolic for v in walk([value]))


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
