"""Kernels of products, and of arrays with a vector, against `eval`."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from kit.kernel_checks import DTYPES, check_kernel, strided
from seqc.ops.arithmetic import Add, Div, Mul, Sub
from seqc.ops.linalg import Gemm, MatMul

SIDES = st.sampled_from([1, 2, 3, 7])


@example((), (5, 1, 4), "float32", False, True, 0)  # a column and a row, as a batch of one sample has them
@given(
    st.lists(SIDES, max_size=2).map(tuple),
    st.tuples(SIDES, SIDES, SIDES),
    DTYPES,
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**16),
)
def test_products(
    ahead: tuple[int, ...], sides: tuple[int, int, int], dtype: str, gaps: bool, turned: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows, inner, columns = sides
    bias = rng.normal(size=columns).astype(dtype)

    def operands() -> list[Any]:
        b = rng.normal(size=(columns, inner)).astype(dtype).T if turned else rng.normal(size=(inner, columns))
        a = rng.normal(size=(*ahead, rows, inner)).astype(dtype)
        return [strided(a) if gaps else a, b.astype(dtype, order="K", copy=False)]

    check_kernel(MatMul(), operands(), operands(), tolerance=8)
    if not ahead:
        check_kernel(Gemm(), [*operands(), bias], [*operands(), 2 * bias], tolerance=8)


@given(
    st.lists(SIDES, min_size=1, max_size=3).map(tuple),
    st.sampled_from([Add(), Sub(), Mul(), Div()]),
    DTYPES,
    st.integers(0, 2**16),
)
def test_an_array_with_a_vector(ahead: tuple[int, ...], op: Any, dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # The kernel of sums takes vectors of 2 to 511 numbers that are repeated four times or more, and leaves the rest.
    shape = (4, *ahead, 5)
    a, more = (rng.normal(size=shape).astype(dtype) for _ in range(2))
    b = rng.uniform(1.0, 2.0, size=5).astype(dtype)
    check_kernel(op, [a, b], [more, 2 * b])
