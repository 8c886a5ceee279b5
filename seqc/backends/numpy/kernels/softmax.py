"""Softmax and its logarithm, in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from seqc.backends.numpy import machine
from seqc.backends.numpy.kernels import Call, Scratch, kernel
from seqc.backends.numpy.kernels._common import contiguous, filled
from seqc.graph.ir import Array
from seqc.ops.reduce import LogSoftmax, Softmax


@kernel(Softmax)
def bind_softmax(op: Softmax, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """exp(x - largest) divided by its sum."""
    (out,), (x,) = outs, xs
    if out is None:
        return None
    shift, edge = _shift_by_largest(op.axis, x, out, scratch)
    add_up = _sums(op.axis, out, edge)

    def run() -> None:
        shift()
        np.exp(out, out=out)
        add_up()
        np.divide(out, edge, out=out)

    return run


@kernel(LogSoftmax)
def bind_log_softmax(
    op: LogSoftmax, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch
) -> Call | None:
    """Gives x - largest - log(sum of exp(x - largest))."""
    (out,), (x,) = outs, xs
    if out is None:
        return None
    shift, edge = _shift_by_largest(op.axis, x, out, scratch)
    powers = scratch(out.shape, out.dtype)
    add_up = _sums(op.axis, powers, edge)

    def run() -> None:
        shift()
        np.exp(out, out=powers)
        add_up()
        np.log(edge, out=edge)
        np.subtract(out, edge, out=out)

    return run


def _shift_by_largest(axis: int, x: Array, out: Array, scratch: Scratch) -> tuple[Callable[[], Any], Array]:
    """Returns a function that writes x less its maximum to `out`, and memory with one place for each maximum."""
    edge = scratch((*x.shape[:axis], 1, *x.shape[axis + 1 :]), out.dtype)

    largest = _largest(axis, x, edge, scratch)

    def shift() -> None:
        largest()
        np.subtract(x, edge, out=out)

    return shift, edge


def _largest(axis: int, x: Array, edge: Array, scratch: Scratch) -> Callable[[], Any]:
    """Returns a function that writes the largest numbers along an axis."""
    count, classes = edge.size, x.shape[axis]
    if axis != x.ndim - 1 or classes > machine.FEW_CLASSES or count < classes or not contiguous(x, edge):
        return partial(np.maximum.reduce, x, axis=axis, keepdims=True, out=edge)
    turned, rows, found = scratch((classes, count), x.dtype), x.reshape(count, classes).T, edge.reshape(count)

    def run() -> None:
        np.copyto(turned, rows)
        np.maximum.reduce(turned, axis=0, out=found)

    return run


def _sums(axis: int, array: Array, edge: Array) -> Callable[[], Any]:
    """Returns a function that writes the sums along an axis; a product with ones is fastest along the last one."""
    if axis == array.ndim - 1 and array.ndim > 1 and contiguous(array, edge):
        rows, sums = array.reshape(-1, array.shape[-1]), edge.reshape(-1, 1)
        ones = filled(array.shape[-1], 1, array.dtype).reshape(-1, 1)
        return lambda: np.matmul(rows, ones, out=sums)
    return lambda: np.add.reduce(array, axis=axis, keepdims=True, out=edge)
