"""Binding an operation to the arrays it reads and writes: a kernel, a NumPy function, or `eval` and a copy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from seqc.backends.numpy.kernels import (
    Call,
    Scratch,
    activations,
    convolution,
    elementwise,
    find_kernel,
    gather,
    normalization,
    pool,
    random,
    recurrent,
    recurrent_grad,
    reduce,
    softmax,
)
from seqc.errors import ShapeError
from seqc.graph.ir import Array, Op
from seqc.ops._parts import Merged, Positional
from seqc.ops.elementwise import Elementwise
from seqc.sure import present

# Each registers its kernels.
FAMILIES = (
    activations,
    convolution,
    elementwise,
    gather,
    normalization,
    pool,
    random,
    recurrent,
    recurrent_grad,
    reduce,
    softmax,
)


def select_kernel(op: Op, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch, offset: int = 0) -> Call:
    """Returns a function that computes `op` on the given arrays whenever it is called.

    Args:
        offset: the position of the first element of the result in that of the whole batch.
    """
    found = find_kernel(type(op))
    if found is not None:
        placed = {"first": offset} if isinstance(op, Positional) else {}
        call = found(op, outs, xs, scratch, **placed)
        if call is not None:
            return call
    function = ufunc_of(op)
    if function is not None:
        out = present(outs[0])
        _check_shape(op, np.broadcast_shapes(*(x.shape for x in xs)), out)
        return partial(function, *xs, out=out)
    if isinstance(op, Positional):
        return partial(_numbers_from, op, outs, xs, offset)
    return partial(_evaluate, op, outs, xs)


def select_partial_kernel(op: Merged, part: Array, xs: Sequence[Array], scratch: Scratch) -> Call:
    """Returns a function that computes what is kept of some samples of `op` whenever it is called."""
    found = find_kernel(type(op))
    call = None if found is None else found(op, [part], xs, scratch)
    return call or partial(_take_part, op, part, xs)


def ufunc_of(op: Op) -> Any:
    """Returns NumPy's own function for an element-wise operation, which can write over its operands; or None."""
    function = getattr(type(op), "function", None)
    if isinstance(op, Elementwise) and isinstance(function, np.ufunc) and "eval" not in vars(type(op)):
        return function
    return None


def _evaluate(op: Op, outs: Sequence[Array | None], xs: Sequence[Array]) -> None:
    results = op.eval(*xs)
    for out, result in zip(outs, results if isinstance(results, tuple) else (results,), strict=True):
        if out is not None:
            _check_shape(op, np.shape(result), out)
            out[...] = result


def _check_shape(op: Op, shape: tuple[int, ...], out: Array) -> None:
    """Checks that a result is as large as its place: NumPy would repeat what is smaller."""
    if shape != out.shape:
        raise ShapeError(f"{op!r} gives {shape}, where its operands were said to give {out.shape}.")


def _take_part(op: Merged, part: Array, xs: Sequence[Array]) -> None:
    part[...] = op.partial(*xs)


def _numbers_from(op: Positional, outs: Sequence[Array | None], xs: Sequence[Array], offset: int) -> None:
    present(outs[0])[...] = op.eval_from(offset, *xs)
