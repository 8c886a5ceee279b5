"""Binding an operation to the arrays it reads and writes: a kernel, a NumPy function, or `eval` and a copy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from seqc.backends.numpy.kernels import Call, Scratch, elementwise, find_kernel
from seqc.ir import Array, Op
from seqc.ops.elementwise import Elementwise
from seqc.ops.random import RandomUniform

# Each registers its kernels.
FAMILIES = (elementwise,)


def bind(op: Op, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch, first: int = 0) -> Call:
    """Returns a function that computes `op` on the given arrays whenever it is called.

    Args:
        first: the number of the first sample among all of the batch.
    """
    found = find_kernel(type(op))
    if found is not None:
        call = found(op, outs, xs, scratch, first=first) if isinstance(op, RandomUniform) else found(op, outs, xs, scratch)
        if call is not None:
            return call
    function = ufunc_of(op)
    if function is not None:
        return partial(function, *xs, outs[0])
    if isinstance(op, RandomUniform):
        return partial(_numbers_from, op, outs, xs, first)
    return partial(_evaluate, op, outs, xs)


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
            out[...] = result


def _numbers_from(op: RandomUniform, outs: Sequence[Array | None], xs: Sequence[Array], first: int) -> None:
    out = outs[0]
    assert out is not None
    out[...] = op.eval_from(first * (out.size // max(len(out), 1)), *xs)
