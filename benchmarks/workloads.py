"""The models that are timed, written once against the API that Keras and seqc share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Workload:
    """A model, the shape of one sample, how labels look, and the batch size."""

    name: str
    sample: tuple[int, ...]
    classes: int
    batch: int
    steps: int

    def data(self) -> tuple[Any, Any]:
        """Returns one epoch of random samples and labels."""
        rng = np.random.default_rng(0)
        count = self.batch * self.steps
        return rng.normal(size=(count, *self.sample)).astype("float32"), rng.integers(0, self.classes, count)

    def build(self, keras: Any) -> Any:
        """Returns the compiled model."""
        model = keras.Sequential([keras.Input(self.sample), *LAYERS[self.name](keras.layers)])
        model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model


def _mlp(layers: Any) -> list[Any]:
    return [
        layers.Dense(512, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(256, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(10, activation="softmax"),
    ]


def _cnn(layers: Any) -> list[Any]:
    return [
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]


def _cnn1d(layers: Any) -> list[Any]:
    return [
        layers.Conv1D(64, 3, activation="relu"),
        layers.Conv1D(64, 3, activation="relu"),
        layers.Dropout(0.5),
        layers.Flatten(),
        layers.Dense(100, activation="relu"),
        layers.Dense(6, activation="softmax"),
    ]


def _lstm(layers: Any) -> list[Any]:
    return [layers.LSTM(64, return_sequences=True), layers.LSTM(64), layers.Dense(6, activation="softmax")]


LAYERS = {"mlp": _mlp, "cnn": _cnn, "cnn1d": _cnn1d, "lstm": _lstm}
WORKLOADS = {
    w.name: w
    for w in (
        Workload("mlp", (784,), 10, 128, 60),
        Workload("cnn", (28, 28, 1), 10, 128, 20),
        Workload("cnn1d", (128, 9), 6, 64, 30),
        Workload("lstm", (64, 32), 6, 64, 15),
    )
}
