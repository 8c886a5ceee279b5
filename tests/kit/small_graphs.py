"""Small inference graphs of every kind, made of `seqc.ops` alone; their weights are constants with fixed numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.graph import dims, ir
from seqc.graph.ir import Graph, Value, scope
from seqc.ops.conv import Conv, ConvTranspose
from seqc.ops.gather import Gather
from seqc.ops.normalization import BatchNormalization
from seqc.ops.resize import resample, upsample
from seqc.ops.shape import flatten_batch

BATCH, TIME, HEIGHT, WIDTH = (dims.symbol(n) for n in ("batch", "time", "height", "width"))


class Weights:
    """Draws weights in the order in which they are asked for."""

    def __init__(self, seed: int = 7) -> None:
        self._rng = np.random.default_rng(seed)

    def __call__(self, name: str, *shape: int) -> Value:
        return ir.constant(self._rng.normal(0, 0.4, shape).astype("float32"), name)

    def positive(self, name: str, *shape: int) -> Value:
        return ir.constant(self._rng.uniform(0.5, 2, shape).astype("float32"), name)


def conv(
    w: Weights,
    name: str,
    x: Value,
    filters: int,
    kernel: Sequence[int] = (3, 3),
    strides: Sequence[int] | None = None,
    padding: Any = "same",
    bias: bool = True,
    groups: int = 1,
) -> Value:
    depth = int(x.type.shape[-1]) // groups  # type: ignore[arg-type]
    with scope(name):
        op = Conv(tuple(strides or [1] * len(kernel)), padding, (1,) * len(kernel), groups)
        y = ir.apply(op, x, w(f"{name}/kernel", *kernel, depth, filters))
        return y + w(f"{name}/bias", filters) if bias else y


def transposed(w: Weights, name: str, x: Value, filters: int, kernel: Sequence[int] = (3, 3), groups: int = 1) -> Value:
    """Twice as large, without a bias."""
    with scope(name):
        op = ConvTranspose((2,) * len(kernel), ((0, 1),) * len(kernel), (1,) * len(kernel), groups)
        return ir.apply(op, x, w(f"{name}/kernel", *kernel, filters // groups, int(x.type.shape[-1])))  # type: ignore[arg-type]


def batch_norm(w: Weights, name: str, x: Value) -> Value:
    n = int(x.type.shape[-1])  # type: ignore[arg-type]
    with scope(name):
        statistics = [w(f"{name}/{part}", n) for part in ("gamma", "beta", "moving_mean")]
        variance = w.positive(f"{name}/moving_variance", n)
        return ir.apply(BatchNormalization(x.type.rank - 1, 1e-3), x, *statistics, variance)


def dense(w: Weights, name: str, x: Value, units: int, bias: bool = True) -> Value:
    with scope(name):
        y = ops.matmul(x, w(f"{name}/kernel", int(x.type.shape[-1]), units))  # type: ignore[arg-type]
        return y + w(f"{name}/bias", units) if bias else y


def lstm(w: Weights, name: str, x: Value, units: int, sequences: bool = False, **attributes: Any) -> Value:
    with scope(name):
        kernel = w(f"{name}/kernel", int(x.type.shape[-1]), 4 * units)  # type: ignore[arg-type]
        recurrent, bias = w(f"{name}/recurrent_kernel", units, 4 * units), w(f"{name}/bias", 4 * units)
        outputs, last, _ = ops.lstm(x, kernel, recurrent, bias, **attributes)
        return outputs if sequences else last


def gru(w: Weights, name: str, x: Value, units: int, sequences: bool = False, **attributes: Any) -> Value:
    with scope(name):
        kernel = w(f"{name}/kernel", int(x.type.shape[-1]), 3 * units)  # type: ignore[arg-type]
        recurrent, bias = w(f"{name}/recurrent_kernel", units, 3 * units), w(f"{name}/bias", 2, 3 * units)
        outputs, last = ops.gru(x, kernel, recurrent, bias, **attributes)
        return outputs if sequences else last


def look_up(table: Value, ids: Value) -> Value:
    return ir.apply(Gather(), table, ids)


def named(function: Callable[..., Value], name: str, *operands: Any, **attributes: Any) -> Value:
    with scope(name):
        return function(*operands, **attributes)


def graph(x: Value, *ys: Value) -> Graph:
    return Graph((x,), ys, tuple(f"y{i}" if i else "y" for i in range(len(ys))))


def image(*shape: Any) -> Value:
    return ir.input_value("image", "float32", (BATCH, *shape))


def sequence(features: int) -> Value:
    return ir.input_value("steps", "float32", (BATCH, TIME, features))


def mlp() -> Graph:
    w, x = Weights(), ir.input_value("x", "float32", (BATCH, 6))
    hidden = named(ops.relu, "relu", dense(w, "dense", x, 5))
    return graph(x, named(ops.softmax, "softmax", dense(w, "dense_1", hidden, 3)))


def flat_cnn(channels: int = 1) -> Graph:
    """Convolution, pooling, flatten, dense: the kernel of the dense layer takes the change of order."""
    w, x = Weights(), image(9, 8, channels)
    y = named(ops.relu, "relu", conv(w, "conv", x, 5, strides=(2, 2)))
    y = named(flatten_batch, "flatten", named(ops.max_pool, "pool", y, (2, 2)))
    return graph(x, named(ops.softmax, "softmax", dense(w, "dense", y, 4)))


def flat_cnn_rgb() -> Graph:
    return flat_cnn(3)


def bn_cnn() -> Graph:
    """Batch normalization that can be folded (after a convolution), and that cannot (after its activation)."""
    w, x = Weights(), image(8, 8, 3)
    y = named(ops.relu, "relu", batch_norm(w, "bn", conv(w, "conv", x, 4, bias=False)))
    y = batch_norm(w, "bn_1", named(ops.relu, "relu_1", conv(w, "conv_1", y, 6, padding="valid")))
    return graph(x, dense(w, "dense", named(ops.mean, "pool", y, (1, 2)), 2))


def depthwise_cnn() -> Graph:
    w, x = Weights(), image(7, 6, 4)
    y = conv(w, "depthwise", x, 8, groups=4, strides=(2, 2), bias=False)
    y = named(ops.relu, "relu", batch_norm(w, "bn", conv(w, "pointwise", y, 5, (1, 1), bias=False)))
    y = named(ops.average_pool, "average", y, (2, 2), padding="same")
    return graph(x, dense(w, "dense", named(flatten_batch, "flatten", y), 2))


def free_cnn() -> Graph:
    """Images of any size."""
    w, x = Weights(), image(HEIGHT, WIDTH, 1)
    y = named(ops.relu, "relu", conv(w, "conv", x, 3, strides=(2, 2)))
    y = named(ops.max_pool, "pool", conv(w, "conv_1", y, 4, (5, 5)), (2, 2), padding="same")
    return graph(x, dense(w, "dense", named(ops.mean, "average", y, (1, 2)), 2))


def segmentation() -> Graph:
    """An image for an image: a Transpose at each border."""
    w, x = Weights(), image(HEIGHT, WIDTH, 3)
    y = named(ops.relu, "relu", conv(w, "conv", x, 4))
    return graph(x, named(ops.softmax, "softmax", conv(w, "conv_1", y, 2, (1, 1))))


def sequence_cnn() -> Graph:
    """Causal convolution, activation, pooling and normalization along time."""
    w, x = Weights(), sequence(2)
    y = named(ops.relu, "relu", conv(w, "conv", x, 4, (3,), padding=((4, 0),)))
    y = batch_norm(w, "bn", conv(w, "conv_1", named(ops.max_pool, "pool", y, (2,)), 5, (3,)))
    return graph(x, dense(w, "dense", named(ops.mean, "average", named(ops.tanh, "tanh", y), 1), 2))


def lstm_stack() -> Graph:
    """Two recurrent layers and a dense layer per step: batch and time change places at the borders only."""
    w, x = Weights(), sequence(3)
    y = lstm(w, "lstm_1", lstm(w, "lstm", x, 4, True), 5, True)
    return graph(x, dense(w, "dense", y, 2))


def bidirectional() -> Graph:
    w, x = Weights(), sequence(3)
    forward, back = lstm(w, "forward", x, 4, True), lstm(w, "backward", x, 4, True, reverse=True)
    y = named(lambda a, b: ops.concatenate([a, ops.flip(b, 1)], -1), "both", forward, back)
    return graph(x, dense(w, "dense", lstm(w, "lstm", y, 3), 2))


def both_directions(w: Weights, name: str, x: Value, units: int, sequences: bool, **attributes: Any) -> Value:
    """What Bidirectional(GRU) is made of."""
    forward = gru(w, f"{name}/forward", x, units, sequences, **attributes)
    back = gru(w, f"{name}/backward", x, units, sequences, reverse=True, **attributes)
    with scope(name):
        return ops.concatenate([forward, ops.flip(back, 1) if sequences else back], -1)


def bidirectional_gru() -> Graph:
    """One node for two directions, twice, and sequences that stay time first between them."""
    w, x = Weights(), sequence(3)
    y = both_directions(w, "both_1", both_directions(w, "both", x, 4, True), 5, False)
    return graph(x, dense(w, "dense", y, 2))


def bidirectional_outputs() -> Graph:
    """Two directions whose sequences leave the model, joined and added up."""
    w, x = Weights(), sequence(3)
    joined = both_directions(w, "both", x, 4, True)
    forward, back = gru(w, "forward", x, 4, True), gru(w, "backward", x, 4, True, reverse=True)
    return graph(x, joined, named(lambda a, b: a + ops.flip(b, 1), "sum", forward, back))


def masked_bidirectional() -> Graph:
    """Both directions over a mask of any shape, outputs zero where it is not set."""
    w, x = Weights(), ir.input_value("ids", "int32", (BATCH, TIME))
    y = named(look_up, "embedding", w("embedding/table", 20, 6), x)
    mask = named(ops.not_equal, "mask", x, 0)
    y = both_directions(w, "both", y, 4, True, mask=mask, zero_output=True)
    return graph(x, y, both_directions(w, "both_1", y, 5, False, mask=mask))


def text() -> Graph:
    w, x = Weights(), ir.input_value("ids", "int32", (BATCH, TIME))
    y = named(look_up, "embedding", w("embedding/table", 20, 6), x)
    return graph(x, named(ops.sigmoid, "sigmoid", dense(w, "dense", lstm(w, "lstm", y, 4), 1)))


def masked_text() -> Graph:
    """Ids of zero are masked, through two recurrent layers."""
    w, x = Weights(), ir.input_value("ids", "int32", (BATCH, TIME))
    y = named(look_up, "embedding", w("embedding/table", 20, 6), x)
    mask = named(ops.not_equal, "mask", x, 0)
    y = lstm(w, "lstm_1", lstm(w, "lstm", y, 4, True, mask=mask), 5, mask=mask)
    return graph(x, dense(w, "dense", y, 2))


def masked_sequences() -> Graph:
    """A mask whose repeated and zeroed outputs are seen, in both directions."""
    w, x = Weights(), ir.input_value("ids", "int32", (BATCH, TIME))
    y = named(look_up, "embedding", w("embedding/table", 20, 6), x)
    mask = named(ops.not_equal, "mask", x, 0)
    kinds = {"forward": {}, "backward": {"reverse": True}, "zero": {"zero_output": True}}
    both = {"both": {"reverse": True, "zero_output": True}}
    return graph(x, *(lstm(w, k, y, 3, True, mask=mask, **attributes) for k, attributes in {**kinds, **both}.items()))


def recurrent_norm() -> Graph:
    """Batch normalization where nothing wants channels first."""
    w, x = Weights(), sequence(3)
    return graph(x, dense(w, "dense", batch_norm(w, "bn", lstm(w, "lstm", x, 4, True)), 2))


def decoder() -> Graph:
    """A dense layer that makes an image: it makes it channels-first at once."""
    w, x = Weights(), ir.input_value("code", "float32", (BATCH, 5))
    y = named(ops.relu, "relu", dense(w, "dense", x, 4 * 3 * 6))
    y = named(ops.reshape, "reshape", y, (-1, 4, 3, 6))
    y = named(ops.relu, "relu_1", conv(w, "conv", y, 4))
    return graph(x, named(ops.sigmoid, "sigmoid", conv(w, "conv_1", y, 1)))


def growing() -> Graph:
    """An image that a dense layer makes, and that grows by repeating, a transposed convolution and interpolating."""
    w, x = Weights(), ir.input_value("code", "float32", (BATCH, 5))
    y = named(ops.reshape, "reshape", dense(w, "dense", x, 2 * 3 * 4), (-1, 2, 3, 4))
    y = named(upsample, "upsample", y, (2, 2))
    y = named(ops.relu, "relu", batch_norm(w, "bn", transposed(w, "transposed", y, 3)))
    return graph(x, named(resample, "resample", conv(w, "conv", y, 2, groups=1), (2, 1), "bilinear"))


def growing_sequence() -> Graph:
    w, x = Weights(), sequence(3)
    y = named(ops.relu, "relu", transposed(w, "transposed", x, 4, (3,)))
    return graph(x, conv(w, "conv", named(upsample, "upsample", y, (3,)), 2, (3,)))


def residual() -> Graph:
    """Two paths that meet, and two outputs."""
    w, x = Weights(), image(6, 6, 2)
    a = conv(w, "conv", x, 4)
    b = named(ops.tanh, "tanh", conv(w, "conv_1", a, 4))
    y = named(ops.add, "add", a, b)
    squeeze = named(ops.mean, "squeeze", y, (1, 2), True)
    gate = named(ops.sigmoid, "gate", dense(w, "excite", squeeze, 4))
    return graph(x, named(ops.multiply, "scale", y, gate), named(ops.mean, "average", y, (1, 2)))


_ALL = (
    mlp, flat_cnn, flat_cnn_rgb, bn_cnn, depthwise_cnn, free_cnn, segmentation, sequence_cnn, lstm_stack,
    bidirectional, bidirectional_gru, bidirectional_outputs, masked_bidirectional, text, masked_text,
    masked_sequences, recurrent_norm, decoder, growing, growing_sequence, residual,
)  # fmt: skip
GRAPHS: dict[str, Callable[[], Graph]] = {f.__name__: f for f in _ALL}
