"""Tensors made from numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.errors import ConfigError
from seqc.graph.dims import Sym
from seqc.graph.ir import Array, Constant, Input, Value, apply, as_value, constant, walk
from seqc.graph.strings import STRING, is_text
from seqc.ops._common import as_tensor, check_unused, dtype_name
from seqc.ops.arithmetic import subtract
from seqc.ops.elementwise import Identity, cast, equal, less_equal
from seqc.ops.shape import expand_dims
from seqc.ops.sizes import Range, Size, apply_sized, as_size, as_sizes, broadcast_sizes


def convert_to_tensor(x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None) -> Value:
    """Returns x as a tensor, of another element type if one is given. It is neither sparse nor ragged."""
    check_unused("convert_to_tensor", sparse=sparse, ragged=ragged)
    return as_tensor(x) if dtype is None or (dtype == STRING and is_text(x)) else cast(x, dtype)


def convert_to_numpy(x: Any) -> Array:
    """Returns the numbers of a tensor that depends on no input of a graph."""
    return convert_to_tensor(x).numpy()


def is_tensor(x: Any) -> bool:
    """Returns whether x is a tensor of a graph."""
    return isinstance(x, Value)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Value:
    """Returns a tensor of a shape, filled with one number (float32 by default).

    Args:
        shape: sizes as numbers or as `ops.shape` gives them.
        fill_value: a number, or a tensor that is broadcast to the shape.
        dtype: of the result.
    """
    sizes = as_sizes(shape, "full")
    fill = cast(fill_value, float_unless(dtype))
    numbers = [d for d in sizes if isinstance(d, int)]
    if len(numbers) == len(sizes) and not fill.inputs and isinstance(fill.op, Constant):
        return constant(np.array(np.broadcast_to(fill.op.array, numbers)))
    return broadcast_sizes(fill, sizes)


def zeros(shape: Any, dtype: Any = None) -> Value:
    """Returns zeros of a shape whose sizes are numbers or come from `ops.shape` (float32 by default)."""
    return full(shape, 0, dtype)


def ones(shape: Any, dtype: Any = None) -> Value:
    """Returns ones of a shape whose sizes are numbers or come from `ops.shape` (float32 by default)."""
    return full(shape, 1, dtype)


def empty(shape: Any, dtype: Any = None) -> Value:
    """Returns a tensor of a shape whose numbers mean nothing: zeros here (float32 by default)."""
    return zeros(shape, dtype)


def array(x: Any, dtype: Any = None) -> Value:
    """Returns x as a tensor, of another element type if one is given."""
    return convert_to_tensor(x, dtype)


def copy(x: Any) -> Value:
    """Returns x as a tensor of its own."""
    return apply(Identity(), as_tensor(x))


def dtype(x: Any) -> str:
    """Returns the name of the element type of x."""
    return as_value(x).dtype


def ndim(x: Any) -> int:
    """Returns how many axes x has."""
    return as_value(x).type.rank


def eye(N: int | Value, M: int | Value | None = None, k: int = 0, dtype: Any = None) -> Value:
    """Returns N rows and M columns (N by default) with ones on the diagonal k places right of the main one."""
    rows, columns = _sides(N, M, "eye")
    if isinstance(rows, int) and isinstance(columns, int):
        return constant(np.eye(rows, columns, k, dtype=float_unless(dtype)))
    return cast(equal(diagonals(rows, columns), k), float_unless(dtype))


def identity(n: int | Value, dtype: Any = None) -> Value:
    """Returns the identity matrix of n rows."""
    return eye(n, dtype=dtype)


def tri(N: int | Value, M: int | Value | None = None, k: int = 0, dtype: Any = None) -> Value:
    """Returns N rows and M columns (N by default) with ones on and below the diagonal k places right of the main."""
    rows, columns = _sides(N, M, "tri")
    if isinstance(rows, int) and isinstance(columns, int):
        return constant(np.tri(rows, columns, k, dtype=float_unless(dtype)))
    return cast(less_equal(diagonals(rows, columns), k), float_unless(dtype))


def _sides(rows: Any, columns: Any, who: str) -> tuple[Size, Size]:
    n = as_size(rows, who)
    return n, n if columns is None else as_size(columns, who)


def diagonals(rows: Size, columns: Size) -> Value:
    """Returns a matrix that tells of each place on which diagonal it is, counted to the right from the main one."""
    return subtract(expand_dims(arange(columns), 0), expand_dims(arange(rows), 1))


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Value:
    """Returns start, start + step, ... before stop; from 0 where only one number is given.

    int32 by default, float32 where a number is a float. Start and stop may be sizes as `ops.shape` gives them.
    """
    first, last, step = (0, start, step) if stop is None else (start, stop, step)
    step = 1 if step is None else step
    given = [v for v in (first, last, step) if isinstance(v, Value)]
    kind = (
        dtype_name(dtype)
        if dtype is not None
        else "float32"
        if any(_is_float(v) for v in (first, last, step))
        else "int32"
    )
    if not any(isinstance(v.type.size, Sym) for v in given):
        numbers = np.arange(*(_number(v) for v in (first, last, step)))
        return constant(numbers.astype(kind))
    limits = [as_size(int(v) if isinstance(v, float) and v.is_integer() else v, "arange") for v in (first, last, step)]
    if not isinstance(limits[2], int) or not limits[2]:
        raise ConfigError(f"arange up to a size that is not known yet needs a whole number as step; got {step}.")
    return cast(apply_sized(Range(limits[2]), [], limits[:2]), kind)


def _number(x: Any) -> Any:
    """Returns a number, also where it is given as a tensor that is known already."""
    if not isinstance(x, Value):
        return x
    return as_size(x, "arange") if any(isinstance(v.op, Input) for v in walk([x])) else x.numpy().item()


def _is_float(x: Any) -> bool:
    return x.type.is_float if isinstance(x, Value) else isinstance(x, float | np.floating)


def float_unless(dtype: Any) -> str:
    """Returns the name of an element type, float32 where none is given."""
    return "float32" if dtype is None else dtype_name(dtype)
