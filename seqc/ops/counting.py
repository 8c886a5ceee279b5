"""How often numbers come, in which interval they lie, and which of them are among others."""

from __future__ import annotations

from typing import Any

from seqc.errors import ConfigError, ShapeError
from seqc.graph.eager import is_known, known_array
from seqc.graph.ir import Value, as_value
from seqc.ops._common import as_float, as_ids, as_number, as_operands, check_unused, promote
from seqc.ops.arithmetic import add, maximum, multiply, subtract
from seqc.ops.creation import arange
from seqc.ops.elementwise import cast, equal, less_equal, logical_not, where
from seqc.ops.rearranging import ravel
from seqc.ops.reduce import max, min
from seqc.ops.segments import segment_sum
from seqc.ops.shape import expand_dims, ones_like, reshape, shape, size
from seqc.ops.slicing import flip
from seqc.ops.sorting import searchsorted
from seqc.ops.spacing import linspace
from seqc.ops.statistics import any


def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Value:
    """Returns how often each whole number comes, from 0 to the largest.

    Args:
        x: integers of one axis, or rows of them, each of which is counted for itself; negative ones count as 0.
        weights: what each counts, in the shape of x; 1 by default.
        minlength: how many numbers to count at least.
        sparse: can only be false.

    Raises:
        TraceError: the numbers are not known before a model runs, and so neither is how long the result is.
    """
    check_unused("bincount", sparse=sparse)
    given = as_number(x)
    if given.type.rank not in (1, 2) or not given.dtype.startswith(("int", "uint")):
        raise ShapeError(f"bincount needs integers of one axis or two; got {given.type}.")
    ids = as_ids(given)
    advice = "Where the numbers are below n, use ops.sum(ops.one_hot(x, n), axis=0)."
    known = known_array(ids, "How long a bincount is", advice)
    length = int(known.max(initial=-1)) + 1
    length = minlength if minlength > length else length
    counted = ones_like(ids, "int32") if weights is None else as_number(weights)
    dtype = "int32" if weights is None else promote((given.dtype, counted.dtype))
    if not counted.type.is_float:  # sums may be beyond a narrow type
        counted = as_ids(counted)
    ids = maximum(ids, 0)
    if ids.type.rank == 1:
        return cast(segment_sum(counted, ids, length), dtype)
    rows = shape(ids)[0]
    starts = expand_dims(multiply(arange(rows, dtype=ids.dtype), length), 1)
    sums = segment_sum(ravel(counted), ravel(add(ids, starts)), multiply(rows, length))
    return cast(reshape(sums, (rows, length)), dtype)


def histogram(x: Any, bins: int = 10, range: tuple[float, float] | None = None) -> tuple[Value, Value]:
    """Returns how many elements lie in each of `bins` intervals of one width, and the limits of the intervals.

    Args:
        x: numbers of one axis. bins: how many intervals.
        range: where the first starts and the last ends, which the last includes; the smallest and the largest element
            by default. Elements beyond it are not counted.
    """
    if not isinstance(bins, int) or bins < 1:
        raise ConfigError(f"histogram needs a number of bins, 1 or more; got {bins!r}.")
    value = as_float(x)
    if value.type.rank != 1:
        raise ShapeError(f"histogram needs numbers of one axis; got {value.type}.")
    if range is not None and (len(range) != 2 or range[1] < range[0]):
        raise ConfigError(f"histogram needs a range (first, last); got {range!r}.")
    low, high = (min(value), max(value)) if range is None else (as_value(v, value.dtype) for v in range)
    alone = equal(low, high)
    low, high = where(alone, subtract(low, 0.5), low), where(alone, add(high, 0.5), high)
    limits = linspace(low, high, bins + 1)
    ids = subtract(searchsorted(limits, value, "right"), 1)
    ids = where(equal(value, high), bins - 1, ids)
    return segment_sum(ones_like(value), ids, bins), limits


def digitize(x: Any, bins: Any) -> Value:
    """Returns the number (int32) of the interval that each element lies in.

    Args:
        x: numbers of any shape.
        bins: the limits of the intervals, ascending or descending; interval i starts with limit i - 1 and ends before
            limit i, the other way round where they descend.
    """
    value, limits = (as_number(v) for v in as_operands(x, bins, held=True))
    if limits.type.rank != 1:
        raise ShapeError(f"digitize needs limits of one axis; got {limits.type}.")
    ascending = searchsorted(limits, value, "right")
    upwards = less_equal(limits[0], limits[-1])
    if is_known(upwards) and bool(upwards.numpy()):
        return ascending
    descending = subtract(size(limits), searchsorted(flip(limits), value, "right"))
    return cast(descending if is_known(upwards) else where(upwards, ascending, descending), "int32")


def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> Value:
    """Returns where the elements of x1 are among those of x2.

    Args:
        x1: numbers of any shape. x2: the numbers to find.
        assume_unique: whether no number comes twice; it makes no difference.
        invert: whether to return where they are not.
    """
    a, b = as_operands(x1, x2, held=True)
    found = any(equal(expand_dims(a, -1), ravel(b)), -1)
    return logical_not(found) if invert else found
