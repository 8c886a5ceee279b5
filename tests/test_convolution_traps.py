"""What has broken other exporters of convolutions, pools and resizes: layers through export, one test per trap."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers
from seqc.errors import NoLoweringError
from seqc.export import compile_graph
from seqc.graph import dims
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, apply, build
from seqc.graph.ir import Input as Leaf
from seqc.ops.resize import Resample, ResampleGrad

onnx_models = pytest.importorskip("kit.onnx_models", reason="needs onnx")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")


class Exported:
    """A model of one layer, and what onnxruntime makes of it."""

    def __init__(self, layer: layers.Layer, shape: tuple[int | None, ...], folder: Path) -> None:
        self.model = keras.Sequential([keras.Input(shape), layer])
        path = folder / "model.onnx"
        self.model.export(path, verify=False)
        self.file = onnx.load(path)
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def __call__(self, x: Array) -> Array:
        (y,) = self.session.run(None, {self.session.get_inputs()[0].name: x})
        assert isinstance(y, np.ndarray)
        return y

    def attributes(self, op_type: str) -> dict[str, Any]:
        found: dict[str, Any] = onnx_models.attributes(onnx_models.only(self.file, op_type))
        return found

    def check(self, x: Array) -> None:
        """Fails where onnxruntime and seqc differ."""
        np.testing.assert_allclose(self(x), np.asarray(self.model(x)), rtol=1e-5, atol=1e-5)


def wanted_size(size: int, kernel: int, stride: int, dilation: int, padding: str, longer: int | None) -> int:
    """What Keras says."""
    extent = (kernel - 1) * dilation + 1
    if padding == "valid":
        return (size - 1) * stride + extent + (max(extent, stride) - extent if longer is None else longer)
    return size * stride if longer is None else (size - 1) * stride + extent % 2 + longer


@pytest.mark.one_in(3)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 1), (1, 2)])
def test_transposed_convolution_has_the_size_that_keras_says(
    padding: str, kernel: int, stride: int, dilation: int, tmp_path: Path, rng: np.random.Generator
) -> None:
    for longer in (None, *range(stride)):
        layer = layers.Conv1DTranspose(
            2, kernel, stride, padding, output_padding=longer, dilation_rate=dilation, bias_initializer="ones"
        )
        exported = Exported(layer, (None, 3), tmp_path)
        written = exported.attributes("ConvTranspose")
        assert not {"auto_pad", "output_shape"} & set(written)
        for size in (2, 3, 6):
            x = rng.normal(size=(2, size, 3)).astype("float32")
            wanted = wanted_size(size, kernel, stride, dilation, padding, longer)
            assert np.shape(exported.model(x)) == (2, wanted, 2)
            exported.check(x)


def test_transposed_kernel_is_not_turned_round(tmp_path: Path) -> None:
    exported = Exported(layers.Conv2DTranspose(2, (2, 3)), (1, 1, 3), tmp_path)
    kernel = np.arange(2 * 3 * 2 * 3, dtype="float32").reshape(2, 3, 2, 3)
    exported.model.set_weights([kernel, np.zeros(2, "float32")])
    exported.model.export(tmp_path / "again.onnx")
    again = onnxruntime.InferenceSession(tmp_path / "again.onnx", providers=["CPUExecutionProvider"])
    for channel in range(3):
        x = np.zeros((1, 1, 1, 3), "float32")
        x[..., channel] = 1
        for y in (np.asarray(exported.model(x)), again.run(None, {again.get_inputs()[0].name: x})[0]):
            np.testing.assert_array_equal(y[0], kernel[..., channel])


def test_channels_of_a_depthwise_layer_come_input_by_input(tmp_path: Path) -> None:
    exported = Exported(layers.DepthwiseConv2D(1, depth_multiplier=2, use_bias=False), (1, 1, 3), tmp_path)
    exported.model.set_weights([np.array([[[[1, 10], [2, 20], [3, 30]]]], "float32")])
    x = np.array([[[[1, 1, 100]]]], "float32")
    assert np.asarray(exported.model(x)).ravel().tolist() == [1, 10, 2, 20, 300, 3000]
    assert exported.attributes("Conv")["group"] == 3


def test_a_separable_convolution_is_two_nodes(tmp_path: Path) -> None:
    exported = Exported(layers.SeparableConv2D(4, 3, depth_multiplier=2, activation="relu"), (6, 6, 3), tmp_path)
    counted = onnx_models.counts(exported.file)
    assert counted == {"Transpose": 2, "Conv": 2, "Relu": 1}


@pytest.mark.parametrize("kind", [layers.MaxPooling1D, layers.AveragePooling1D])
@pytest.mark.parametrize(("size", "stride"), [(2, 1), (3, 2), (4, 3), (2, 3)])
def test_padding_of_pools_over_time_follows_each_length(
    kind: Callable[..., layers.Layer], size: int, stride: int, tmp_path: Path, rng: np.random.Generator
) -> None:
    exported = Exported(kind(size, stride, "same"), (None, 2), tmp_path)
    for length in (3, 4, 5, 6, 9):
        exported.check(rng.normal(size=(2, length, 2)).astype("float32"))


def test_pools_over_time_do_not_see_padding(tmp_path: Path) -> None:
    x = np.full((1, 5, 1), -3, "float32")
    average = Exported(layers.AveragePooling1D(3, 2, "same"), (5, 1), tmp_path)
    assert average.attributes("AveragePool")["count_include_pad"] == 0
    np.testing.assert_allclose(average(x), -3, rtol=1e-6)
    assert Exported(layers.MaxPooling1D(3, 2, "same"), (5, 1), tmp_path)(x).max() == -3


@pytest.mark.parametrize("kind", [layers.MaxPooling1D, layers.AveragePooling1D, layers.Conv1DTranspose])
def test_known_lengths_need_no_auto_pad(kind: Any, tmp_path: Path) -> None:
    arguments = {"filters": 2, "kernel_size": 3} if kind is layers.Conv1DTranspose else {"pool_size": 3}
    exported = Exported(kind(strides=2, padding="same", **arguments), (8, 2), tmp_path)
    assert all("auto_pad" not in onnx_models.attributes(node) for node in exported.file.graph.node)


@pytest.mark.parametrize(
    ("interpolation", "said"),
    [
        ("nearest", {"mode": b"nearest", "coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"}),
        ("bilinear", {"mode": b"linear", "coordinate_transformation_mode": b"half_pixel"}),
        ("bicubic", {"mode": b"cubic", "coordinate_transformation_mode": b"half_pixel", "cubic_coeff_a": -0.5,
                     "exclude_outside": 1}),
    ],
)  # fmt: skip
def test_resize_says_how_it_takes_coordinates(
    interpolation: str, said: dict[str, Any], tmp_path: Path, rng: np.random.Generator
) -> None:
    exported = Exported(layers.UpSampling2D((2, 3), interpolation=interpolation), (None, None, 2), tmp_path)
    written = exported.attributes("Resize")
    assert {k: v.encode() if isinstance(v, str) else v for k, v in written.items()} == said
    for height, width in ((1, 1), (2, 5), (7, 4)):
        exported.check(rng.normal(size=(2, height, width, 2)).astype("float32"))


@pytest.mark.parametrize("interpolation", ["lanczos3", "lanczos5"])
def test_lanczos_of_any_size_has_its_weights_computed_by_the_file(
    interpolation: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    exported = Exported(layers.UpSampling2D((2, 3), interpolation=interpolation), (None, 4, 2), tmp_path)
    for height in (1, 3, 30):
        exported.check(rng.normal(size=(2, height, 4, 2)).astype("float32"))
    model = keras.Sequential([keras.Input((None, 4, 2)), layers.UpSampling2D(2, interpolation=interpolation)])
    with pytest.raises(NoLoweringError, match="needs float64, which is not there, or fixed sizes"):
        model.export(tmp_path / "model.onnx", target="tensorrt")


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos3", "lanczos5"])
def test_images_of_any_size_are_brought_to_one(
    interpolation: str, antialias: bool, tmp_path: Path, rng: np.random.Generator
) -> None:
    layer = layers.Resizing(7, 5, interpolation=interpolation, antialias=antialias)
    exported = Exported(layer, (None, None, 2), tmp_path)
    for height, width in ((1, 1), (2, 5), (7, 4), (40, 33)):
        exported.check(rng.normal(size=(2, height, width, 2)).astype("float32"))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos3"])
def test_the_gradient_of_making_images_larger_goes_to_onnx_at_any_size(
    interpolation: str, rng: np.random.Generator
) -> None:
    x = build(Leaf("x", "float32", (*map(dims.symbol, ("batch", "height", "width")), 2)), (), "")
    y = apply(ResampleGrad((2, 3), interpolation), apply(Resample((2, 3), interpolation), x))
    graph = Graph((x,), (y,), ("y",))
    session = onnxruntime.InferenceSession(
        onnx_models.content(compile_graph(graph)), providers=["CPUExecutionProvider"]
    )
    for height, width in ((1, 1), (3, 5), (8, 2)):
        image = rng.normal(size=(2, height, width, 2)).astype("float32")
        (truth,) = Interpreter(graph).run([image])
        np.testing.assert_allclose(session.run(None, {"x": image})[0], truth, rtol=1e-5, atol=1e-5)


def test_leaky_relu_writes_the_slope_of_the_layer(tmp_path: Path) -> None:
    exported = Exported(layers.LeakyReLU(), (3,), tmp_path)
    assert exported.attributes("LeakyRelu")["alpha"] == pytest.approx(0.3)


@pytest.mark.parametrize("max_value", [None, 0.0, 1.0, 6.0])
@pytest.mark.parametrize("negative_slope", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("threshold", [0.0, 0.5, 2.0])
def test_relu_with_every_combination_of_arguments(
    max_value: float | None, negative_slope: float, threshold: float, tmp_path: Path
) -> None:
    x = np.array([[*np.arange(-3, 9, 0.25), -0.0]], "float32")
    exported = Exported(layers.ReLU(max_value, negative_slope, threshold), (x.shape[1],), tmp_path)
    limit = np.inf if max_value is None else max_value
    wanted = np.where(x > threshold, np.minimum(x, limit), 0) - negative_slope * np.maximum(threshold - x, 0)
    np.testing.assert_allclose(np.asarray(exported.model(x)), wanted, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(exported(x), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("keepdims", [False, True])
def test_masked_steps_do_not_enter_the_mean_over_time(keepdims: bool, tmp_path: Path) -> None:
    stack = [layers.Embedding(9, 3, mask_zero=True), layers.GlobalAveragePooling1D(keepdims=keepdims)]
    model = keras.Sequential([keras.Input((None,), dtype="int32"), *stack])
    model.export(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    ids = np.array([[3, 0, 5, 0], [1, 2, 3, 4]], "int32")
    table = model.get_weights()[0]
    wanted = np.stack([table[[3, 5]].mean(0), table[[1, 2, 3, 4]].mean(0)])
    got = session.run(None, {session.get_inputs()[0].name: ids})[0]
    np.testing.assert_allclose(got, wanted[:, None] if keepdims else wanted, rtol=1e-5, atol=1e-6)


def test_every_free_side_is_left_free(tmp_path: Path, rng: np.random.Generator) -> None:
    stack = [
        layers.ZeroPadding2D(((1, 0), (2, 1))),
        layers.SeparableConv2D(3, 3, strides=2, padding="same"),
        layers.UpSampling2D(2),
        layers.Conv2DTranspose(3, 3, strides=2, padding="same", activation="relu"),
        layers.Cropping2D(((0, 1), (1, 0))),
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        layers.GlobalMaxPooling2D(),
    ]
    model = keras.Sequential([keras.Input((None, None, 2)), *stack])
    model.export(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for height, width in itertools.product((5, 8), (6, 7)):
        x = rng.normal(size=(2, height, width, 2)).astype("float32")
        got = session.run(None, {session.get_inputs()[0].name: x})[0]
        np.testing.assert_allclose(got, np.asarray(model(x)), rtol=1e-5, atol=1e-5)
