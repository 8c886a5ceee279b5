"""Products up to each element."""

from __future__ import annotations

from typing import Any

from seqc.graph.ir import Value
from seqc.ops._common import as_number, normalize_axis, scalar
from seqc.ops.arithmetic import multiply
from seqc.ops.creation import tri
from seqc.ops.elementwise import cast, where
from seqc.ops.rearranging import moveaxis, ravel
from seqc.ops.reduce import prod
from seqc.ops.shape import expand_dims
from seqc.ops.sizes import size_of
from seqc.ops.slicing import concatenate, slice_axis


def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Value:
    """Returns the products up to and including each element along `axis`, or over all elements in order."""
    value = as_number(x) if dtype is None else cast(x, dtype)
    if axis is None:
        value, axis = ravel(value), 0
    at = normalize_axis("cumprod", axis, value.type.rank)
    size = value.type.shape[at]
    if not isinstance(size, int):
        return _of_all_before(value, at)
    # ONNX has sums only. Each step multiplies by what is twice as far before: W. Hillis, G. Steele, "Data parallel
    # algorithms", 1986.
    reach = 1
    while reach < size:
        before, rest = slice_axis(value, at, 0, reach), slice_axis(value, at, reach, size)
        value = concatenate([before, multiply(rest, slice_axis(value, at, 0, size - reach))], at)
        reach *= 2
    return value


def _of_all_before(x: Value, at: int) -> Value:
    """Returns the products where it is not known yet how many elements there are: each from a row of its own."""
    last = moveaxis(x, at, -1)
    size = size_of(x, at)
    rows = where(tri(size, dtype="bool"), expand_dims(last, -2), scalar(1, x))
    return moveaxis(cast(prod(rows, -1), x.dtype), -1, at)
