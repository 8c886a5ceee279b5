"""Mistakes an exporter can make, planted one at a time into the ONNX model that is about to be verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

import seqc as keras
from seqc import layers, ops

Model = onnx.ModelProto
Mutate = Callable[[Model], Any]


@dataclass(frozen=True)
class Planted:
    """A mistake: the layers it is planted in, and what it does to the model. `rows`: the layers look up integers."""

    name: str
    part: Callable[[], list[Any]]
    mutate: Mutate

    def __str__(self) -> str:
        return self.name


def nodes(model: Model, *types: str) -> list[onnx.NodeProto]:
    found = [n for n in model.graph.node if n.op_type in types]
    assert found, f"no {types} among {[n.op_type for n in model.graph.node]}"
    return found


def attribute(node: onnx.NodeProto, name: str, value: Any) -> None:
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
    if value is not None:
        node.attribute.append(helper.make_attribute(name, value))


def given(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def set_to(kind: str, name: str, value: Any) -> Mutate:
    """Sets an attribute; a function gets the value it has."""

    def mutate(model: Model) -> None:
        for node in nodes(model, kind):
            attribute(node, name, value(given(node, name)) if callable(value) else value)

    return mutate


def array(kind: str, at: int, change: Callable[[Any], Any]) -> Mutate:
    """Changes the constant that stands at a position among a node's inputs."""

    def mutate(model: Model) -> None:
        for i, node in enumerate(nodes(model, kind)):
            tensor = next(t for t in model.graph.initializer if t.name == node.input[at])
            new = numpy_helper.from_array(
                np.ascontiguousarray(change(numpy_helper.to_array(tensor))), f"{tensor.name}!{i}"
            )
            model.graph.initializer.append(new)
            node.input[at] = new.name

    return mutate


def swapped(kind: str, a: int, b: int) -> Mutate:
    def mutate(model: Model) -> None:
        for node in nodes(model, kind):
            node.input[a], node.input[b] = node.input[b], node.input[a]

    return mutate


def dropped(kind: str, at: int) -> Mutate:
    """Leaves an operand out."""

    def mutate(model: Model) -> None:
        for node in nodes(model, kind):
            if at == len(node.input) - 1:
                del node.input[at]
            else:
                node.input[at] = ""

    return mutate


def renamed(kind: str, other: str, **attributes: Any) -> Mutate:
    """Writes another operator."""

    def mutate(model: Model) -> None:
        for node in nodes(model, kind):
            node.op_type = other
            for name, value in attributes.items():
                attribute(node, name, value)

    return mutate


def skipped(kind: str, at: int = 0) -> Mutate:
    """Leaves a node out: its operand takes its place."""

    def mutate(model: Model) -> None:
        for node in nodes(model, kind):
            operand = node.input[at]
            del node.input[:], node.attribute[:]
            node.op_type = "Identity"
            node.input.append(operand)

    return mutate


def gates(count: int, order: list[int]) -> Callable[[Any], Any]:
    """Puts blocks of rows of the second axis into another order."""

    def change(x: Any) -> Any:
        return np.concatenate([np.split(x, count, axis=1)[i] for i in order], axis=1)

    return change


def recurrent(kind: type, **options: Any) -> Callable[[], list[Any]]:
    return lambda: [kind(3, **options)]


def both(kind: type) -> Callable[[], list[Any]]:
    return lambda: [layers.Bidirectional(kind(3))]


def one(kind: type, *arguments: Any, **options: Any) -> Callable[[], list[Any]]:
    return lambda: [kind(*arguments, **options)]


def plain(function: Callable[[Any], Any]) -> layers.Layer:
    made: layers.Layer = type("Plain", (layers.Layer,), {"call": lambda self, x: function(x)})()
    return made


def lambda_layer(function: Callable[[Any], Any]) -> Callable[[], list[Any]]:
    return lambda: [plain(function)]


def after_relu(kind: type, *arguments: Any, **options: Any) -> Callable[[], list[Any]]:
    """A layer that no pass can fold into the one before it."""
    return lambda: [layers.Conv2D(4, 1), layers.ReLU(), kind(*arguments, **options), layers.Activation("tanh")]


def masked(kind: type, **options: Any) -> Callable[[], list[Any]]:
    return lambda: [layers.Masking(0.0), kind(3, **options)]


Conv, Pool, Average = layers.Conv2D, layers.MaxPooling2D, layers.AveragePooling2D
GATED = {"return_sequences": True}

ON_IMAGES = [
    Planted(
        "convolution pads reversed",
        one(Conv, 3, 3, strides=2, padding="same"),
        set_to("Conv", "pads", lambda p: p[2:] + p[:2]),
    ),
    Planted(
        "convolution without pads",
        one(Conv, 3, 3, padding="same"),
        set_to("Conv", "pads", lambda p: [p[0] + 1, p[1], p[2] - 1, p[3]]),
    ),
    Planted("kernel turned", one(Conv, 3, 3), array("Conv", 1, lambda w: w[:, :, ::-1, ::-1])),
    Planted("kernel transposed", one(Conv, 3, 3), array("Conv", 1, lambda w: w.swapaxes(2, 3))),
    Planted("channels in reverse", one(Conv, 3, 3), array("Conv", 1, lambda w: w[:, ::-1])),
    Planted("filters shifted by one", one(Conv, 3, 3), array("Conv", 1, lambda w: np.roll(w, 1, 0))),
    Planted(
        "strides of the other axis", one(Conv, 3, (3, 2), strides=(2, 1)), set_to("Conv", "strides", lambda s: s[::-1])
    ),
    Planted(
        "dilation of the other axis",
        one(Conv, 3, 2, dilation_rate=(2, 1)),
        set_to("Conv", "dilations", lambda s: s[::-1]),
    ),
    Planted("bias left out", one(Conv, 3, 3, bias_initializer="ones"), dropped("Conv", 2)),
    Planted(
        "bias shifted by one", one(Conv, 3, 3, bias_initializer="uniform"), array("Conv", 2, lambda b: np.roll(b, 1))
    ),
    Planted(
        "depthwise channels in another order",
        one(layers.DepthwiseConv2D, 3, depth_multiplier=2),
        array("Conv", 1, lambda w: np.roll(w, 1, 0)),
    ),
    Planted(
        "transposed kernel turned",
        one(layers.Conv2DTranspose, 3, 3, strides=2),
        array("ConvTranspose", 1, lambda w: w[:, :, ::-1, ::-1]),
    ),
    Planted(
        "transposed pads at the other end",
        one(layers.Conv2DTranspose, 3, 3, strides=2, padding="same"),
        set_to("ConvTranspose", "pads", lambda p: p[2:] + p[:2]),
    ),
    Planted(
        "average counts padding",
        one(Average, 3, strides=2, padding="same"),
        set_to("AveragePool", "count_include_pad", 1),
    ),
    Planted("average for maximum", one(Pool, 2), renamed("MaxPool", "AveragePool", storage_order=None)),
    Planted("maximum for average", one(Average, 2), renamed("AveragePool", "MaxPool", count_include_pad=None)),
    Planted(
        "pool pads reversed",
        one(Pool, 3, strides=2, padding="same"),
        set_to("MaxPool", "pads", lambda p: p[2:] + p[:2]),
    ),
    Planted("pool strides swapped", one(Pool, (2, 2), strides=(1, 2)), set_to("MaxPool", "strides", lambda s: s[::-1])),
    Planted(
        "epsilon of 1e-5 for 1e-3", after_relu(layers.BatchNormalization), set_to("BatchNormalization", "epsilon", 1e-5)
    ),
    Planted("gamma and beta swapped", after_relu(layers.BatchNormalization), swapped("BatchNormalization", 1, 2)),
    Planted("mean and variance swapped", after_relu(layers.BatchNormalization), swapped("BatchNormalization", 3, 4)),
    Planted(
        "maximum of Relu6 dropped",
        lambda: [plain(lambda x: x * 9.0), layers.ReLU(6.0)],
        array("Clip", 2, lambda c: c * 1000),
    ),
    Planted("slope of another default", one(layers.LeakyReLU), set_to("LeakyRelu", "alpha", 0.01)),
    Planted("alpha of another function", one(layers.Activation, "selu"), set_to("Elu", "alpha", 1.0)),
    Planted(
        "nearest for linear", one(layers.UpSampling2D, 2, interpolation="bilinear"), set_to("Resize", "mode", "nearest")
    ),
    Planted(
        "corners aligned",
        one(layers.UpSampling2D, 2, interpolation="bilinear"),
        set_to("Resize", "coordinate_transformation_mode", "align_corners"),
    ),
    Planted("crop off by one", one(layers.Cropping2D, ((1, 2), (0, 1))), array("Slice", 1, lambda s: s - (s > 0))),
    Planted(
        "pad off by one",
        one(layers.ZeroPadding2D, ((1, 2), (0, 1))),
        array("Pad", 1, lambda p: np.concatenate([p[len(p) // 2 :], p[: len(p) // 2]])),
    ),
    Planted("padded with ones", one(layers.ZeroPadding2D, 1), array("Pad", 2, lambda v: v + 1)),
    Planted(
        "channels flattened in another order",
        lambda: [Conv(3, 2), layers.Flatten(), layers.Dense(4)],
        array("Gemm", 1, lambda w: np.roll(w, 1, 0)),
    ),
    Planted("mean for maximum", one(layers.GlobalMaxPooling2D), renamed("ReduceMax", "ReduceMean")),
    Planted("maximum for mean", one(layers.GlobalAveragePooling2D), renamed("ReduceMean", "ReduceMax")),
    Planted(
        "axes in another order",
        lambda: [layers.Permute((2, 1, 3)), plain(lambda x: ops.cumsum(x, axis=1))],
        set_to("Transpose", "perm", lambda p: [p[0], *p[2:], p[1]]),
    ),
    Planted(
        "another slope",
        one(layers.Activation, "hard_sigmoid"),
        set_to("HardSigmoid", "alpha", lambda slope: slope * 1.2),
    ),
    Planted("Silu for HardSwish", one(layers.Activation, "hard_silu"), renamed("HardSwish", "Mish")),
    Planted("Tanh for Erf", lambda_layer(lambda x: ops.gelu(x, approximate=False)), renamed("Erf", "Tanh")),
    Planted("Softsign for Tanh", one(layers.Activation, "tanh"), renamed("Tanh", "Softsign")),
    Planted("Relu for Softplus", one(layers.Activation, "softplus"), renamed("Softplus", "Relu")),
    Planted("operands of a difference swapped", lambda_layer(lambda x: ops.tanh(x - 0.3)), swapped("Sub", 0, 1)),
    Planted("sum for difference", lambda_layer(lambda x: x * 2 - ops.sin(x)), renamed("Sub", "Add")),
    Planted("factor dropped", lambda_layer(lambda x: ops.tanh(ops.sin(x) * 3.0)), skipped("Mul")),
    Planted(
        "parts joined in another order",
        lambda_layer(lambda x: ops.concatenate([x, ops.sin(x)], -1)),
        swapped("Concat", 0, 1),
    ),
    Planted(
        "branches of a choice swapped", lambda_layer(lambda x: ops.where(x > 0.1, x, 2.0 * x)), swapped("Where", 1, 2)
    ),
    Planted(
        "comparison the other way round",
        lambda_layer(lambda x: ops.where(x > 0.1, x, 2.0 * x)),
        renamed("Greater", "Less"),
    ),
    Planted(
        "sum for mean", lambda_layer(lambda x: ops.mean(x, axis=-1, keepdims=True)), renamed("ReduceMean", "ReduceSum")
    ),
    Planted("rounded halves away", lambda_layer(lambda x: ops.floor(x * 2.0)), renamed("Floor", "Round")),
]

ON_STEPS = [
    Planted("LSTM gates swapped", recurrent(layers.LSTM), array("LSTM", 1, gates(4, [1, 0, 2, 3]))),
    Planted("LSTM recurrent gates swapped", recurrent(layers.LSTM), array("LSTM", 2, gates(4, [0, 1, 3, 2]))),
    Planted("LSTM bias of another gate", recurrent(layers.LSTM), array("LSTM", 3, gates(8, [0, 1, 3, 2, 4, 5, 6, 7]))),
    Planted("LSTM in Keras's order", recurrent(layers.LSTM), array("LSTM", 1, gates(4, [0, 2, 3, 1]))),
    Planted("LSTM backwards", recurrent(layers.LSTM), set_to("LSTM", "direction", "reverse")),
    Planted(
        "LSTM of other activations",
        recurrent(layers.LSTM),
        set_to("LSTM", "activations", ["Sigmoid", "Tanh", "Sigmoid"]),
    ),
    Planted("mask of another number", masked(layers.LSTM), array("Equal", 1, lambda v: v + 1)),
    Planted("LSTM without its mask", masked(layers.LSTM), dropped("LSTM", 4)),
    Planted("GRU gates swapped", recurrent(layers.GRU), array("GRU", 1, gates(3, [1, 0, 2]))),
    Planted("GRU recurrent gates swapped", recurrent(layers.GRU), array("GRU", 2, gates(3, [1, 0, 2]))),
    Planted("GRU resets before the product", recurrent(layers.GRU), set_to("GRU", "linear_before_reset", 0)),
    Planted(
        "GRU resets after the product",
        recurrent(layers.GRU, reset_after=False),
        set_to("GRU", "linear_before_reset", 1),
    ),
    Planted(
        "GRU without its recurrent bias",
        recurrent(layers.GRU, bias_initializer="uniform"),
        array("GRU", 3, lambda b: np.concatenate([b[:, :9], 0 * b[:, 9:]], 1)),
    ),
    Planted("GRU without its mask", masked(layers.GRU), dropped("GRU", 4)),
    Planted("RNN of another activation", recurrent(layers.SimpleRNN), set_to("RNN", "activations", ["Softsign"])),
    Planted(
        "RNN recurrent kernel transposed", recurrent(layers.SimpleRNN), array("RNN", 2, lambda r: r.swapaxes(1, 2))
    ),
    Planted("directions swapped", both(layers.LSTM), array("LSTM", 1, lambda w: w[::-1])),
    Planted("recurrent kernels of the other direction", both(layers.GRU), array("GRU", 2, lambda w: w[::-1])),
    Planted(
        "LayerNorm epsilon of 1e-5 for 1e-3",
        one(layers.LayerNormalization),
        set_to("LayerNormalization", "epsilon", 1e-5),
    ),
    Planted("LayerNorm scale and offset swapped", one(layers.LayerNormalization), swapped("LayerNormalization", 1, 2)),
    Planted(
        "LayerNorm over one axis more",
        one(layers.LayerNormalization, axis=(1, 2)),
        set_to("LayerNormalization", "axis", -1),
    ),
    Planted("softmax along another axis", one(layers.Softmax), set_to("Softmax", "axis", 1)),
    Planted("sum in reverse", lambda_layer(lambda x: ops.cumsum(x, axis=1)), set_to("CumSum", "reverse", 1)),
    Planted(
        "causal padding at the end",
        one(layers.Conv1D, 3, 3, padding="causal"),
        set_to("Conv", "pads", lambda p: p[2:] + p[:2]),
    ),
    Planted("steps shifted by one", lambda_layer(lambda x: x[:, 1:]), array("Slice", 1, lambda s: s - 1)),
    Planted("Dense kernel transposed", lambda: [layers.Dense(4)], array("MatMul", 1, np.transpose)),
    Planted("Dense without bias", lambda: [layers.Dense(3, "tanh", bias_initializer="ones")], skipped("Add")),
]


def _embedding() -> list[Any]:
    return [layers.Embedding(20, 4)]


def _masked_embedding() -> list[Any]:
    return [layers.Embedding(20, 4, mask_zero=True), layers.LSTM(3)]


ON_IDS = [
    Planted("rows of a table shifted by one", _embedding, array("Gather", 0, lambda t: np.roll(t, 1, 0))),
    Planted("table in another order", _embedding, array("Gather", 0, lambda t: t[:, ::-1])),
    Planted("mask of an embedding dropped", _masked_embedding, dropped("LSTM", 4)),
    Planted("valid steps in another order", _masked_embedding, array("Where", 1, lambda v: v[::-1])),
]

HEALTHY, SATURATED, TINY, DEAD, UNTRAINED = "healthy", "saturated", "tiny", "dead", "untrained"


def planted() -> Iterator[tuple[Planted, str, Callable[[], keras.Sequential]]]:
    """Yields each mistake with the models it is planted in: one that shows it, and some that answer inputs alike."""
    for shape, dtype, faults in (
        ((7, 6, 3), "float32", ON_IMAGES),
        ((5, 4), "float32", ON_STEPS),
        ((5,), "int32", ON_IDS),
    ):
        for fault in faults:
            for kind in (HEALTHY, UNTRAINED, SATURATED, TINY, DEAD):
                # Integers cannot be dead, and after a Relu these functions are the same: the file is right.
                if kind == DEAD and (
                    dtype == "int32" or fault.name in ("slope of another default", "alpha of another function")
                ):
                    continue
                yield fault, kind, partial(build, fault, kind, shape, dtype)


def build(fault: Planted, kind: str, shape: tuple[int, ...], dtype: str) -> keras.Sequential:
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(5)
    part = fault.part()
    before = [plain(lambda x: x - 1e6), layers.ReLU()] if kind == DEAD else []
    after = [] if kind == HEALTHY else [layers.Flatten(), layers.Dense(3, activation="softmax")]
    model = keras.Sequential([layers.Input(shape, dtype=dtype), *before, *part, *after])
    if kind in (HEALTHY, SATURATED, TINY):
        for weight in model.weights:
            positive = "variance" in weight.path
            drawn = rng.uniform(0.3, 0.9, weight.shape) if positive else rng.normal(0, 0.6, weight.shape)
            weight.assign((drawn * (1e-4 if kind == TINY and not positive else 1.0)).astype("float32"))
    if kind == SATURATED:
        model.layers[-1].bias.assign(np.array([80, 0, -80], np.float32))
    return model
