"""What Keras keeps in `keras.backend`: settings, questions about element types, and old functions of tensors."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from seqc.config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from seqc.graph.element_types import FLOATS
from seqc.ops._common import promote
from seqc.utils.absent import absent, refuse
from seqc.utils.naming import clear_session
from seqc.utils.symbols import is_keras_tensor, standardize_dtype

__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "get_uid",
    "image_data_format",
    "is_float_dtype",
    "is_int_dtype",
    "is_keras_tensor",
    "result_type",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "standardize_dtype",
]

_uids: defaultdict[str, int] = defaultdict(int)


def get_uid(prefix: str = "") -> int:
    """Returns how often it was asked with this prefix: 1 the first time."""
    _uids[prefix] += 1
    return _uids[prefix]


def is_float_dtype(dtype: Any) -> bool:
    """Tells whether an element type is one of floats."""
    return standardize_dtype(dtype) in FLOATS


def is_int_dtype(dtype: Any) -> bool:
    """Tells whether an element type is one of integers, with or without a sign."""
    return standardize_dtype(dtype).lstrip("u").startswith("int")


def result_type(*dtypes: Any) -> str:
    """Returns the element type in which operands of these types meet; float32 where there are none.

    Args:
        dtypes: names of types, or anything of NumPy's.
    """
    return promote(standardize_dtype(dtype) for dtype in dtypes) if dtypes else "float32"


_absent = absent(__name__, __all__, "Functions on tensors are in seqc.ops, under NumPy's names.")


def __getattr__(name: str) -> Any:
    if name[0] != "_":
        from seqc import _old_backend, ops

        if name in _old_backend.OWN:
            return getattr(_old_backend, name)
        if name in _old_backend.SAME:
            return getattr(ops, name)
        if name in ops.__all__:
            refuse(__name__, name, f"seqc.backend has no '{name}', as Keras 3 has it no more. Take seqc.ops.{name}.")
    return _absent(name)
