"""Functions made of reductions: spread, norms, and questions about whole tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from seqc.epsilon import EPSILON
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.ops._common import as_float, as_number, check_unused, listed_axes, normalize_axis, scalar
from seqc.ops.arithmetic import absolute, add, clip, divide, isfinite, maximum, multiply, square, subtract
from seqc.ops.elementwise import cast, greater, logical_not, not_equal, stop_gradient, where
from seqc.ops.linalg import matmul
from seqc.ops.rearranging import diff, moveaxis
from seqc.ops.reduce import Axis, is_empty, max, mean, min, sum
from seqc.ops.shape import expand_dims, ones_like, squeeze, transpose
from seqc.ops.slicing import slice_axis
from seqc.ops.transcendental import exp, log, power, sqrt


def var(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the (biased) variance along `axis`."""
    value = as_float(x)
    return mean(square(subtract(value, mean(value, axis, True))), axis, keepdims)


def std(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the (biased) standard deviation along `axis`."""
    return sqrt(var(x, axis, keepdims))


def moments(x: Any, axes: Axis, keepdims: bool = False, synchronized: bool = False) -> tuple[Value, Value]:
    """Returns mean and biased variance along `axes`. `synchronized` can only be false: there is one replica.

    Of float16 they end at its largest number, as Keras's do.
    """
    check_unused("moments", synchronized=synchronized)
    value = as_float(x)
    if value.dtype != "float16":
        return mean(value, axes, keepdims), var(value, axes, keepdims)
    most = float(np.finfo(np.float16).max)
    found = (f(cast(value, "float32"), axes, keepdims) for f in (mean, var))
    average, spread = (cast(clip(y, -most, most), value.dtype) for y in found)
    return average, spread


def average(x: Any, axis: Axis = None, weights: Any = None) -> Value:
    """Returns the mean along `axis`, weighted by a tensor that broadcasts with x, or by a vector that lies along it."""
    value = as_float(x)
    if weights is None:
        return mean(value, axis)
    weights = as_value(weights)
    if weights.type.rank == 1 and isinstance(axis, int | np.integer):
        weights = _along(weights, normalize_axis("average", axis, value.type.rank), value.type.rank)
    return divide(sum(multiply(value, weights), axis), sum(multiply(ones_like(value), weights), axis))


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns where at least one element along `axis` is true."""
    return greater(sum(cast(x, "bool"), axis, keepdims), 0)


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns where every element along `axis` is true."""
    return logical_not(any(logical_not(x), axis, keepdims))


def count_nonzero(x: Any, axis: Axis = None) -> Value:
    """Returns how many elements along `axis` differ from zero (int32)."""
    return sum(cast(x, "bool"), axis)


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns log(sum(exp(x))) along `axis`, without overflow."""
    value = as_float(x)
    if is_empty(value, axis):
        return log(sum(exp(value), axis, keepdims))
    top = stop_gradient(max(value, axis, True))
    top = where(isfinite(top), top, scalar(0, top))
    total = log(sum(exp(value - top), axis, True)) + top
    return total if keepdims else sum(total, axis)


def norm(x: Any, ord: float | str | None = None, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the norm of the vectors along `axis`, or of all elements.

    Args:
        ord: the order p of (sum |x|^p)^(1/p); infinity for the largest, -infinity for the smallest absolute value, 0
            for how many are not zero. None gives the Euclidean norm, which several axes may share.
            Of matrices, which lie along two axes: "fro" for the Euclidean norm, "nuc" for the sum of the singular
            values, 2 and -2 for the largest and smallest of them, 1 and -1 for the largest and smallest sum of absolute
            values of a column, infinity and -infinity of a row.
    """
    value = as_float(x)
    several = tuple(range(value.type.rank)) if axis is None else listed_axes(axis)
    axis = several[0] if len(several) == 1 else axis
    if ord not in (None, "fro", "euclidean") and len(several) == 2:
        return _norm_of_matrices(value, ord, several, keepdims)
    if ord in (None, "fro", "euclidean"):
        return sqrt(sum(square(value), axis, keepdims))
    vectors = isinstance(axis, int) or (axis is None and value.type.rank == 1)
    if isinstance(ord, str) or ord is None or not vectors:
        raise ConfigError(f"norm knows ord={ord!r} of vectors only, along one axis; got axis={axis!r} of {value.type}.")
    if ord == 2:
        return sqrt(sum(square(value), axis, keepdims))
    if ord == 0:
        return sum(cast(not_equal(value, 0.0), value.dtype), axis, keepdims)
    if math.isinf(ord):
        return (max if ord > 0 else min)(absolute(value), axis, keepdims)
    if ord == 1:
        return sum(absolute(value), axis, keepdims)
    return power(sum(power(absolute(value), float(ord)), axis, keepdims), 1 / ord)


def _norm_of_matrices(x: Value, ord: float | str, axes: tuple[int, ...], keepdims: bool) -> Value:
    rows, columns = (normalize_axis("norm", a, x.type.rank) for a in axes)
    kept = (rows, columns)
    if ord in ("nuc", 2, -2):
        from seqc.ops.factors import svd

        values = svd(moveaxis(x, kept, (-2, -1)), compute_uv=False)
        found = {"nuc": sum, 2: max, -2: min}[ord](values, -1)
    elif ord in (1, -1, math.inf, -math.inf):
        added, chosen = kept if abs(ord) == 1 else (columns, rows)
        sums = sum(absolute(x), added, True)
        found = squeeze((max if ord > 0 else min)(sums, chosen, True), kept)
    else:
        raise ConfigError(f"norm knows 'fro', 'nuc', 1, -1, 2, -2 and infinity as ord of matrices; got {ord!r}.")
    return expand_dims(found, kept) if keepdims else found


def normalize(x: Any, axis: Axis = -1, order: float = 2, epsilon: float | None = None) -> Value:
    """Returns x divided by its norm of the given `order` along `axis`, which counts as `epsilon` (1e-7) at least."""
    value = as_float(x)
    least = EPSILON if epsilon is None else epsilon
    if order == 2:
        # Limited before the root, whose slope at zero is infinite.
        return divide(value, sqrt(maximum(sum(square(value), axis, True), least**2)))
    return divide(value, maximum(norm(value, order, axis, True), least))


def ptp(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the distance from the smallest to the largest element along `axis`."""
    value = as_number(x)
    return subtract(max(value, axis, keepdims), min(value, axis, keepdims))


def corrcoef(x: Any) -> Value:
    """Returns Pearson's coefficients of correlation between the rows of a matrix; 1 for one row alone.

    Rows that do not vary give NaN.
    """
    value = as_float(x)
    if value.type.rank not in (1, 2):
        raise ShapeError(f"corrcoef needs a matrix, whose rows are correlated; got {value.type}.")
    if value.type.rank == 1:
        spread = var(value)
        return divide(spread, spread)
    apart = subtract(value, mean(value, -1, True))
    products = matmul(apart, transpose(apart))
    sizes = sqrt(sum(square(apart), -1, True))
    return clip(divide(divide(products, sizes), transpose(sizes)), -1.0, 1.0)


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Value:
    """Returns the integral along `axis` by the trapezoidal rule.

    Args:
        y: the numbers at the places.
        x: the places, one axis of them or as many as y has; None for places at equal distances.
        dx: the distance.
        axis: along which to integrate.
    """
    value = as_float(y)
    at = normalize_axis("trapezoid", axis, value.type.rank)
    pairs = add(slice_axis(value, at, 1, None), slice_axis(value, at, 0, -1))
    if x is None:
        return multiply(multiply(sum(pairs, at), 0.5), dx)
    places = as_float(x)
    if places.type.rank == 1:
        return multiply(sum(multiply(pairs, _along(diff(places), at, value.type.rank)), at), 0.5)
    return multiply(sum(multiply(pairs, diff(places, axis=at)), at), 0.5)


def _along(x: Value, at: int, rank: int) -> Value:
    """Returns a vector that lies along an axis of a tensor of so many."""
    return expand_dims(x, tuple(i for i in range(rank) if i != at))
