"""Networks of all shapes as ONNX: no tensor is moved inside one, and at most one at each border."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import seqc as keras
from seqc import layers as L
from seqc import ops
from seqc.export.model import inference_graph
from seqc.export.pipelines import FOR_INFERENCE
from seqc.export.target import onnx_target
from seqc.ops.shape import Transpose
from seqc.passes.borders import accept_channels_first
from seqc.passes.pipeline import run_passes

runtime = pytest.importorskip("onnxruntime")

Net = Callable[[Any], Any]
NETS: dict[str, tuple[Net, int, int]] = {}
FEW = ("scaled_shortcut", "unet", "generator", "sequence_residual")
IMAGE, SEQUENCE = (8, 6, 3), (9, 4)


def net(nodes: int, transposes: int = 1) -> Callable[[Net], Net]:
    """Enters a network with how many nodes its file may have, and how many of them may be Transposes."""

    def enter(function: Net) -> Net:
        NETS[function.__name__] = function, nodes, transposes
        return function

    return enter


def conv(x: Any, filters: int = 3, kernel: int = 3, **options: Any) -> Any:
    return L.Conv2D(filters, kernel, padding="same", **options)(x)


def normed(x: Any, filters: int = 3) -> Any:
    return L.ReLU()(L.BatchNormalization()(conv(x, filters, use_bias=False)))


def head(x: Any) -> Any:
    return L.Dense(2)(L.GlobalAveragePooling2D()(x))


# -- elementwise operations on the way from the input ------------------------------------------------------------------


@net(7)
def scaled_shortcut(x: Any) -> Any:
    return head(conv(x) + x * 0.5)


@net(9)
def normalized_input(x: Any) -> Any:
    y = (x - np.array([0.1, 0.2, 0.3], np.float32)) / np.array([0.5, 0.6, 0.7], np.float32)
    return head(conv(y) + ops.tanh(y))


@net(8)
def input_activated_twice(x: Any) -> Any:
    return head(conv(ops.sigmoid(x)) * ops.tanh(x))


@net(8)
def batch_norm_first(x: Any) -> Any:
    y = L.BatchNormalization()(x)
    return head(conv(L.ReLU()(y)) + y)


@net(8)
def padded_shortcut(x: Any) -> Any:
    y = L.ZeroPadding2D(1)(x)
    return head(L.Conv2D(3, 3, padding="same")(y) + ops.abs(y))


@net(7)
def sliced_shortcut(x: Any) -> Any:
    return head(L.Conv2D(3, 3)(x) + x[:, 1:-1, 1:-1])


@net(7)
def gated_by_one_channel(x: Any) -> Any:
    return head(x * conv(x, 1, activation="sigmoid"))


@net(8)
def pooled_shortcut(x: Any) -> Any:
    return head(L.Conv2D(3, 3, 2, padding="same")(x) + L.AveragePooling2D(2)(x * 2.0))


# -- known kinds -------------------------------------------------------------------------------------------------------


@net(22)
def resnet(x: Any) -> Any:
    for _ in range(3):
        x = L.ReLU()(normed(normed(x)) + x)
    return head(x)


@net(16)
def resnet_preactivated(x: Any) -> Any:
    for _ in range(3):
        x = x + conv(L.ReLU()(L.BatchNormalization()(x)))
    return head(x)


@net(16)
def densenet(x: Any) -> Any:
    for _ in range(3):
        x = L.Concatenate()([x, conv(L.ReLU()(L.BatchNormalization()(x)))])
    return head(x)


@net(11)
def inception(x: Any) -> Any:
    pooled = conv(L.MaxPooling2D(3, 1, "same")(x), 2, 1)
    return head(L.Concatenate()([conv(x, 2, 1), conv(conv(x, 2, 1), 4, 3), conv(x, 2, 5), pooled, x]))


@net(11, transposes=2)
def unet(x: Any) -> Any:
    down = conv(x, activation="relu")
    deep = conv(L.MaxPooling2D(2)(down), 4, activation="relu")
    up = L.Concatenate()([L.UpSampling2D(2)(deep), down, x])
    return conv(up, 2, activation="sigmoid")


@net(11, transposes=2)
def unet_transposed(x: Any) -> Any:
    down = normed(x)
    up = L.Conv2DTranspose(3, 2, 2)(normed(L.MaxPooling2D(2)(down), 4))
    return L.Softmax()(conv(L.Concatenate()([up, down]), 2))


@net(15)
def squeeze_and_excite(x: Any) -> Any:
    x = conv(x, 4, activation="relu")
    gate = L.Dense(4, activation="sigmoid")(L.Dense(2, activation="relu")(L.GlobalAveragePooling2D()(x)))
    return head(x * L.Reshape((1, 1, 4))(gate) + x)


@net(10, transposes=0)
def squeeze_and_excite_by_convolution(x: Any) -> Any:
    gate = L.GlobalAveragePooling2D(keepdims=True)(x)
    return head(x * conv(conv(gate, 2, 1, activation="relu"), 3, 1, activation="sigmoid"))


@net(10)
def inverted_residual(x: Any) -> Any:
    y = L.ReLU(6.0)(L.BatchNormalization()(conv(x, 6, 1)))
    y = L.ReLU(6.0)(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same")(y)))
    return head(x + L.BatchNormalization()(conv(y, 3, 1)))


@net(11)
def spatial_attention(x: Any) -> Any:
    y = conv(x, 4)
    seen = ops.concatenate([ops.mean(y, -1, keepdims=True), ops.max(y, -1, keepdims=True)], -1)
    return head(y * conv(seen, 1, 5, activation="sigmoid"))


@net(11)
def scaled_by_layer(x: Any) -> Any:
    shared = L.Conv2D(3, 3, padding="same", activation="relu")
    return head(shared(shared(x)) - (x * 0.25 + 0.5))


@net(10)
def two_heads(x: Any) -> Any:
    y = conv(x, activation="relu") + x
    return [head(y), L.Dense(3)(L.GlobalMaxPooling2D()(y))]


@net(7, transposes=3)
def two_images_out(x: Any) -> Any:
    y = conv(x, 4, activation="relu")
    return [conv(y, 2), L.Activation("tanh")(y)]


@net(6)
def flattened_shortcut(x: Any) -> Any:
    return L.Dense(2)(L.Flatten()(conv(x) + x * 2.0))


@net(7)
def flattened_branches(x: Any) -> Any:
    return L.Dense(2)(L.Concatenate()([L.Flatten()(conv(x, 2)), L.Flatten()(L.MaxPooling2D(2)(x))]))


@net(11)
def flattened_branches_normed(x: Any) -> Any:
    y = L.Concatenate()([L.Flatten()(conv(x, 2)), L.Dense(3)(L.Flatten()(x)), L.Flatten()(L.MaxPooling2D(2)(x))])
    return L.Dense(2)(ops.relu(L.BatchNormalization()(y)))


@net(8)
def joined_pools(x: Any) -> Any:
    y = conv(x, 4)
    return L.Dense(2)(L.Concatenate()([L.GlobalAveragePooling2D()(y), L.GlobalMaxPooling2D()(y)]))


@net(10)
def generator(x: Any) -> Any:
    y = L.Reshape((4, 3, 5))(L.LeakyReLU()(L.Dense(60)(L.Flatten()(x))))
    y = conv(y, 5, activation="relu") + y
    return L.Activation("tanh")(L.Conv2DTranspose(3, 4, 2, padding="same")(y))


@net(9)
def resized_pyramid(x: Any) -> Any:
    small = conv(L.AveragePooling2D(2)(x), 3)
    return head(conv(x, 3) + L.UpSampling2D(2, interpolation="bilinear")(small))


def steps(x: Any, filters: int = 4) -> Any:
    return L.Conv1D(filters, 3, padding="causal")(x)


@net(9)
def sequence_residual(x: Any) -> Any:
    return L.Dense(2)(L.GlobalAveragePooling1D()(ops.relu(steps(x)) + x * 0.5))


@net(12)
def sequence_gated(x: Any) -> Any:
    y = ops.tanh(steps(x)) * ops.sigmoid(steps(x))
    return L.Dense(2)(L.GlobalMaxPooling1D()(L.Conv1D(4, 1)(y) + x))


def _model(name: str) -> Any:
    x = keras.Input(SEQUENCE if name.startswith("sequence") else IMAGE, name="x")
    keras.utils.set_random_seed(3)
    model = keras.Model(x, NETS[name][0](x))
    rng = np.random.default_rng(7)
    model.set_weights([rng.uniform(0.2, 0.9, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def _check(model: Any, path: Path, first: bool) -> Counter[str]:
    """Exports a model, compares its file with `predict`, and returns how many nodes of each kind it has."""
    model.export(path, **({"channels_first_input": True} if first else {}))
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).normal(size=(3, *model.input_shape[1:])).astype("float32")
    found = session.run(None, {"x": np.moveaxis(x, -1, 1) if first else x})
    expected = model.predict(x, verbose=0)
    for a, b in zip(found, expected if isinstance(expected, list) else [expected], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", NETS)
def test_no_tensor_is_moved_inside_a_network(name: str, tmp_path: Path) -> None:
    _, nodes, transposes = NETS[name]
    model = _model(name)
    found = _check(model, tmp_path / "model.onnx", first=False)
    assert found["Transpose"] == transposes, found
    assert found.total() <= nodes, found
    planned = run_passes(accept_channels_first(inference_graph(model)), FOR_INFERENCE, onnx_target())
    assert sum(isinstance(v.op, Transpose) for v in planned.walk()) == sum(y.type.rank > 2 for y in planned.outputs)


@pytest.mark.parametrize(
    "name", [n if n in FEW else pytest.param(n, marks=pytest.mark.slow) for n in NETS], ids=list(NETS)
)
def test_channels_first_inputs_give_the_same_numbers(name: str, tmp_path: Path) -> None:
    _check(_model(name), tmp_path / "model.onnx", first=True)
