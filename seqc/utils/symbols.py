"""Questions about tensors and element types."""

from __future__ import annotations

from typing import Any

from seqc.graph.ir import Value
from seqc.layers.calls import is_symbolic
from seqc.ops._common import dtype_name


def is_keras_tensor(x: Any) -> bool:
    """Tells whether x is a symbol, of which functional models are made."""
    return isinstance(x, Value) and is_symbolic(x)


def standardize_dtype(dtype: Any) -> str:
    """Returns the name of an element type; None means float32, Python's int int32.

    Raises:
        DTypeError: there is no such type.
    """
    if dtype is None:
        return "float32"
    return {"int": "int32", "float": "float32"}.get(str(dtype)) or dtype_name(dtype)
