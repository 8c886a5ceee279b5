"""The models of the comparison, said once for seqc and for Keras.

Each is small and of a kind that people export: what a file costs beyond its arithmetic shows most in small models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# `keras` is Keras or seqc: what is used here has the same names in both.
Keras = Any


@dataclass(frozen=True)
class Spec:
    """One model of the comparison.

    Attributes:
        title: what it is, in a few words.
        layers: returns its layers, of the library that is given.
        shape: of one sample.
        words: how many words there are, if it takes ids of words; else it takes real numbers.
    """

    title: str
    layers: Callable[[Keras], list[Any]]
    shape: tuple[int, ...]
    words: int = 0

    @property
    def dtype(self) -> str:
        """The element type of its input."""
        return "int32" if self.words else "float32"

    @property
    def is_sequence(self) -> bool:
        """Whether its second axis is time."""
        return self.layers is bigru or bool(self.words)

    @property
    def has_channels(self) -> bool:
        """Whether something that it takes or gives has channels, which may come first or last."""
        return self.layers is decoder or (len(self.shape) > 1 and not self.is_sequence)

    def model(self, keras: Keras) -> Any:
        """Returns the model with weights as `set_weights` gives them."""
        layers = keras.layers
        model = keras.Sequential([layers.Input(self.shape, dtype=self.dtype), *self.layers(layers)])
        set_weights(model, self.words)
        return model

    def batch(self, n: int) -> np.ndarray:
        """Returns `n` samples, always the same ones; of ids, the later ones of each are nothing (0)."""
        random = np.random.default_rng(7)
        if not self.words:
            return random.normal(size=(n, *self.shape)).astype(np.float32)
        (length,) = self.shape
        ids = random.integers(1, self.words, (n, length))
        return np.where(np.arange(length) < random.integers(length // 2, length + 1, (n, 1)), ids, 0).astype(np.int32)


def set_weights(model: Any, words: int = 0) -> None:
    """Gives a model weights drawn from its shapes alone: small, variances above zero, rows of `words` of about one."""
    random = np.random.default_rng(3)
    drawn = []
    for w in model.get_weights():
        fan_in = 1 if w.shape[0] == words else int(np.prod(w.shape[:-1]))
        drawn.append(random.uniform(0.5, 1.5, w.shape) if w.ndim == 1 else random.normal(size=w.shape) / fan_in**0.5)
    model.set_weights([w.astype(np.float32) for w in drawn])


def mlp(layers: Keras) -> list[Any]:
    return [
        layers.Dense(256, activation="relu"),
        layers.Dense(128, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]


def lenet(layers: Keras) -> list[Any]:
    return [
        layers.Conv2D(6, 5, padding="same", activation="tanh"),
        layers.AveragePooling2D(2),
        layers.Conv2D(16, 5, activation="tanh"),
        layers.AveragePooling2D(2),
        layers.Flatten(),
        layers.Dense(120, activation="tanh"),
        layers.Dense(84, activation="tanh"),
        layers.Dense(10, activation="softmax"),
    ]


def vgg_bn(layers: Keras) -> list[Any]:
    stack: list[Any] = []
    for filters in (32, 64, 128):
        for _ in range(2):
            stack += [
                layers.Conv2D(filters, 3, padding="same"),
                layers.BatchNormalization(),
                layers.ReLU(),
            ]
        stack.append(layers.MaxPooling2D(2))
    return [*stack, layers.Flatten(), layers.Dense(256, activation="relu"), layers.Dense(10, activation="softmax")]


def cnn1d(layers: Keras) -> list[Any]:
    return [
        layers.Conv1D(64, 5, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling1D(2),
        layers.Conv1D(64, 3, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.GlobalAveragePooling1D(),
        layers.Dense(6, activation="softmax"),
    ]


def mobilenet(layers: Keras) -> list[Any]:
    stack: list[Any] = [
        layers.Conv2D(16, 3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(6.0),
    ]
    for filters, stride in ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1)):
        stack += [
            layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.Conv2D(filters, 1, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
        ]
    return [*stack, layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax")]


def sepconv(layers: Keras) -> list[Any]:
    return [
        layers.SeparableConv2D(32, 3, padding="same"),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.MaxPooling2D(2),
        layers.SeparableConv2D(64, 3, padding="same"),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10),
    ]


def lstm_text(layers: Keras) -> list[Any]:
    return [layers.Embedding(2000, 64), layers.LSTM(64), layers.Dense(1, activation="sigmoid")]


def masked(layers: Keras) -> list[Any]:
    return [layers.Embedding(2000, 64, mask_zero=True), layers.LSTM(64), layers.Dense(1, activation="sigmoid")]


def bigru(layers: Keras) -> list[Any]:
    return [
        layers.Bidirectional(layers.GRU(32, return_sequences=True)),
        layers.Bidirectional(layers.GRU(32)),
        layers.Dense(10, activation="softmax"),
    ]


def decoder(layers: Keras) -> list[Any]:
    return [
        layers.Dense(7 * 7 * 64, activation="relu"),
        layers.Reshape((7, 7, 64)),
        layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
    ]


SPECS = {
    "mlp": Spec("three Dense layers on 784 numbers", mlp, (784,)),
    "lenet": Spec("LeNet-5 with tanh on 28x28x1", lenet, (28, 28, 1)),
    "vgg_bn": Spec("six normalized Conv2D on 32x32x3", vgg_bn, (32, 32, 3)),
    "cnn1d": Spec("two Conv1D, normalized after ReLU, on 128x9", cnn1d, (128, 9)),
    "mobilenet": Spec("five depthwise blocks with ReLU6 on 32x32x3", mobilenet, (32, 32, 3)),
    "sepconv": Spec("two SeparableConv2D on 32x32x3", sepconv, (32, 32, 3)),
    "lstm_text": Spec("Embedding and LSTM on 64 words", lstm_text, (64,), words=2000),
    "masked": Spec("the same with a mask", masked, (64,), words=2000),
    "bigru": Spec("two bidirectional GRUs on 32x20", bigru, (32, 20)),
    "decoder": Spec("64 numbers to an image of 28x28x1", decoder, (64,)),
}
