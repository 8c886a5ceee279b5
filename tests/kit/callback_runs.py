"""A model whose numbers are known, and a callback that makes metrics up."""

from __future__ import annotations

from typing import Any

import numpy as np

import seqc as keras
from seqc import callbacks, layers

X = np.linspace(-1, 1, 32, dtype="float32").reshape(16, 2)
Y = X.sum(1, keepdims=True)


def model(optimizer: Any = "sgd", **options: Any) -> keras.Sequential:
    made = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    made.set_weights([np.array([[0.5], [-1.0]], "float32"), np.zeros(1, "float32")])
    made.compile(optimizer, "mse", **options)
    return made


class Fake(callbacks.Callback):
    """Puts made-up values into the logs, before the callbacks that come after it."""

    def __init__(self, **values: list[float]) -> None:
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        logs.update({name: numbers[epoch] for name, numbers in self.values.items()})
