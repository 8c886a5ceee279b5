"""Twelve samples, a model of them, and a tensor of another library."""

from __future__ import annotations

from typing import Any

import numpy as np

import seqc as keras
from seqc import layers

X = np.arange(24, dtype="float32").reshape(12, 2) / 24
Y = X.sum(1, keepdims=True)


def model(loss: str = "mse", units: int = 1, activation: str | None = None, rate: float = 0.0) -> keras.Sequential:
    keras.utils.set_random_seed(6)
    made = keras.Sequential([keras.Input((2,)), layers.Dense(units, activation=activation)])
    made.compile(keras.optimizers.SGD(rate), loss)
    return made


class Foreign:
    """What seqc needs of a tensor of another library."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self.ndim = array.ndim

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self._array, dtype)
