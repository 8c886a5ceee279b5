"""Tensors made from numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.dims import Dim, is_known, known
from seqc.errors import ShapeError
from seqc.ir import Array, Value, as_array, as_value, constant
from seqc.ops._common import dtype_name
from seqc.ops.elementwise import cast


def convert_to_tensor(x: Any, dtype: Any = None) -> Value:
    """Returns x as a tensor, of another element type if one is given."""
    return as_value(x) if dtype is None else cast(x, dtype)


def convert_to_numpy(x: Any) -> Array:
    """Returns the numbers of a tensor that depends on no input of a graph."""
    return as_value(x).numpy()


def is_tensor(x: Any) -> bool:
    """Returns whether x is a tensor of a graph."""
    return isinstance(x, Value)


def full(shape: int | Sequence[int], fill_value: Any, dtype: Any = None) -> Value:
    """Returns a tensor of a known shape, filled with one number (float32 by default).

    Raises:
        ShapeError: a size is not known; `full_like` takes it from another tensor.
    """
    sizes: tuple[Dim, ...] = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    if not is_known(sizes):
        listed = ", ".join(map(str, sizes))
        raise ShapeError(f"A tensor of shape ({listed}) cannot be made before its sizes are known. Use full_like(x).")
    return constant(np.full(known(sizes), as_array(fill_value, _float_unless(dtype))))


def zeros(shape: int | Sequence[int], dtype: Any = None) -> Value:
    """Returns zeros of a known shape (float32 by default)."""
    return full(shape, 0, dtype)


def ones(shape: int | Sequence[int], dtype: Any = None) -> Value:
    """Returns ones of a known shape (float32 by default)."""
    return full(shape, 1, dtype)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Value:
    """Returns N rows and M columns (N by default) with ones on the diagonal k places right of the main one."""
    return constant(np.eye(N, M, k, dtype=_float_unless(dtype)))


def identity(n: int, dtype: Any = None) -> Value:
    """Returns the identity matrix of n rows."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Value:
    """Returns N rows and M columns (N by default) with ones on and below the diagonal k places right of the main."""
    return constant(np.tri(N, M, k, dtype=_float_unless(dtype)))


def arange(start: float, stop: float | None = None, step: float | None = None, dtype: Any = None) -> Value:
    """Returns start, start + step, ... before stop; from 0 where only one number is given.

    int32 by default, float32 where a number is a float.
    """
    whole = all(isinstance(v, int) for v in (start, stop, step) if v is not None)
    first, last = (0, start) if stop is None else (start, stop)
    numbers = np.arange(first, last, 1 if step is None else step)
    return constant(numbers.astype("int32" if whole and dtype is None else _float_unless(dtype)))


def linspace(start: float, stop: float, num: int = 50, endpoint: bool = True, dtype: Any = None) -> Value:
    """Returns `num` numbers evenly spaced from start to stop, which is left out where `endpoint` is false."""
    return constant(np.linspace(start, stop, num, endpoint).astype(_float_unless(dtype)))


def _float_unless(dtype: Any) -> str:
    return "float32" if dtype is None else dtype_name(dtype)
