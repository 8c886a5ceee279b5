"""Kernels of reductions and normalization against `eval`, and the merging of moments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kit.kernel_checks import DTYPES, Scratch, check_kernel, strided
from seqc.backends.numpy.kernels import find_kernel
from seqc.ops.normalization import BatchMoments, BatchNormalization, GradientSums, LayerNormalization
from seqc.ops.reduce import ReduceMean, ReduceSum

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=7)
SEEDS = st.integers(0, 2**16)


def drawn(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    return np.asarray(rng.normal(0.5, size=shape), dtype)


@given(SHAPES, st.data(), st.booleans(), st.booleans(), SEEDS)
def test_sums_and_means(shape: tuple[int, ...], data: st.DataObject, keepdims: bool, gaps: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes = tuple(i for i in range(len(shape)) if data.draw(st.booleans())) or (len(shape) - 1,)
    dtype = data.draw(DTYPES)
    x, other = drawn(rng, shape, dtype), drawn(rng, shape, dtype)
    x = strided(x) if gaps else x
    check_kernel(ReduceSum(axes, keepdims), [x], [other], tolerance=100)
    check_kernel(ReduceMean(axes, keepdims), [x], [other], tolerance=20)
    check_kernel(ReduceSum(axes, keepdims), [rng.integers(-5, 5, shape)])
    repeated = np.broadcast_to(x[tuple(slice(data.draw(st.sampled_from([1, n]))) for n in shape)], shape)
    check_kernel(ReduceSum(axes, keepdims), [repeated], tolerance=100)
    check_kernel(ReduceMean(axes, keepdims), [repeated], tolerance=20)


@given(SHAPES, DTYPES, st.data(), SEEDS)
def test_batch_normalization(shape: tuple[int, ...], dtype: str, data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(0, len(shape) - 1))
    vectors = [drawn(rng, (shape[axis],), dtype) for _ in range(3)]
    arrays = [drawn(rng, shape, dtype), *vectors, rng.uniform(0.5, 2, shape[axis]).astype(dtype)]
    check_kernel(BatchNormalization(axis, 1e-3), arrays, [2 * a for a in arrays], tolerance=8)


@given(SHAPES, DTYPES, SEEDS)
def test_moments_and_gradient_sums(shape: tuple[int, ...], dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    op = BatchMoments(len(shape) - 1)
    x, g = drawn(rng, shape, dtype), drawn(rng, shape, dtype)
    check_kernel(op, [x], [g], tolerance=50)
    check_kernel(GradientSums(op.axis), [g, x, drawn(rng, shape[-1:], dtype)], tolerance=200)
    out: np.ndarray = np.full((2, shape[-1]), np.nan, dtype)
    bind = find_kernel(BatchMoments)
    assert bind is not None
    run = bind(op, [out], [x], Scratch())
    assert run is not None
    run()
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(out, op.partial(x), rtol=20 * eps, atol=500 * eps)  # sums of squares may be large


@pytest.mark.parametrize("wanted", [(True, False), (False, True)])
def test_a_result_that_nobody_reads_is_not_made(wanted: tuple[bool, bool], rng: np.random.Generator) -> None:
    x, g, mean = rng.normal(size=(4, 5, 3)), rng.normal(size=(4, 5, 3)), rng.normal(size=3)
    for op, arrays in ((BatchMoments(2), [x]), (GradientSums(2), [g, x, mean])):
        outs = [np.full(3, np.nan) if w else None for w in wanted]
        bind = find_kernel(type(op))
        assert bind is not None
        run = bind(op, outs, arrays, Scratch())
        assert run is not None
        run()
        for out, y in zip(outs, op.eval(*arrays), strict=True):
            assert out is None or np.allclose(out, y)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 4), SEEDS)
def test_moments_of_parts_are_those_of_all(counts: list[int], channels: int, seed: int) -> None:
    """Also far from zero, where sums of squares would lose everything in float32."""
    rng = np.random.default_rng(seed)
    x = rng.normal(3000, 1, (sum(counts), 5, channels)).astype("float32")
    op = BatchMoments(2)
    parts = np.split(x, np.cumsum(counts)[:-1])
    mean, variance = op.merge([op.partial(p) for p in parts], [op.part_size(p) for p in parts])
    assert mean.dtype == variance.dtype == np.float32
    exact = x.astype("float64")
    np.testing.assert_allclose(mean, exact.mean((0, 1)), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var((0, 1)), rtol=1e-2)


@given(SHAPES, DTYPES, st.data(), SEEDS)
def test_layer_normalization(shape: tuple[int, ...], dtype: str, data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(0, len(shape) - 1))
    arrays = [drawn(rng, s, dtype) for s in (shape, shape[axis:], shape[axis:])]
    check_kernel(LayerNormalization(axis, 1e-3), arrays, [2 * a for a in arrays], tolerance=100)
