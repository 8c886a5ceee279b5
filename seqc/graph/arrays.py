"""What becomes an array of numbers where an operation is given something that is no value."""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqc.errors import DTypeError
from seqc.graph.scopes import current_scope


def as_array(x: Any, dtype: str | None = None) -> NDArray[Any]:
    """Returns `x` as an array; Python floats become float32 and ints int32 unless `dtype` says otherwise.

    Raises:
        DTypeError: `x` is no number and no array of numbers. NumPy would make None a NaN, and text a number.
    """
    try:
        array = np.asarray(x)
    except ValueError as error:  # rows of different lengths
        raise DTypeError(_not_numbers(f"{reprlib.repr(x)}, which is no array: {error}")) from None
    if not is_numeric(array):
        raise DTypeError(_not_numbers(_described(x, array)))
    if dtype is None and not hasattr(x, "dtype"):
        dtype = {"float64": "float32", "int64": "int32"}.get(array.dtype.name)
    return array if dtype is None else array.astype(dtype, copy=False)


def is_numeric(array: NDArray[Any]) -> bool:
    """Tells whether an array holds numbers or booleans."""
    return array.dtype.kind in "biuf" or array.dtype.name == "bfloat16"


def _described(x: Any, array: NDArray[Any]) -> str:
    if x is None:
        return "None. Where it is a size that is not known yet, use seqc.ops.shape(x)[axis] instead of x.shape[axis]"
    kind = f"an array of dtype {array.dtype}" if isinstance(x, np.ndarray) else type(x).__name__
    return f"{reprlib.repr(x)} ({kind})"


def _not_numbers(got: str) -> str:
    where = f"In layer '{current_scope()}': " if current_scope() else ""
    return f"{where}An operand must be a number or an array of numbers; got {got}."
