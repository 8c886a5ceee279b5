"""The models that are timed, written once against the API that Keras and seqc share.

A name may carry a number, which makes the curves of the scaling table: `cnn@32` is cnn with batches of 32 samples,
`depth@8` an MLP of 8 hidden layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Layers = Callable[[Any], list[Any]]
# From a module such as `keras.layers` and a tensor to another.
Network = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Workload:
    """A model and how it is trained.

    Attributes:
        sample: shape of one sample. layers: gives the layers of a stack, made from a module such as `keras.layers`.
        network: gives the output for an input instead, of a model that is no stack.
        loss: Keras's name of it; it also says what labels are: numbers, yes or no, classes, or the samples themselves
        where there are no `classes`. vocabulary: samples are numbers of so many words, if it is not zero.
        batch, steps: samples in a step, steps in an epoch (which takes half a second or so).
    """

    name: str
    sample: tuple[int, ...]
    layers: Layers | None
    loss: str
    batch: int
    steps: int
    classes: int = 0
    vocabulary: int = 0
    network: Network | None = None

    @property
    def is_image(self) -> bool:
        return len(self.sample) == 3

    def data(self, steps: int | None = None) -> tuple[Any, Any]:
        """Returns samples and labels of one epoch, or of so many steps: random, and the same every time."""
        rng = np.random.default_rng(0)
        count = self.batch * (steps or self.steps)
        if self.vocabulary:
            x = rng.integers(1, self.vocabulary, (count, *self.sample)).astype("int32")
        else:
            x = rng.random((count, *self.sample), "float32")
        if self.loss == "sparse_categorical_crossentropy":
            return x, rng.integers(0, self.classes, count)
        if self.loss == "binary_crossentropy":
            return x, rng.integers(0, 2, (count, 1)).astype("float32")
        return x, (x if self.is_image else rng.standard_normal((count, 1)).astype("float32"))

    def build(self, keras: Any) -> Any:
        """Returns the compiled model."""
        kind = "int32" if self.vocabulary else "float32"
        given = keras.Input(self.sample, dtype=kind)
        if self.layers is not None:
            model = keras.Sequential([given, *self.layers(keras.layers)])
        else:
            assert self.network is not None
            model = keras.Model(given, self.network(keras.layers, given))
        model.compile(optimizer="adam", loss=self.loss)
        return model


def _mlp_tiny(layers: Any) -> list[Any]:
    return [
        layers.Dense(32, activation="relu"),
        layers.Dense(16, activation="relu"),
        layers.Dense(1, activation="sigmoid"),
    ]


def _mlp(layers: Any) -> list[Any]:
    return [
        layers.Dense(512, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(256, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]


def _cnn(layers: Any) -> list[Any]:
    return [
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ]


def _vggbn(layers: Any) -> list[Any]:
    stack: list[Any] = []
    for filters in (32, 64):
        for _ in range(2):
            stack.append(layers.Conv2D(filters, 3, padding="same", use_bias=False))
            stack += [layers.BatchNormalization(), layers.Activation("relu")]
        stack.append(layers.MaxPooling2D(2))
    stack += [layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dropout(0.5)]
    return [*stack, layers.Dense(10, activation="softmax")]


def _cnn1d(layers: Any) -> list[Any]:
    return [
        layers.Conv1D(64, 5, activation="relu"),
        layers.Conv1D(64, 5, activation="relu"),
        layers.MaxPooling1D(2),
        layers.Conv1D(128, 3, activation="relu"),
        layers.GlobalAveragePooling1D(),
        layers.Dense(64, activation="relu"),
        layers.Dense(6, activation="softmax"),
    ]


def _lstm(layers: Any) -> list[Any]:
    return [layers.LSTM(64, return_sequences=True), layers.LSTM(64), layers.Dense(1)]


def _gru_text(layers: Any) -> list[Any]:
    return [
        layers.Embedding(5000, 64),
        layers.Bidirectional(layers.GRU(48)),
        layers.Dense(1, activation="sigmoid"),
    ]


# Filters and strides of the separable blocks.
SEPARABLE = ((32, 1), (64, 2), (64, 1), (128, 2))


def _mobilenet(layers: Any) -> list[Any]:
    def normalized(convolution: Any) -> list[Any]:
        return [convolution, layers.BatchNormalization(), layers.ReLU()]

    stack = normalized(layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False))
    for filters, strides in SEPARABLE:
        stack += normalized(layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False))
        stack += normalized(layers.Conv2D(filters, 1, use_bias=False))
    return [*stack, layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax")]


def _autoencoder(layers: Any) -> list[Any]:
    half: dict[str, Any] = {"kernel_size": 3, "strides": 2, "padding": "same"}
    return [
        layers.Conv2D(16, **half, activation="relu"),
        layers.Conv2D(32, **half, activation="relu"),
        layers.Conv2DTranspose(16, **half, activation="relu"),
        layers.Conv2DTranspose(1, **half, activation="sigmoid"),
    ]


# Filters inside, filters that come out, and strides of the bottleneck blocks. Strides belong to the first product of a
# block, so that no framework pads more on one side than another. What they keep is as much as of a ResNet-20.
BOTTLENECKS = ((8, 32, 1), (8, 32, 1), (16, 64, 2), (16, 64, 1), (32, 128, 2), (32, 128, 1))


def _residual(layers: Any, x: Any) -> Any:
    def normalized(x: Any, filters: int, size: int, strides: int = 1, activation: str = "relu") -> Any:
        x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(x)
        return layers.Activation(activation)(layers.BatchNormalization()(x))

    x, channels = normalized(x, 32, 3), 32
    for inner, filters, strides in BOTTLENECKS:
        y = normalized(normalized(x, inner, 1, strides), inner, 3)
        y = normalized(y, filters, 1, activation="linear")
        same = channels == filters and strides == 1
        shortcut = x if same else normalized(x, filters, 1, strides, activation="linear")
        x, channels = layers.Activation("relu")(layers.Add()([y, shortcut])), filters
    return layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))


def _transformer(layers: Any, x: Any) -> Any:
    width = x.shape[-1]
    attention = layers.MultiHeadAttention(num_heads=4, key_dim=width // 4)
    x = layers.LayerNormalization()(layers.Add()([x, attention(x, x)]))
    y = layers.Dense(4 * width, activation="relu")(x)
    y = layers.Dense(width)(y)
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    return layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling1D()(x))


def _embedding(layers: Any) -> list[Any]:
    return [
        layers.Embedding(20_000, 64),
        layers.GlobalAveragePooling1D(),
        layers.Dense(64, activation="relu"),
        layers.Dense(1, activation="sigmoid"),
    ]


def _deep(depth: int) -> Layers:
    return lambda layers: [
        *(layers.Dense(256, activation="relu") for _ in range(depth)),
        layers.Dense(10, activation="softmax"),
    ]


_CLASSES, _YES_NO = "sparse_categorical_crossentropy", "binary_crossentropy"

WORKLOADS = {
    w.name: w
    for w in (
        Workload("mlp_tiny", (20,), _mlp_tiny, _YES_NO, batch=32, steps=200),
        Workload("mlp", (784,), _mlp, _CLASSES, batch=128, steps=60, classes=10),
        Workload("cnn", (28, 28, 1), _cnn, _CLASSES, batch=128, steps=16, classes=10),
        Workload("vggbn", (32, 32, 3), _vggbn, _CLASSES, batch=64, steps=8, classes=10),
        Workload("cnn1d", (128, 9), _cnn1d, _CLASSES, batch=64, steps=24, classes=6),
        Workload("lstm", (64, 32), _lstm, "mse", batch=64, steps=10),
        Workload("gru_text", (80,), _gru_text, _YES_NO, batch=64, steps=10, vocabulary=5000),
        Workload("mobilenet", (32, 32, 3), _mobilenet, _CLASSES, batch=64, steps=16, classes=10),
        Workload("autoencoder", (28, 28, 1), _autoencoder, "mse", batch=64, steps=24),
        Workload("residual", (32, 32, 3), None, _CLASSES, batch=64, steps=8, classes=10, network=_residual),
        Workload("transformer", (128, 64), None, _CLASSES, batch=32, steps=16, classes=10, network=_transformer),
        Workload("embedding", (100,), _embedding, _YES_NO, batch=128, steps=40, vocabulary=20_000),
        Workload("mlp_1", (784,), _mlp, _CLASSES, batch=1, steps=200, classes=10),
        Workload("mlp_1024", (784,), _mlp, _CLASSES, batch=1024, steps=8, classes=10),
    )
}

BATCHES = (16, 32, 64, 128, 256)
DEPTHS = (2, 4, 8, 16)


def find_workload(name: str) -> Workload:
    """Returns the workload of a name, which may carry a number.

    Raises:
        KeyError: there is none.
    """
    kind, _, number = name.partition("@")
    if not number:
        return WORKLOADS[kind]
    if kind == "depth":
        return Workload(name, (256,), _deep(int(number)), _CLASSES, batch=128, steps=40, classes=10)
    found = WORKLOADS[kind]
    # As many samples in an epoch, whatever the batch.
    return replace(found, name=name, batch=int(number), steps=max(found.batch * found.steps // int(number), 1))
