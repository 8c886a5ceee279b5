"""The models as one who knows ONNX and onnxruntime well writes them by hand: the fewest nodes, and the fastest ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Weights = Iterator[np.ndarray]
EPSILON = 1e-3


class Hand:
    """A file on its way.

    Args:
        arrays: the weights, in Keras's order and shapes.
    """

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self.weights = iter(arrays)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Adds a node and returns the name of its last output; nobody reads the others."""
        name = f"v{len(self.nodes)}"
        before = [f"{name}_{i}" if op == "TopK" else "" for i in range(outputs - 1)]  # which may not be left out
        self.nodes.append(helper.make_node(op, inputs, [*before, name], **attributes))
        return name

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        """Adds an array and returns its name."""
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(np.asarray(array, dtype)), name))
        return name

    def dense(
        self, x: str, change: Callable[[np.ndarray, np.ndarray], Sequence[np.ndarray]] = lambda k, b: (k, b)
    ) -> str:
        """Adds a Dense layer; `change` may fold something into its kernel and bias."""
        kernel, bias = change(next(self.weights), next(self.weights))
        return self.node("Gemm", x, self.constant(kernel), self.constant(bias))

    def conv(
        self, x: str, pads: Sequence[int], stride: int = 1, groups: bool = False, bias: bool = True, norm: bool = False
    ) -> str:
        """Adds a convolution, with the BatchNormalization behind it inside if `norm`."""
        kernel = next(self.weights)
        kernel = kernel if kernel.ndim == 4 else kernel[None]
        kernel = kernel.transpose(2, 3, 0, 1) if groups else kernel.transpose(3, 2, 0, 1)
        b = next(self.weights) if bias else np.zeros(len(kernel))
        if norm:
            factor, offset = self.norm()
            kernel, b = kernel * factor[:, None, None, None], b * factor + offset
        attributes: dict[str, Any] = {"pads": pads, "strides": [stride] * 2, "group": len(kernel) if groups else 1}
        attributes["kernel_shape"] = kernel.shape[2:]
        operands = [self.constant(kernel)] + ([self.constant(b)] if bias or norm else [])
        return self.node("Conv", x, *operands, **attributes)

    def norm(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the factor and the offset that a BatchNormalization comes to."""
        scale, offset, mean, variance = (next(self.weights).astype(float) for _ in range(4))
        factor = scale / np.sqrt(variance + EPSILON)
        return factor, offset - mean * factor

    def average(self, x: str) -> str:
        """Adds a mean over all pixels."""
        return self.node("Flatten", self.node("GlobalAveragePool", x), axis=1)

    def model(self, shape: Sequence[Any], ids: bool, y: str, out: Sequence[Any]) -> onnx.ModelProto:
        """Returns the whole file, whose input is `x` and whose output is `y`."""
        assert next(self.weights, None) is None
        kind = TensorProto.INT32 if ids else TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "by_hand",
            [helper.make_tensor_value_info("x", kind, ["batch", *shape])],
            [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["batch", *out])],
            self.initializers,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


SAME = (1, 1, 1, 1)
BEHIND = (0, 0, 1, 1)  # what Keras pads an even image with in steps of two
NONE = (0, 0, 0, 0)


def _pool(h: Hand, x: str, kind: str = "MaxPool", size: Sequence[int] = (2, 2)) -> str:
    return h.node(kind, x, kernel_shape=size, strides=size)


def _channels_first(h: Hand, x: str) -> str:
    return h.node("Transpose", x, perm=[0, 3, 1, 2])


def _rows_of_pixels(height: int, width: int) -> Callable[[np.ndarray, np.ndarray], Sequence[np.ndarray]]:
    return lambda k, b: (k.reshape(height, width, -1, k.shape[-1]).transpose(2, 0, 1, 3).reshape(k.shape), b)


def mlp(h: Hand) -> str:
    y = h.node("Relu", h.dense(h.node("Relu", h.dense("x"))))
    return h.node("Softmax", h.dense(y))


def lenet(h: Hand) -> str:
    y = h.node("Reshape", "x", h.constant([0, 1, 28, 28], np.int64))
    y = _pool(h, h.node("Tanh", h.conv(y, (2, 2, 2, 2))), "AveragePool")
    y = _pool(h, h.node("Tanh", h.conv(y, NONE)), "AveragePool")
    y = h.node("Tanh", h.dense(h.node("Flatten", y), _rows_of_pixels(5, 5)))
    return h.node("Softmax", h.dense(h.node("Tanh", h.dense(y))))


def vgg_bn(h: Hand) -> str:
    y = _channels_first(h, "x")
    for _ in range(3):
        for _ in range(2):
            y = h.node("Relu", h.conv(y, SAME, norm=True))
        y = _pool(h, y)
    y = h.node("Relu", h.dense(h.node("Flatten", y), _rows_of_pixels(4, 4)))
    return h.node("Softmax", h.dense(y))


def cnn1d(h: Hand) -> str:
    """As images of height one; the second BatchNormalization goes through the mean into the Dense layer."""
    y = h.node("Transpose", h.node("Unsqueeze", "x", h.constant([1], np.int64)), perm=[0, 3, 1, 2])
    y = h.node("Relu", h.conv(y, (0, 2, 0, 2)))
    norm = [h.constant(next(h.weights)) for _ in range(4)]
    y = _pool(h, h.node("BatchNormalization", y, *norm, epsilon=EPSILON), size=(1, 2))
    y = h.average(h.node("Relu", h.conv(y, (0, 1, 0, 1))))
    factor, offset = h.norm()
    return h.node("Softmax", h.dense(y, lambda k, b: (k * factor[:, None], b + offset @ k)))


def mobilenet(h: Hand) -> str:
    low, high = h.constant(0.0), h.constant(6.0)

    def limited(x: str) -> str:
        return h.node("Clip", x, low, high)

    y = limited(h.conv(_channels_first(h, "x"), SAME, bias=False, norm=True))
    for stride in (1, 2, 1, 2, 1):
        y = limited(h.conv(y, SAME if stride == 1 else BEHIND, stride, groups=True, bias=False, norm=True))
        y = limited(h.conv(y, NONE, bias=False, norm=True))
    return h.node("Softmax", h.dense(h.average(y)))


def sepconv(h: Hand) -> str:
    y = _channels_first(h, "x")
    for last in (False, True):
        y = h.conv(y, SAME, groups=True, bias=False)
        y = h.node("Relu", h.conv(y, NONE, norm=True))
        y = y if last else _pool(h, y)
    return h.dense(h.average(y))


def _lstm(h: Hand, steps: str, lengths: str = "") -> str:
    kernel, recurrent, bias = (next(h.weights) for _ in range(3))
    order = np.concatenate([np.arange(64) + 64 * gate for gate in (0, 3, 1, 2)])
    w, r = (h.constant(k.T[order][None]) for k in (kernel, recurrent))
    b = h.constant(np.concatenate([bias[order], 0 * bias])[None])
    operands = [steps, w, r, b] + ([lengths] if lengths else [])
    state = h.node("LSTM", *operands, outputs=2, hidden_size=64)
    return h.node("Sigmoid", h.dense(h.node("Squeeze", state, h.constant([0], np.int64))))


def lstm_text(h: Hand) -> str:
    table = h.constant(next(h.weights))
    return _lstm(h, h.node("Gather", table, h.node("Transpose", "x", perm=[1, 0])))


def masked(h: Hand) -> str:
    """The steps that count are taken first, each in order, and the operator told how many there are."""
    table, time = h.constant(next(h.weights)), np.arange(64)
    mask = h.node("Cast", "x", to=TensorProto.BOOL)
    counted = h.node("Cast", mask, to=TensorProto.INT32)
    lengths = h.node("ReduceSum", counted, h.constant([1], np.int64), keepdims=0)
    score = h.node("Where", mask, h.constant(64 - time, np.int64), h.constant(-time, np.int64))
    order = h.node("TopK", score, h.constant([64], np.int64), outputs=2, axis=1)
    taken = h.node("GatherElements", "x", order, axis=1)
    return _lstm(h, h.node("Gather", table, h.node("Transpose", taken, perm=[1, 0])), lengths)


def bigru(h: Hand) -> str:
    def layer(x: str, outputs: int) -> str:
        both = [[next(h.weights) for _ in range(3)] for _ in range(2)]
        w, r = (h.constant(np.stack([arrays[i].T for arrays in both])) for i in (0, 1))
        b = h.constant(np.stack([bias.reshape(-1) for *_, bias in both]))
        more = {"hidden_size": 32, "direction": "bidirectional", "linear_before_reset": 1}
        return h.node("GRU", x, w, r, b, outputs=outputs, **more)

    y = layer(h.node("Transpose", "x", perm=[1, 0, 2]), 1)
    y = h.node("Reshape", h.node("Transpose", y, perm=[0, 2, 1, 3]), h.constant([0, 0, -1], np.int64))
    y = h.node("Transpose", layer(y, 2), perm=[1, 0, 2])
    return h.node("Softmax", h.dense(h.node("Reshape", y, h.constant([0, -1], np.int64))))


def decoder(h: Hand) -> str:
    order = np.arange(7 * 7 * 64).reshape(7, 7, 64).transpose(2, 0, 1).reshape(-1)
    y = h.node("Relu", h.dense("x", lambda k, b: (k[:, order], b[order])))
    y = h.node("Reshape", y, h.constant([0, 64, 7, 7], np.int64))
    for _ in range(2):
        kernel, bias = next(h.weights), next(h.weights)
        operands = h.constant(kernel.transpose(3, 2, 0, 1)), h.constant(bias)
        more: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]}
        y = h.node("Relu", h.node("ConvTranspose", y, *operands, **more))
    y = h.node("Sigmoid", h.conv(y, SAME))
    return h.node("Reshape", y, h.constant([0, 28, 28, 1], np.int64))


BY_HAND: dict[str, Callable[[Hand], str]] = {
    each.__name__: each for each in (mlp, lenet, vgg_bn, cnn1d, mobilenet, sepconv, lstm_text, masked, bigru, decoder)
}


def write(
    name: str, arrays: Sequence[np.ndarray], shape: Sequence[Any], ids: bool, out: Sequence[Any]
) -> onnx.ModelProto:
    """Returns the file of a model.

    Args:
        name: of the model. arrays: its weights. shape: of one sample. ids: whether it is whole numbers. out: of one
        result.
    """
    hand = Hand(arrays)
    return hand.model(shape, ids, BY_HAND[name](hand), out)
