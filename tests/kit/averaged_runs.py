"""Records what Keras's callbacks make of optimizers that keep averages of weights: python -m kit.averaged_runs

Run from `tests` in an environment with Keras 3 instead of seqc's. For each optimizer and each set of callbacks the
history of a run, its weights and optimizer variables, and what the files that callbacks wrote lead to, go to
`tests/cases/averaged_runs.npz` as one flat array.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).resolve().parents[1] / "cases" / "averaged_runs.npz"
AVERAGES = {"use_ema": True, "ema_momentum": 0.6}

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "overwritten": lambda o: o.SGD(0.3, momentum=0.5, ema_overwrite_frequency=3, **AVERAGES),
    "scaled": lambda o: o.LossScaleOptimizer(o.Adam(0.3, **AVERAGES), dynamic_growth_steps=3),
    "several": lambda o: o.MultiOptimizer(
        o.OptimizerMap(o.SGD(0.1, **AVERAGES), {".*kernel": o.Muon(0.2, **AVERAGES)})
    ),
}
CALLBACKS: dict[str, Callable[[Any, str], list[Any]]] = {
    "files": lambda c, folder: [
        c.ModelCheckpoint(f"{folder}/{{epoch}}.weights.h5", save_weights_only=True),
        c.ModelCheckpoint(f"{folder}/best.keras", save_best_only=True),
    ],
    "stopped": lambda c, folder: [c.EarlyStopping("val_loss", patience=1, restore_best_weights=True)],
    "swapped": lambda c, folder: [c.SwapEMAWeights()],
    "kept swapped": lambda c, folder: [
        c.SwapEMAWeights(swap_on_epoch=True),
        c.ModelCheckpoint(f"{folder}/best.keras", save_best_only=True),
    ],
}
RUNS = list(product(OPTIMIZERS, CALLBACKS))


def run(keras: Any, optimizer: str, callbacks: str) -> Any:
    """Returns all numbers of a run, and of the runs that go on from its files, one after the other."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape).astype("float32") for shape in ((4, 5), (5,), (5, 1), (1,))]
    x, held_out = (rng.normal(size=(n, 4)).astype("float32") for n in (32, 16))
    y, held_out_y = (np.sin(one.sum(1, keepdims=True)) for one in (x, held_out))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, "tanh"), keras.layers.Dense(1)])
    model.set_weights(weights)
    model.compile(OPTIMIZERS[optimizer](keras.optimizers), "mse")
    options: dict[str, Any] = {"batch_size": 8, "shuffle": False, "verbose": 0}
    with tempfile.TemporaryDirectory() as folder:
        given = CALLBACKS[callbacks](keras.callbacks, folder)
        history = model.fit(x, y, epochs=5, validation_data=(held_out, held_out_y), callbacks=given, **options).history
        found = [*history.values(), *_state(model)]
        for name in sorted(os.listdir(folder)):
            if name.endswith(".keras"):
                loaded = keras.models.load_model(f"{folder}/{name}")
                found += _state(loaded)
                found += [*loaded.fit(x, y, epochs=1, **options).history.values(), *_state(loaded)]
            else:
                model.load_weights(f"{folder}/{name}")
                found += model.get_weights()
    return np.concatenate([np.ravel(one).astype("float32") for one in found])


def _state(model: Any) -> list[Any]:
    return [*model.get_weights(), *(np.asarray(variable.numpy()) for variable in model.optimizer.variables)]


def main() -> None:
    import keras

    np.savez_compressed(FILE, **{"/".join(one): run(keras, *one) for one in RUNS})


if __name__ == "__main__":
    main()
