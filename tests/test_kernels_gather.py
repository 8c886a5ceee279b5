"""Kernels of looking up and adding rows against `eval`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kit.kernel_checks import DTYPES, Scratch, check_kernel, refused, strided
from seqc.backends.numpy import machine
from seqc.backends.numpy.kernels import find_kernel
from seqc.errors import ShapeError
from seqc.ops.gather import Gather, GatherGrad


@given(
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=6),
    hnp.array_shapes(min_dims=0, max_dims=3, max_side=6),
    DTYPES,
    st.sampled_from(["int32", "int64", "int8"]),
    st.booleans(),
    st.sampled_from([1, 8, 1 << 15]),
    st.integers(0, 2**16),
)
def test_rows_by_number(
    shape: tuple[int, ...], where: tuple[int, ...], dtype: str, kind: str, gaps: bool, numbered: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    table, other = rng.normal(size=shape).astype(dtype), rng.normal(size=shape).astype(dtype)
    ids, more = (np.asarray(rng.integers(-shape[0], shape[0], where), kind) for _ in range(2))
    g = rng.normal(size=(*where, *shape[1:])).astype(dtype)
    check_kernel(Gather(), [table, ids], [other, more])
    check_kernel(Gather(), [strided(table), ids], [other, more])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "NUMBERED_ELEMENTS", numbered)
        check_kernel(GatherGrad(), [g, strided(ids) if gaps else ids, table], [2 * g, more, table], tolerance=100)
        check_kernel(GatherGrad(), [strided(g), ids, table], [2 * g, more, table], tolerance=100)


def test_an_id_beyond_the_table_is_an_error() -> None:
    table, ids = np.ones((3, 2)), np.array([0, 1])
    bind = find_kernel(Gather)
    assert bind is not None
    run = bind(Gather(), [np.empty((2, 2))], [table, ids], Scratch())
    assert run is not None
    run()
    ids[0] = 3
    with pytest.raises(ShapeError, match="got values from 1 to 3"):
        run()


def test_what_is_left_to_eval() -> None:
    assert refused(GatherGrad(), [np.ones((0, 2)), np.ones(0, "int32"), np.ones((3, 2))])
    assert refused(GatherGrad(), [np.ones((2, 2), "float16"), np.ones(2, "int32"), np.ones((3, 2))])
