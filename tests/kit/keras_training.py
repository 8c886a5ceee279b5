"""Models of keras.applications trained by real Keras: `python keras_training.py FOLDER NAME ...`.

It writes NAME.keras with the weights that Keras draws, and NAME.npz with the images, the labels, and what a few steps
of each optimizer make of the losses, the weights and the moving statistics: in single and in double precision.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIDE, BATCH, CLASSES, STEPS = 64, 8, 10, 3
# Rates are powers of two: the same number in both precisions.
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda keras: keras.optimizers.SGD(2.0**-10, momentum=0.5, nesterov=True),
    "adam": lambda keras: keras.optimizers.Adam(2.0**-13),
}


def images(name: str) -> np.ndarray:
    from keras_applications import structured_images, takes_bytes

    drawn = structured_images(SIDE)[:BATCH]
    result: np.ndarray = drawn if takes_bytes(name) else drawn / np.float32(127.5) - 1
    return result


def make(keras: Any, name: str) -> Any:
    """Returns a model that drops nothing: what Keras and seqc draw for that is different."""
    model = getattr(keras.applications, name)(weights=None, input_shape=(SIDE, SIDE, 3), classes=CLASSES)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    return model


def train(
    keras: Any, model: Any, optimizer: str, x: np.ndarray, y: np.ndarray, **options: Any
) -> tuple[list[float], list[list[np.ndarray]]]:
    """Takes the steps, with the same batch each; returns the losses, and the weights after the first and the last."""
    model.compile(OPTIMIZERS[optimizer](keras), "sparse_categorical_crossentropy", **options)
    losses, weights = [], []
    for step in range(STEPS):
        losses.append(float(model.train_on_batch(x, y)))
        if step in (0, STEPS - 1):
            weights.append([np.array(w) for w in model.get_weights()])
    return losses, weights


def save(keras: Any, name: str, folder: Path) -> None:
    keras.utils.set_random_seed(0)
    x, y = images(name), np.random.default_rng(0).permutation(CLASSES)[:BATCH].astype("int64")
    start = make(keras, name)
    start.save(folder / f"{name}.keras")
    found: dict[str, Any] = {"x": x, "y": y}
    for precision in ("float32", "float64"):
        # Losses and optimizers compute in floatx, whatever the layers do.
        keras.config.set_floatx(precision)
        keras.config.set_dtype_policy(precision)
        model = make(keras, name)
        for optimizer in OPTIMIZERS:
            model.set_weights(start.get_weights())
            losses, weights = train(keras, model, optimizer, x.astype(precision), y, run_eagerly=True)
            assert all(w.dtype == precision for w in weights[-1] if w.dtype.kind == "f"), (
                f"{name} is not in {precision}"
            )
            found[f"{optimizer}/{precision}/losses"] = np.array(losses)
            for when, arrays in zip(("first", "last"), weights, strict=True):
                found |= {f"{optimizer}/{precision}/{when}/{i}": w for i, w in enumerate(arrays)}
            print(f"{name}, {optimizer}, {precision}: {losses}", flush=True)
    np.savez(folder / f"{name}.npz", **found)


if __name__ == "__main__":
    from keras_applications import main

    main(Path(sys.argv[1]), sys.argv[2:], save)
