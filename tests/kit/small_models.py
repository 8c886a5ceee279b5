"""Small models and data for the tests of training."""

from __future__ import annotations

from typing import Any

import numpy as np

import seqc as keras
from seqc import layers

RNG = np.random.default_rng(11)
X = RNG.standard_normal((20, 4)).astype("float32")
Y = (X @ RNG.standard_normal((4, 2)) + 0.1).astype("float32")
CLASSES = np.arange(20) % 3


def regression(optimizer: Any = "sgd", loss: Any = "mse", **options: Any) -> keras.Sequential:
    keras.utils.set_random_seed(4)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(5, activation="tanh"), layers.Dense(2)])
    model.compile(optimizer, loss, **options)
    return model


def classifier(*stack: Any, **options: Any) -> keras.Sequential:
    keras.utils.set_random_seed(4)
    model = keras.Sequential([keras.Input((4,)), *stack, layers.Dense(3, activation="softmax")])
    model.compile(**({"optimizer": "sgd", "loss": "sparse_categorical_crossentropy"} | options))
    return model


def same(a: list[Any], b: list[Any]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def error(model: keras.Sequential, x: Any = X, y: Any = Y) -> Any:
    """The squared error of each sample."""
    return ((model.predict(x, verbose=0) - y) ** 2).mean(-1)
