"""Small models for scikit-learn's estimators, and data that they learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import seqc as keras
from seqc import layers

QUICK: dict[str, Any] = {"epochs": 25, "batch_size": 256, "verbose": 0}


def network(X: Any, units: int, outputs: int, activation: str | None, dtype: str | None = None) -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input(X.shape[1:], dtype=dtype),
            layers.Dense(units, activation="relu", dtype=dtype),
            layers.Dense(outputs, activation=activation, dtype=dtype),
        ]
    )


def classifier(
    X: Any,
    y: Any,
    units: int = 16,
    activation: str | None = "softmax",
    loss: Any = "categorical_crossentropy",
    outputs: int | None = None,
    dtype: str | None = None,
    rate: float = 0.05,
) -> keras.Sequential:
    """Returns a model for classes; each column by itself where samples are of several."""
    if not np.all(y.sum(1) == 1):
        activation, loss = "sigmoid", "binary_crossentropy"
    model = network(X, units, outputs or y.shape[1], activation, dtype)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


def regressor(X: Any, y: Any, units: int = 16, dtype: str | None = None, rate: float = 0.05) -> keras.Sequential:
    model = network(X, units, y.shape[1], None, dtype)
    model.compile(keras.optimizers.Adam(rate), "mse")
    return model


@dataclass(frozen=True)
class Named:
    """A function that makes a model, with a text that is the same in every process: tests are called by it."""

    name: str

    def __call__(self, X: Any, y: Any, **options: Any) -> keras.Sequential:
        makes: dict[str, Callable[..., keras.Sequential]] = {"classifier": classifier, "regressor": regressor}
        result = makes[self.name](X, y, **options)
        return result


def data(samples: int = 120, features: int = 6, seed: int = 0) -> tuple[Any, Any, Any]:
    """Returns samples, which of three classes they are, and two numbers for each."""
    rng = np.random.default_rng(seed)
    x = rng.normal(5.0, 3.0, (samples, features))
    return x, np.digitize(x[:, 1], [4.0, 7.0]), np.stack([x[:, 0] - x[:, 2], x[:, 1] / 2], 1)
