"""Element-wise operations: along long runs of memory, in place of results."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from seqc.backends.numpy import machine
from seqc.backends.numpy.kernels import Call, Scratch, in_turn, kernel
from seqc.backends.numpy.kernels._common import Repeated, contiguous
from seqc.graph.ir import Array
from seqc.ops.arithmetic import Add, Div, Mul, Sub
from seqc.ops.linalg import Gemm, MatMul
from seqc.sure import present


@kernel(Div)
def divide(op: Div, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """Division of floating-point numbers."""
    if not np.issubdtype(xs[0].dtype, np.floating):
        return None
    return partial(np.divide, *xs, outs[0])


@kernel(Add, Sub, Mul)
def with_vector(op: Any, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """A large array with a short vector along its last axis, which is repeated so that loops are long."""
    (a, b), out = xs, outs[0]
    if out is None or not 1 < b.size < machine.SHORT_LOOP or b.size != b.shape[-1] or a.shape != out.shape:
        return None
    if a.shape[-1] != b.size or a.size < 4 * b.size or not contiguous(a, out):
        return None
    vector = Repeated(a, a.ndim - 1, scratch)
    write = partial(np.copyto, vector.vector, b.reshape(-1))
    return in_turn(write, vector.expand, partial(type(op).function, vector.view(a), vector.wide, out=vector.view(out)))


@kernel(MatMul)
def product(op: MatMul, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """A matrix product, as one large one where only the first operand has more than two axes."""
    a, b = xs
    out = present(outs[0])
    if a.ndim > 2 and b.ndim == 2 and out.flags.c_contiguous:
        if not a.flags.c_contiguous:
            rows = scratch(a.shape, a.dtype)
            flat = _multiply(rows.reshape(-1, a.shape[-1]), b, out.reshape(-1, out.shape[-1]))
            return in_turn(partial(np.copyto, rows, a), flat)
        a, out = a.reshape(-1, a.shape[-1]), out.reshape(-1, out.shape[-1])
    return _multiply(a, b, out)


@kernel(Gemm)
def product_and_sum(op: Gemm, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """A matrix product plus a bias."""
    a, b, bias = xs
    out = present(outs[0])
    return in_turn(_multiply(a, b, out), partial(np.add, out, bias, out))


def _multiply(a: Array, b: Array, out: Array) -> Call:
    """Returns a call for a matrix product; of a column and a row NumPy's own takes four times as long."""
    alone = a.ndim == b.ndim == 2 and a.shape[1] == 1
    return partial(np.multiply if alone else np.matmul, a, b, out)
