"""Element-wise operations: along long runs of memory, in place of results."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from seqc.backends.numpy.kernels import Call, Scratch, kernel
from seqc.ir import Array
from seqc.ops.arithmetic import Add, Div, Mul, Sub
from seqc.ops.linalg import Gemm, MatMul

# A loop over fewer numbers than this costs more to start than to run.
SHORT = 512


@kernel(Div)
def divide(op: Div, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """Division of floating-point numbers."""
    if not np.issubdtype(xs[0].dtype, np.floating):
        return None
    return partial(np.divide, *xs, outs[0])


@kernel(Add, Sub, Mul)
def with_vector(op: Any, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """A large array with a short vector along its last axis, which is repeated so that loops are long."""
    a, b = xs
    out = outs[0]
    assert out is not None
    spread = _spread(a, b, out, scratch)
    if spread is None:
        return None
    rows, repeated, copied, result = spread
    return _in_turn(partial(np.copyto, copied, b), partial(type(op).function, rows, repeated, result))


def _in_turn(*calls: Call) -> Call:
    def run() -> None:
        for call in calls:
            call()

    return run


def _spread(a: Array, b: Array, out: Array, scratch: Scratch) -> tuple[Array, Array, Array, Array] | None:
    """Returns a as longer rows, the vector b repeated to their length, where to copy b to for that, and out alike."""
    size = b.size
    if b.ndim == 0 or size >= SHORT or size < 2 or b.shape[-1] != size or a.shape != out.shape or a.shape[-1] != size:
        return None
    if not (a.flags.c_contiguous and out.flags.c_contiguous):
        return None
    rows = a.size // size
    times = next((n for n in range(min(rows, SHORT * 2 // size), 1, -1) if rows % n == 0), 1)
    if times * size < SHORT // 2:
        return None
    repeated = scratch((times, size), b.dtype)
    shape = (-1, times * size)
    return a.reshape(shape), repeated.reshape(-1), repeated, out.reshape(shape)


@kernel(MatMul)
def product(op: MatMul, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """A matrix product, as one large one where only the first operand has more than two axes."""
    a, b = xs
    out = outs[0]
    assert out is not None
    if a.ndim > 2 and b.ndim == 2 and out.flags.c_contiguous:
        if not a.flags.c_contiguous:
            rows = scratch(a.shape, a.dtype)
            flat = partial(np.matmul, rows.reshape(-1, a.shape[-1]), b, out.reshape(-1, out.shape[-1]))
            return _in_turn(partial(np.copyto, rows, a), flat)
        a, out = a.reshape(-1, a.shape[-1]), out.reshape(-1, out.shape[-1])
    return partial(np.matmul, a, b, out)


@kernel(Gemm)
def product_and_sum(op: Gemm, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """A matrix product plus a bias."""
    a, b, bias = xs
    out = outs[0]
    assert out is not None
    return _in_turn(partial(np.matmul, a, b, out), partial(np.add, out, bias, out))
