"""Normalization in few passes: what is the same for all samples is worked out on vectors first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from seqc.backends.numpy.kernels import Call, Scratch, kernel
from seqc.backends.numpy.kernels._common import Repeated, contiguous, filled
from seqc.graph.ir import Array
from seqc.ops.normalization import BatchMoments, BatchNormalization, GradientSums, LayerNormalization
from seqc.sure import present


@kernel(BatchNormalization)
def bind_batch_normalization(
    op: BatchNormalization, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch
) -> Call | None:
    """Gives x f + (offset - mean f) with f = scale / sqrt(variance + epsilon), one f per channel."""
    (out,), (x, scale, offset, mean, variance) = outs, xs
    if out is None or not contiguous(x, out):
        return None
    factor, shift = (Repeated(x, op.axis, scratch) for _ in range(2))
    rows, result, epsilon = factor.view(x), factor.view(out), out.dtype.type(op.epsilon)

    def run() -> None:
        np.add(variance, epsilon, out=factor.vector)
        np.sqrt(factor.vector, out=factor.vector)
        np.divide(scale, factor.vector, out=factor.vector)
        np.multiply(mean, factor.vector, out=shift.vector)
        np.subtract(offset, shift.vector, out=shift.vector)
        factor.expand()
        shift.expand()
        np.multiply(rows, factor.wide, out=result)
        np.add(result, shift.wide, out=result)

    return run


@kernel(BatchMoments)
def bind_batch_moments(
    op: BatchMoments, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch
) -> Call | None:
    """Writes mean and variance; with a single result, of shape (2, channels), what `partial` returns."""
    (x,) = xs
    if not _channels_last(op.axis, x):
        return None
    count = x.dtype.type(op.part_size(x))
    if len(outs) == 1:
        out = present(outs[0])
        return _bind_distances(x, count, out[0], out[1], scratch)
    total, distances = (scratch((x.shape[-1],), x.dtype) for _ in range(2))
    collect = _bind_distances(x, count, total, distances, scratch)
    mean, variance = outs

    def run() -> None:
        collect()
        if mean is not None:
            np.divide(total, count, out=mean)
        if variance is not None:
            np.divide(distances, count, out=variance)

    return run


@kernel(GradientSums)
def bind_gradient_sums(
    op: GradientSums, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch
) -> Call | None:
    """The sums over each channel of g, and of g (x - mean)."""
    (total, moment), (g, x, mean) = outs, xs
    if not (_channels_last(op.axis, x) and _channels_last(op.axis, g)):
        return None
    sum_g = None if total is None else _bind_column_sums(g, total)
    centered = scratch(x.shape, x.dtype)
    shift = Repeated(x, op.axis, scratch)
    rows, result = shift.view(x), shift.view(centered)
    sum_products = None if moment is None else _bind_column_sums(centered, moment)

    def run() -> None:
        if sum_g is not None:
            sum_g()
        if sum_products is not None:
            np.copyto(shift.vector, mean)
            shift.expand()
            np.subtract(rows, shift.wide, out=result)
            np.multiply(centered, g, out=centered)
            sum_products()

    return run


@kernel(LayerNormalization)
def bind_layer_normalization(
    op: LayerNormalization, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch
) -> Call | None:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, sums as products with a column of 1 / width."""
    (out,), (x, scale, offset) = outs, xs
    if out is None or not contiguous(x, out, scale, offset) or x.dtype not in (np.float32, np.float64):
        return None
    width = math.prod(x.shape[op.axis :])
    rows, result, squares = x.reshape(-1, width), out.reshape(-1, width), scratch((x.size // width, width), x.dtype)
    means = scratch((len(rows), 1), x.dtype)
    average = filled(width, 1 / width, x.dtype).reshape(-1, 1)
    factor, shift, epsilon = scale.reshape(-1), offset.reshape(-1), x.dtype.type(op.epsilon)

    def run() -> None:
        np.matmul(rows, average, out=means)
        np.subtract(rows, means, out=result)
        np.multiply(result, result, out=squares)
        np.matmul(squares, average, out=means)
        np.add(means, epsilon, out=means)
        np.sqrt(means, out=means)
        np.divide(result, means, out=result)
        np.multiply(result, factor, out=result)
        np.add(result, shift, out=result)

    return run


def _channels_last(axis: int, x: Array) -> bool:
    return axis == x.ndim - 1 and x.size > 0 and contiguous(x) and x.dtype in (np.float32, np.float64)


def _bind_column_sums(x: Array, out: Array) -> Callable[[], Any]:
    rows = x.reshape(-1, x.shape[-1])
    return partial(np.matmul, filled(len(rows), 1, x.dtype), rows, out=out)


def _bind_distances(x: Array, count: Any, total: Array, distances: Array, scratch: Scratch) -> Call:
    """Returns a function that writes sums, and sums of squared distances from the mean."""
    add_up, shift = _bind_column_sums(x, total), Repeated(x, x.ndim - 1, scratch)
    centered = scratch(x.shape, x.dtype)
    add_squares = _bind_column_sums(centered, distances)
    rows, result = shift.view(x), shift.view(centered)

    def run() -> None:
        add_up()
        np.divide(total, count, out=shift.vector)
        shift.expand()
        np.subtract(rows, shift.wide, out=result)
        np.multiply(centered, centered, out=centered)
        add_squares()

    return run
