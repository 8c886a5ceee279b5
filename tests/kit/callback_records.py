"""Records what Keras's callbacks make of a run: python -m kit.callback_records

Run from `tests` in an environment with Keras 3 instead of seqc's. The history of each run, the weights that it ends
with and the names of its files go to `tests/cases/callback_records.json`. Those of averages are in `averaged_runs`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).resolve().parents[1] / "cases" / "callback_records.json"
X = np.linspace(-1, 1, 48).reshape(24, 2).astype("float32")
Y = (X @ np.array([[1.0], [-2.0]]) + 0.3).astype("float32")
Y[3] += 2

# By name: what makes the callbacks of a folder, the learning rate, and arguments of `fit`.
Run = tuple[Callable[[Any, str], list[Any]], float, dict[str, Any]]


def _weights(folder: str, name: str) -> str:
    return f"{folder}/{name}.weights.h5"


RUNS: dict[str, Run] = {
    "plateau": (
        lambda c, _: [
            c.ReduceLROnPlateau("val_loss", factor=0.3, patience=1, min_delta=0.02, cooldown=1, min_lr=0.001)
        ],
        0.05,
        {"epochs": 8, "validation_split": 0.25},
    ),
    "rates": (lambda c, _: [c.LearningRateScheduler(lambda epoch, rate: rate * 0.7)], 0.05, {"epochs": 4}),
    "stopped": (
        lambda c, _: [c.EarlyStopping("val_loss", patience=2, start_from_epoch=2, min_delta=0.001)],
        0.9,
        {"epochs": 12, "validation_split": 0.25},
    ),
    "restored": (
        lambda c, _: [c.EarlyStopping("val_loss", patience=2, start_from_epoch=2, restore_best_weights=True)],
        0.9,
        {"epochs": 12, "validation_split": 0.25},
    ),
    "not finite": (lambda c, _: [c.TerminateOnNaN()], 1e20, {"epochs": 5}),
    "best": (
        lambda c, folder: [c.ModelCheckpoint(_weights(folder, "{epoch}"), save_best_only=True, save_weights_only=True)],
        0.3,
        {"epochs": 6, "validation_split": 0.25},
    ),
    "every fourth": (
        lambda c, folder: [c.ModelCheckpoint(_weights(folder, "{epoch}_{batch}"), save_freq=4, save_weights_only=True)],
        0.05,
        {"epochs": 3},
    ),
    "csv": (lambda c, folder: [c.CSVLogger(f"{folder}/log.csv")], 0.05, {"epochs": 2, "validation_split": 0.25}),
}


def run(keras: Any, name: str) -> dict[str, Any]:
    """Returns the history of a run, the weights at its end, its files, and the rows of its table."""
    make, rate, how = RUNS[name]
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.set_weights([np.array([[0.5], [-1.0]], "float32"), np.zeros(1, "float32")])
    model.compile(keras.optimizers.SGD(rate), "mse", metrics=["mae"])
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"batch_size": 4, "shuffle": False, "verbose": 0} | how
        history = model.fit(X, Y, callbacks=make(keras.callbacks, folder), **options).history
        table = Path(folder, "log.csv")
        if table.exists():  # and on, in the same table
            goes_on = {"initial_epoch": 2, "epochs": 4, "callbacks": [keras.callbacks.CSVLogger(table, append=True)]}
            model.fit(X, Y, **options | goes_on)
        return {
            "history": {key: [float(v) for v in values] for key, values in sorted(history.items())},
            "weights": [float(v) for one in model.get_weights() for v in one.ravel()],
            "files": sorted(os.listdir(folder)),
            "table": [line.split(",") for line in table.read_text().splitlines()] if table.exists() else [],
        }


def main() -> None:
    import keras

    FILE.write_text(json.dumps({name: run(keras, name) for name in RUNS}, indent=1, allow_nan=True) + "\n")


if __name__ == "__main__":
    main()
