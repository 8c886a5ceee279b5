"""Trainings in which features meet: weights of samples, classes and steps, masks, accumulation, weighted metrics.

`python -m kit.feature_pairs FILE`, run where Keras is installed, records what Keras gives.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

ROWS = 10
NUMBERS = np.sin(np.arange(ROWS * 4)).reshape(ROWS, 4).astype("float32")
TOKENS = np.array([[(3 * i + j) % 5 + 1 if j <= i % 4 else 0 for j in range(4)] for i in range(ROWS)], "int32")
CLASSES = np.arange(ROWS) * 7 % 3
STEPS = (np.arange(ROWS)[:, None] + np.arange(4)) % 3
WEIGHTS = (np.arange(ROWS) % 4 / 2).astype("float32")
CLASS_WEIGHTS = {0: 1.0, 1: 3.0, 2: 0.5}


def _stack(keras: Any, kind: str) -> tuple[list[Any], Any, Any]:
    """Returns layers, samples and labels."""
    layers = keras.layers
    last = layers.Dense(3, activation="softmax")
    if kind == "plain":
        return [keras.Input((4,)), layers.Dense(5, activation="tanh", kernel_regularizer="l2"), last], NUMBERS, CLASSES
    first = [keras.Input((4,), dtype="int32"), layers.Embedding(6, 3, mask_zero=True)]
    if kind == "masked":
        return [*first, layers.LSTM(3), last], TOKENS, CLASSES
    return [*first, layers.SimpleRNN(3, return_sequences=True), last], TOKENS, STEPS


def _weights(kind: str, weights: str) -> dict[str, Any]:
    if weights == "samples":
        return {"sample_weight": WEIGHTS[:, None] if kind == "steps" else WEIGHTS}
    if weights == "steps":
        return {"sample_weight": WEIGHTS[:, None] * np.array([1, 0, 2, 1], "float32")}
    return {"class_weight": CLASS_WEIGHTS} if weights == "classes" else {}


def cases() -> Iterator[tuple[str, str, int | None, bool]]:
    """Yields kinds of models and weights, batches per update, and whether labels are one-hot."""
    for kind, weights, accumulated, hot in product(
        ("plain", "masked", "steps"), ("none", "samples", "classes", "steps"), (None, 2), (False, True)
    ):
        if (weights == "steps" and kind != "steps") or (weights == "classes" and kind == "steps"):
            continue
        if hot and (kind == "masked" or accumulated):
            continue
        yield kind, weights, accumulated, hot


def train(keras: Any, kind: str, weights: str, accumulated: int | None, hot: bool) -> dict[str, list[float]]:
    """Returns the history of a short training, and the sums of the weights it ends with."""
    stack, x, y = _stack(keras, kind)
    y = np.eye(3, dtype="float32")[y] if hot else y
    model = keras.Sequential(stack)
    model.set_weights(
        [np.sin(3 * i + np.arange(w.size)).reshape(w.shape) / 2 for i, w in enumerate(model.get_weights())]
    )

    def metrics() -> list[Any]:
        own = keras.metrics
        if not hot:
            return ["accuracy", own.SparseCategoricalCrossentropy(name="ce")]
        listed = [own.Precision(0.4, name="p"), own.Recall(0.4, name="r"), own.AUC(name="auc")]
        return [
            *listed,
            own.CategoricalAccuracy(name="ca"),
            *([] if kind == "steps" else [own.F1Score("macro", name="f")]),
        ]

    optimizer = keras.optimizers.SGD(0.5, momentum=0.5, gradient_accumulation_steps=accumulated)
    loss = "categorical_crossentropy" if hot else "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, metrics=metrics(), weighted_metrics=metrics())
    given = _weights(kind, weights)
    validation = (x, y, given["sample_weight"]) if "sample_weight" in given else (x, y)
    history = model.fit(
        x, y, batch_size=4, epochs=2, shuffle=False, verbose=0, validation_data=validation, **given
    ).history
    found = {name: [float(v) for v in values] for name, values in sorted(history.items())}
    return found | {"weights": [float(np.abs(w).sum()) for w in model.get_weights()]}


def record(path: str) -> None:
    import keras

    lines = []
    for case in cases():
        found = {name: [float(f"{v:.6g}") for v in values] for name, values in train(keras, *case).items()}
        lines.append(f"{json.dumps(' '.join(map(str, case)))}: {json.dumps(found)}")
    with open(path, "w") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    record(sys.argv[1])
