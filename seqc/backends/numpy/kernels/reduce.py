"""Sums and means, as products with ones where the layout in memory allows it: the fastest way NumPy has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from seqc.backends.numpy.kernels import Call, Scratch, in_turn, kernel
from seqc.backends.numpy.kernels._common import contiguous, filled
from seqc.graph.ir import Array
from seqc.ops.reduce import ReduceMean, ReduceSum


@kernel(ReduceSum)
def bind_sum(op: ReduceSum, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """The sum along axes."""
    (out,), (x,) = outs, xs
    return None if out is None else sums(x, op.axes, op.keepdims, out)


@kernel(ReduceMean)
def bind_mean(op: ReduceMean, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """The sum along axes, divided by how many elements it has."""
    (out,), (x,) = outs, xs
    if out is None:
        return None
    add_up, count = sums(x, op.axes, op.keepdims, out), out.dtype.type(math.prod(x.shape[a] for a in op.axes))

    def run() -> None:
        add_up()
        np.divide(out, count, out=out)

    return run


def sums(x: Array, axes: tuple[int, ...], keepdims: bool, out: Array) -> Callable[[], Any]:
    """Returns a function that adds up along sorted axes."""
    simple = x.dtype.kind == "f" and x.itemsize >= 4
    shown = [a for a in axes if x.strides[a] == 0 and x.shape[a] > 1]
    if shown and simple:  # the same numbers again and again, such as the gradient of a mean
        once = x[tuple(slice(0, 1) if a in shown else slice(None) for a in range(x.ndim))]
        times = out.dtype.type(math.prod(x.shape[a] for a in shown))
        return in_turn(sums(once, axes, keepdims, out), partial(np.multiply, out, times, out))
    consecutive = bool(axes) and axes[-1] - axes[0] == len(axes) - 1
    if not consecutive or not simple or not contiguous(x, out):
        return partial(np.add.reduce, x, axis=axes, dtype=out.dtype, keepdims=keepdims, out=out)
    before, count, after = (
        math.prod(part) for part in (x.shape[: axes[0]], x.shape[axes[0] : axes[-1] + 1], x.shape[axes[-1] + 1 :])
    )
    ones = filled(count, 1, x.dtype)
    if after == 1:
        return partial(np.matmul, x.reshape(before, count), ones, out=out.reshape(before))
    if before == 1:
        return partial(np.matmul, ones, x.reshape(count, after), out=out.reshape(after))
    return partial(np.matmul, ones, x.reshape(before, count, after), out=out.reshape(before, after))
