"""Reductions over rows that belong together."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.errors import DTypeError, ShapeError
from seqc.graph.eager import known_array
from seqc.graph.ir import Value, apply, as_value
from seqc.ops._common import as_ids, as_number
from seqc.ops.arithmetic import add
from seqc.ops.creation import full
from seqc.ops.elementwise import cast, greater_equal, less, logical_and, where
from seqc.ops.scattering import Scatter, ScatterAdd, ScatterMax, ScatterMin, ScatterMul
from seqc.ops.shape import expand_dims, shape
from seqc.ops.sizes import Size, as_size, crop


def segment_sum(data: Any, segment_ids: Any, num_segments: Any = None, sorted: bool = False) -> Value:
    """Returns the sums of the rows that have one number; zeros for a number that no row has.

    Args:
        data: rows along the first axis. segment_ids: a number for each row; rows whose number is negative or not below
        `num_segments` count nowhere. num_segments: how many sums there are, a number or a size as `ops.shape` gives it;
        it may be left out where the numbers are known already, and is the largest plus one then.
        sorted: whether the numbers ascend; they need not.
    """
    return _reduced(ScatterAdd, 0, data, segment_ids, num_segments)


def segment_prod(data: Any, segment_ids: Any, num_segments: Any = None, sorted: bool = False) -> Value:
    """Returns the products of the rows that have one number, ones for a number that no row has; see `segment_sum`."""
    return _reduced(ScatterMul, 1, data, segment_ids, num_segments)


def segment_max(data: Any, segment_ids: Any, num_segments: Any = None, sorted: bool = False) -> Value:
    """Returns the largest elements of the rows that have one number.

    For no rows it is the smallest number there is; see `segment_sum`.
    """
    kind = np.dtype(as_value(data).dtype)
    least = -np.inf if kind.kind not in "iu" else np.iinfo(kind).min
    return _reduced(ScatterMax, least, data, segment_ids, num_segments)


def segment_min(data: Any, segment_ids: Any, num_segments: Any = None, sorted: bool = False) -> Value:
    """Returns the smallest elements of the rows that have one number.

    For no rows it is the largest number there is; see `segment_sum`.
    """
    kind = np.dtype(as_value(data).dtype)
    most = np.inf if kind.kind not in "iu" else np.iinfo(kind).max
    return _reduced(ScatterMin, most, data, segment_ids, num_segments)


def _reduced(kind: type[Scatter], start: Any, data: Any, ids: Any, num_segments: Any) -> Value:
    rows, numbers = as_number(data), as_value(ids)
    if not numbers.dtype.startswith(("int", "uint")):
        raise DTypeError(f"Segments are numbered by integers; got {numbers.type}.")
    numbers = as_ids(numbers)
    if numbers.type.rank != 1 or not rows.type.rank:
        raise ShapeError(f"Segments are numbered by one number per row; got {numbers.type} for {rows.type}.")
    count = _count(numbers, num_segments)
    # Rows that count nowhere are collected behind the others.
    inside = logical_and(greater_equal(numbers, 0), less(numbers, count))
    places = where(inside, numbers, cast(count, numbers.dtype))
    blank = full([add(count, 1) if isinstance(count, Value) else count + 1, *shape(rows)[1:]],
                 np.asarray(start, rows.dtype), rows.dtype)  # fmt: skip
    return crop(apply(kind(), blank, expand_dims(places, -1), rows), 0, 0, count)


def _count(numbers: Value, num_segments: Any) -> Size:
    if num_segments is not None:
        return as_size(num_segments, "num_segments")
    known = known_array(numbers, "How many segments there are", "Give num_segments.")
    return int(known.max(initial=-1)) + 1
