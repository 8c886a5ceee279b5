"""Convolutions as products with patches, and the other rewriting that NumPy's executor does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqc import ops
from seqc.backends.numpy.kernels.convolution import patches as bind_patches
from seqc.backends.numpy.kernels.convolution import tap_pairs
from seqc.backends.numpy.lowering import lower_for_numpy, pool_before_relu
from seqc.backends.numpy.memory import ScratchPad
from seqc.backends.numpy.patches import Patches
from seqc.graph.autodiff import pull_back
from seqc.graph.dims import symbol
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Type, Value, apply, input_value
from seqc.graph.rewriting import with_sizes
from seqc.ops._windows import Window
from seqc.ops.conv import Conv, ConvInputGrad, ConvKernelGrad
from seqc.ops.pool import MaxPool

PADDINGS = st.sampled_from(["valid", "same", ((1, 0), (2, 1))])


@st.composite
def geometries(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Attributes of patches over two axes, and a shape that they fit."""
    size = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    dilations = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    strides = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    shape = tuple((s - 1) * d + 1 + draw(st.integers(0, 4)) for s, d in zip(size, dilations, strict=True))
    attributes = {"size": size, "strides": strides, "dilations": dilations, "padding": draw(PADDINGS)}
    return attributes, (draw(st.integers(1, 3)), *shape, draw(st.integers(1, 3)))


@given(geometry=geometries(), ones=st.booleans(), taps_first=st.booleans(), dtype=st.sampled_from(["f4", "f8"]))
def test_patches_are_copied_as_they_are_evaluated(
    geometry: tuple[dict[str, Any], tuple[int, ...]], ones: bool, taps_first: bool, dtype: str
) -> None:
    attributes, shape = geometry
    op = Patches(**attributes, ones=ones, taps_first=taps_first)
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    expected = op.eval(x)
    inferred = op.infer(Type(x.dtype.name, shape))
    assert (inferred.dtype, inferred.shape) == (expected.dtype.name, expected.shape)
    out, scratch = np.full(expected.shape, np.nan, dtype), ScratchPad(lambda count: np.empty(count, np.uint8))
    call = bind_patches(op, [out], [x], scratch)
    assert call is not None
    for _ in range(2):
        call()
        np.testing.assert_array_equal(out, expected)


@given(geometry=geometries())
def test_taps_meet_every_element_that_is_not_padding(geometry: tuple[dict[str, Any], tuple[int, ...]]) -> None:
    attributes, (_, *spatial, _) = geometry
    window = Window(**attributes)
    places: Any = window.out_sizes("test", tuple(spatial))
    seen = np.zeros((1, *spatial, 1))
    for _, source, target in tap_pairs(window, tuple(spatial), places):
        shown = seen[(slice(None), *target)]
        assert shown.shape[1:-1] == tuple(len(range(n)[s]) for n, s in zip(places, source, strict=True))
        shown += 1
    whole = window.patches(window.padded(np.ones((1, *spatial, 1))))
    assert seen.sum() == whole.sum()


def run(graph: Graph, arrays: list[Array]) -> list[Array]:
    return Interpreter(graph).run(arrays)


def convolution(attributes: dict[str, Any], shape: tuple[int, ...], bias: bool) -> tuple[Graph, list[Array]]:
    """A convolution with its gradients, and operands."""
    window, channels = attributes["size"], shape[-1]
    x = input_value("x", "float64", (symbol("batch"), *shape[1:]))
    w = input_value("w", "float64", (*window, channels, 2))
    b = input_value("b", "float64", (2,))
    op = Conv(attributes["strides"], attributes["padding"], attributes["dilations"])
    y = apply(op, x, w, b) if bias else apply(op, x, w)
    g = input_value("g", "float64", y.type.shape)
    wrt = [x, w, b] if bias else [x, w]
    outputs = (y, *pull_back([y], [g], wrt))
    rng = np.random.default_rng(0)
    sizes: list[Any] = [shape, w.type.shape, (2,)]
    arrays = [rng.normal(size=size) for size in sizes]
    arrays.append(rng.normal(size=op.eval(arrays[0], arrays[1]).shape))
    return Graph((x, w, b, g), outputs, tuple(map(str, range(len(outputs))))), arrays


@given(geometry=geometries(), bias=st.booleans())
def test_lowered_convolutions_and_their_gradients_mean_the_same(
    geometry: tuple[dict[str, Any], tuple[int, ...]], bias: bool
) -> None:
    graph, arrays = convolution(*geometry, bias)
    lowered = lower_for_numpy(graph, {})
    assert not any(isinstance(v.op, Conv | ConvKernelGrad) for v in lowered.walk())
    for a, b in zip(run(lowered, arrays), run(graph, arrays), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def count(graph: Graph, kind: type) -> int:
    return sum(isinstance(v.op, kind) for v in graph.walk())


@pytest.mark.parametrize("bias", [False, True])
def test_forward_pass_and_kernel_gradient_share_their_patches(bias: bool) -> None:
    attributes = {"size": (3, 3), "strides": (2, 2), "dilations": (1, 1), "padding": "same"}
    graph, _ = convolution(attributes, (2, 8, 8, 3), bias)
    lowered = lower_for_numpy(graph, {})
    assert (count(lowered, Patches), count(lowered, ConvInputGrad)) == (1, 1)


def test_the_gradient_of_the_input_is_a_convolution_where_that_is_cheaper() -> None:
    attributes = {"size": (3, 3), "strides": (1, 1), "dilations": (1, 1), "padding": "same"}
    graph, _ = convolution(attributes, (2, 16, 16, 8), True)
    assert count(lower_for_numpy(graph, {}), ConvInputGrad) == 0


def test_windows_of_one_need_no_patches() -> None:
    attributes = {"size": (1, 1), "strides": (1, 1), "dilations": (1, 1), "padding": "valid"}
    graph, arrays = convolution(attributes, (2, 4, 4, 3), True)
    lowered = lower_for_numpy(graph, {})
    assert count(lowered, Patches) == 0
    for a, b in zip(run(lowered, arrays), run(graph, arrays), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_the_largest_of_a_window_is_taken_before_relu_and_the_gradient_goes_the_same_way() -> None:
    x = input_value("x", "float64", (symbol("batch"), 4, 4, 1))
    g = input_value("g", "float64", (symbol("batch"), 2, 2, 1))
    y = apply(MaxPool((2, 2), (2, 2)), ops.relu(x))
    graph = Graph((x, g), (y, *pull_back([y], [g], [x])), ("y", "dx"))
    lowered = pool_before_relu(graph)
    pooled = next(v for v in lowered.walk() if isinstance(v.op, MaxPool))
    assert pooled.inputs[0] is lowered.inputs[0]
    rng = np.random.default_rng(0)
    # Ties, windows with nothing positive, and negative zeros.
    array = rng.integers(-2, 3, (5, 4, 4, 1)).astype("float64") * rng.choice([-1.0, 1.0], (5, 4, 4, 1))
    for a, b in zip(
        run(lowered, [array, np.ones((5, 2, 2, 1))]), run(graph, [array, np.ones((5, 2, 2, 1))]), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_names_of_sizes_become_numbers_but_for_the_batch() -> None:
    x = input_value("x", "float32", (symbol("batch"), symbol("time"), 2))
    y: Value = ops.reshape(x, (-1, 2))
    fixed = with_sizes(Graph((x,), (y,), ("y",)), {"time": 5})
    assert [str(v.type) for v in (*fixed.inputs, *fixed.outputs)] == ["float32[batch, 5, 2]", "float32[5*batch, 2]"]
