"""The padding "same" over axes of known and unknown size: the same numbers in NumPy, by hand and in onnxruntime."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.effort import turn
from kit.graph_runs import step_file
from seqc import layers, ops
from seqc.export import compile_graph
from seqc.export.model import inference_graph
from seqc.graph.autodiff import gradients
from seqc.graph.dims import symbol
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Value, input_value
from seqc.graph.tracing import Trace, tracing

onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
onnx_models = pytest.importorskip("kit.onnx_models", reason="needs onnx")

# Sizes of an unknown axis; with strides up to 4 and windows up to 5 elements wide, every remainder.
SIZES = (1, 2, 3, 4, 5, 7, 8)
# Stride, window, dilation along one axis.
PLAIN = [(1, 1, 1), (1, 3, 1), (2, 2, 1), (2, 3, 1), (3, 2, 1), (4, 1, 1), (4, 2, 1), (3, 5, 1), (4, 3, 1)]
SPACED = [(1, 2, 2), (1, 3, 2)]  # Keras allows strides or dilation, not both


def conv1d(stride: Any, size: Any, dilation: Any) -> layers.Layer:
    return layers.Conv1D(2, size, stride, "same", dilation_rate=dilation)


def conv2d(stride: Any, size: Any, dilation: Any) -> layers.Layer:
    return layers.Conv2D(2, size, stride, "same", dilation_rate=dilation)


def depthwise2d(stride: Any, size: Any, dilation: Any) -> layers.Layer:
    return layers.DepthwiseConv2D(size, stride, "same", dilation_rate=dilation)


def separable2d(stride: Any, size: Any, dilation: Any) -> layers.Layer:
    return layers.SeparableConv2D(3, size, stride, "same", dilation_rate=dilation)


def max2d(stride: Any, size: Any, dilation: Any) -> layers.Layer:
    return layers.MaxPooling2D(size, stride, "same")


def average2d(stride: Any, size: Any, dilation: Any) -> layers.Layer:
    return layers.AveragePooling2D(size, stride, "same")


def depthwise1d(stride: Any, size: Any, dilation: Any) -> layers.Layer:
    return layers.DepthwiseConv1D(size, stride, "same", dilation_rate=dilation)


def max1d(stride: Any, size: Any, dilation: Any) -> layers.Layer:
    return layers.MaxPooling1D(size, stride, "same")


def average1d(stride: Any, size: Any, dilation: Any) -> layers.Layer:
    return layers.AveragePooling1D(size, stride, "same")


def conv3d(stride: Any, size: Any, dilation: Any) -> layers.Layer:
    return layers.Conv3D(2, size, stride, "same", dilation_rate=dilation)


def max3d(stride: Any, size: Any, dilation: Any) -> layers.Layer:
    return layers.MaxPooling3D(size, stride, "same")


def average3d(stride: Any, size: Any, dilation: Any) -> layers.Layer:
    return layers.AveragePooling3D(size, stride, "same")


Make = Callable[[Any, Any, Any], layers.Layer]
OVER_TIME: tuple[Make, ...] = (conv1d, depthwise1d, max1d, average1d)
OVER_IMAGES: tuple[Make, ...] = (conv2d, depthwise2d, separable2d, max2d, average2d)


def check(layer: layers.Layer, shape: tuple[int | None, ...], opset: int = 18) -> None:
    """Fails where onnxruntime and NumPy differ at any size of the unknown axes."""
    model = keras.Sequential([keras.Input((*shape, 2)), layer])
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(size=w.shape).astype("float32") for w in model.get_weights()])
    file = compile_graph(inference_graph(model), opset=opset)
    assert not any("auto_pad" in onnx_models.attributes(node) for node in file.graph.node)
    session = onnxruntime.InferenceSession(file.SerializeToString())
    listed = [SIZES if size is None else (size,) for size in shape]
    # Of two unknown axes, some of the pairs are enough: the second is shifted by each of a few places.
    unknown = shape.count(None)
    pairs = itertools.product(*listed) if unknown < 2 else _some_pairs()
    for sizes in pairs:
        # The pairs are of the unknown axes only.
        given = iter(sizes)
        spatial = sizes if unknown < 2 else tuple(next(given) if size is None else size for size in shape)
        x = rng.normal(size=(2, *spatial, 2)).astype("float32")
        (got,) = session.run(None, {session.get_inputs()[0].name: x})
        wanted = np.asarray(layer(x))
        np.testing.assert_allclose(got, wanted, atol=3e-5, err_msg=f"{layer.get_config()} over {spatial}")


def _some_pairs() -> list[tuple[int, int]]:
    return [(a, SIZES[(i + shift) % len(SIZES)]) for i, a in enumerate(SIZES) for shift in (0, 3)]


def axes_of(make: Make) -> list[tuple[int, int, int]]:
    return PLAIN if "Pool" in type(make(1, 1, 1)).__name__ else PLAIN + SPACED


@pytest.mark.slow
@pytest.mark.parametrize("make", OVER_TIME)
def test_over_a_sequence_of_unknown_length(make: Make) -> None:
    for stride, size, dilation in axes_of(make):
        check(make(stride, size, dilation), (None,))


@pytest.mark.slow
@pytest.mark.parametrize("make", OVER_IMAGES)
def test_over_an_image_with_one_unknown_side(make: Make) -> None:
    # The known side has more stride than window where it counts: some of its elements are seen by nobody.
    for strides, size, shape in [
        ((4, 4), (2, 1), (None, 4)),
        ((4, 4), (1, 2), (4, None)),
        ((4, 2), (2, 3), (None, 5)),
        ((2, 4), (3, 2), (7, None)),
        ((3, 4), (5, 1), (None, None)),
    ]:
        check(make(strides, size, 1), shape)


@pytest.mark.parametrize("make", [conv3d, max3d, average3d])
def test_over_a_volume_with_unknown_sides(make: Make) -> None:
    check(make((2, 4, 3), (3, 2, 2), 1), (None, 4, None))
    check(make((1, 3, 2), (2, 2, 3), 1), (3, None, 4))


SHAPES: list[tuple[int | None, ...]] = [(None, 4), (5, None), (None, None)]


# Each pair of axes in one of the shapes, and next to it another pair in each of the others.
@pytest.mark.slow
@pytest.mark.parametrize("make", OVER_IMAGES)
@pytest.mark.parametrize("shape", SHAPES)
def test_over_images_of_every_kind(make: Make, shape: tuple[int | None, ...]) -> None:
    for first, second in turn(itertools.product(axes_of(make), axes_of(make)), SHAPES.index(shape), 3):
        strides, size, dilation = zip(first, second, strict=True)
        if max(strides) == 1 or max(dilation) == 1:
            check(make(strides, size, dilation), shape)


@pytest.mark.parametrize("opset", [13, 14, 21])
def test_at_other_opsets(opset: int) -> None:
    for make in (conv2d, max2d, average2d):
        check(make(2, 3, 1), (None, 5), opset)


def by_hand(x: Array, size: int, stride: int, take: Callable[[Array], Any]) -> Array:
    """Pools a vector as Keras describes it: ceil(n / stride) windows, the odd element of padding at the end."""
    count = -(-len(x) // stride)
    padding = max((count - 1) * stride + size - len(x), 0)
    starts = [i * stride - padding // 2 for i in range(count)]
    return np.array([take(x[max(a, 0) : a + size]) for a in starts])


@pytest.mark.parametrize(("make", "take"), [(max1d, np.max), (average1d, np.mean)])
def test_pools_are_what_they_are_by_hand(make: Make, take: Callable[[Array], Any]) -> None:
    for (stride, size, _), length in itertools.product(PLAIN, SIZES):
        x = np.random.default_rng(length).normal(size=length).astype("float32")
        got = np.asarray(make(stride, size, 1)(x[None, :, None]))[0, :, 0]
        np.testing.assert_allclose(got, by_hand(x, size, stride, take), atol=1e-6)


@pytest.mark.parametrize("make", [conv2d, max2d, average2d])
def test_gradients_over_unknown_sides_run_on_onnxruntime(make: Make) -> None:

    layer = make((4, 3), (2, 1), 1)
    layer(np.zeros((1, 4, 4, 2), "float32"))
    trace = Trace(training=True)
    x = input_value("x", "float32", (symbol("batch"), symbol("height"), 4, 2))
    with tracing(trace):
        y = layer(x)
        (gx,) = gradients(ops.sum(ops.square(y)), [x])
    leaves: dict[Value, Array] = {leaf: v.array for v, leaf in trace.reads.items()}
    graph = Graph((x, *leaves), (gx,), ("gradient",))
    session = onnxruntime.InferenceSession(step_file(graph))
    for height in SIZES:
        given = np.random.default_rng(height).normal(size=(2, height, 4, 2)).astype("float32")
        arrays = [given, *leaves.values()]
        (wanted,) = Interpreter(graph).run(arrays)
        (got,) = session.run(None, dict(zip(graph.input_names, arrays, strict=True)))
        np.testing.assert_allclose(got, wanted, atol=1e-4)
