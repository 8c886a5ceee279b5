"""Kernels of depthwise convolution against `eval`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.kernel_checks import DTYPES, Scratch, check_bound, strided
from seqc.backends.numpy.kernels import depthwise
from seqc.ops.conv import Conv, ConvInputGrad, ConvKernelGrad


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], list[np.ndarray[Any, Any]]]:
    """Attributes and the operands x, w, bias."""
    rank, channels = draw(st.integers(1, 2)), draw(st.integers(2, 4))
    numbers: Callable[[int, int], Any] = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(rank))  # noqa: E731
    size, strides, dilations = numbers(1, 3), numbers(1, 3), draw(st.sampled_from([(), numbers(1, 3)]))
    extent = [(s - 1) * d + 1 for s, d in zip(size, dilations or (1,) * rank, strict=True)]
    pads = tuple(draw(st.tuples(st.integers(0, 3), st.integers(0, 3))) for _ in range(rank))
    padding = draw(st.sampled_from(["valid", "same", pads]))
    spatial = tuple(draw(st.integers(e, 8)) for e in extent)
    filters = channels * draw(st.sampled_from([1, 1, 2, 3]))
    rng, dtype = np.random.default_rng(draw(st.integers(0, 2**16))), draw(DTYPES)
    shapes = [(draw(st.integers(1, 3)), *spatial, channels), (*size, 1, filters), (filters,)]
    fields = {"strides": strides, "padding": padding, "dilations": dilations, "groups": channels}
    return fields, [rng.normal(size=s).astype(dtype) for s in shapes]


@given(cases(), st.booleans(), st.booleans())
def test_convolution(case: Any, bias: bool, gaps: bool) -> None:
    fields, (x, w, b) = case
    arrays = [strided(x), strided(w), b] if gaps else [x, w, b]
    arrays = arrays if bias else arrays[:2]
    check_bound(depthwise.bind_depthwise_conv, Conv(**fields), arrays, [2 * a for a in arrays], tolerance=20)


@given(cases(), st.booleans())
def test_gradients(case: Any, gaps: bool) -> None:
    fields, (x, w, _) = case
    g = np.random.default_rng(x.size).normal(size=Conv(**fields).eval(x, w).shape).astype(x.dtype)
    like = np.broadcast_to(np.zeros((), x.dtype), x.shape)
    sent = [strided(g), strided(w), like] if gaps else [g, w, like]
    check_bound(depthwise.bind_depthwise_input_grad, ConvInputGrad(**fields), sent, [2 * g, -w, like], tolerance=50)
    like = np.broadcast_to(np.zeros((), x.dtype), w.shape)
    arrays = [strided(x) if gaps else x, g, like]
    check_bound(
        depthwise.bind_depthwise_kernel_grad, ConvKernelGrad(**fields), arrays, [-x, 2 * g, like], tolerance=400
    )


@pytest.mark.parametrize(
    ("fields", "x", "w"),
    [
        ({"strides": (1, 1)}, (1, 4, 4, 2), (2, 2, 2, 3)),
        ({"strides": (1, 1)}, (1, 4, 4, 1), (2, 2, 1, 3)),
        ({"strides": (1, 1), "groups": 2}, (1, 4, 4, 4), (2, 2, 2, 4)),
        ({"strides": (1, 1, 1), "groups": 2}, (1, 4, 4, 4, 2), (2, 2, 2, 1, 2)),
    ],
    ids=["full", "one channel", "grouped", "three axes"],
)
def test_other_convolutions_are_refused(fields: Any, x: tuple[int, ...], w: tuple[int, ...]) -> None:
    op = Conv(**fields)
    arrays = [np.ones(x, "float32"), np.ones(w, "float32")]
    assert depthwise.bind_depthwise_conv(op, [op.eval(*arrays)], arrays, Scratch()) is None
