"""The weights of interpolation, computed by the file where sizes are known only when the model runs."""

from __future__ import annotations

import numpy as np

from seqc.graph.ir import Emitter
from seqc.ops._shape_onnx import emit_sizes


def emit_keys_weights(e: Emitter, x: str, axis: int, factor: int, dtype: str) -> str:
    """Writes the matrix (factor · n, n) of Keys's bicubic interpolation (a = -0.5) for an axis of size n.

    Element r of the result lies (2r + 1 - factor · (2c + 1)) / (2 · factor) elements beside element c of x: a quotient
    of integers, so that its rounding does not grow with the size. Rows are divided by their sums, as at the borders
    only some elements are there.

    Args:
        x: a channels-first image. axis: which of its axes. factor: how many times as large it becomes. dtype: of x.
    """

    def whole(n: int) -> str:
        return e.constant(np.array(n, np.int64))

    def number(n: float) -> str:
        return e.constant(np.array(n, dtype))

    def odd_numbers(count: str) -> str:
        return e.node("Range", whole(1), e.node("Mul", count, whole(2)), whole(2))

    size = e.node("Squeeze", emit_sizes(e, x, start=axis, end=axis + 1))
    large, small = odd_numbers(e.node("Mul", size, whole(factor))), odd_numbers(size)
    # A sum with one column and one row of numbers has all of them.
    column = e.node("Unsqueeze", large, e.constant(np.array([1], np.int64)))
    apart = e.node("Abs", e.node("Sub", column, e.node("Mul", small, whole(factor))))
    d = e.node("Div", e.node("Cast", apart, to=dtype), number(2 * factor))
    near = _emit_polynomial(e, d, dtype, (1.5, -2.5, 0.0, 1.0))
    far = _emit_polynomial(e, d, dtype, (-0.5, 2.5, -4.0, 2.0))
    beyond = e.node("Where", e.node("Less", d, number(2)), far, number(0))
    found = e.node("Where", e.node("Less", d, number(1)), near, beyond)
    total = e.node("ReduceSum", found, e.constant(np.array([1], np.int64)), keepdims=1)
    return e.node("Div", found, total)


def _emit_polynomial(e: Emitter, x: str, dtype: str, coefficients: tuple[float, ...]) -> str:
    """Writes a polynomial by Horner's rule, the highest power first."""
    first, *rest = (e.constant(np.array(c, dtype)) for c in coefficients)
    found = first
    for coefficient in rest:
        found = e.node("Add", e.node("Mul", found, x), coefficient)
    return found
