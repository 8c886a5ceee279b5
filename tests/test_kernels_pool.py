"""Kernels of pooling against `eval`."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kit.kernel_checks import DTYPES, check_kernel, strided
from seqc.ops.pool import AveragePool, AveragePoolGrad, MaxPool, MaxPoolGrad


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[int, ...], str, np.random.Generator]:
    """Arguments of a pool and the shape of an input that its window fits."""
    rank = draw(st.integers(1, 3))
    size = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    strides = draw(st.one_of(st.just(size), st.tuples(*[st.integers(1, 4)] * rank)))
    pads = st.tuples(*[st.tuples(*[st.integers(0, s - 1)] * 2) for s in size])
    padding = draw(st.one_of(st.sampled_from(["valid", "same"]), pads))
    spatial = tuple(draw(st.integers(s, 7)) for s in size)
    shape = (draw(st.integers(1, 3)), *spatial, draw(st.integers(1, 4)))
    fields = {"size": size, "strides": strides, "padding": padding}
    return fields, shape, draw(DTYPES), np.random.default_rng(draw(st.integers(0, 2**16)))


def numbers(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """Few different ones, so that there are ties."""
    return rng.integers(-2, 3, shape).astype(dtype)


@given(cases(), st.booleans())
def test_pools(case: Any, gaps: bool) -> None:
    fields, shape, dtype, rng = case
    x, other = numbers(rng, shape, dtype), numbers(rng, shape, dtype)
    x = strided(x) if gaps else x
    check_kernel(MaxPool(**fields), [x], [other])
    check_kernel(AveragePool(**fields), [x], [other], tolerance=2)


@given(cases(), st.booleans())
def test_gradients(case: Any, gaps: bool) -> None:
    fields, shape, dtype, rng = case
    x = numbers(rng, shape, dtype)
    y = MaxPool(**fields).eval(x)
    g = rng.normal(size=y.shape).astype(dtype)
    check_kernel(MaxPoolGrad(**fields), [strided(x) if gaps else x, y, strided(g) if gaps else g], tolerance=4)
    check_kernel(AveragePoolGrad(**fields), [strided(g) if gaps else g, x], tolerance=4)


def test_the_common_case_is_exact(rng: np.random.Generator) -> None:
    x, other = (np.maximum(rng.normal(size=(2, 7, 6, 3)), 0).astype("float32") for _ in range(2))
    fields: dict[str, Any] = {"size": (2, 2), "strides": (2, 2)}
    ys = [MaxPool(**fields).eval(a) for a in (x, other)]
    gs = [rng.normal(size=ys[0].shape).astype("float32") for _ in range(2)]
    check_kernel(MaxPoolGrad(**fields), [x, ys[0], gs[0]], [other, ys[1], gs[1]])
