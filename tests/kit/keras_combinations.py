"""Records what Keras computes for some combinations of training: python -m kit.keras_combinations

Run from the repository root in an environment with Keras 3 (KERAS_BACKEND=jax, say) instead of seqc's. Some of the
combinations of `training_grid` are trained by `fit` in single precision; the losses of the epochs, the weights and the
optimizer's variables go to `tests/cases/training_grid.npz`, one flat array per combination.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kit.covering import pairs_of
from kit.training_grid import AXES, Combination, covering_combinations, make_data, make_model, make_optimizer

FILE = Path(__file__).resolve().parents[1] / "cases" / "training_grid.npz"
COUNT, EPOCHS = 40, 2


def recorded_combinations() -> list[Combination]:
    """Returns some of the combinations in which all pairs meet: those that add the most pairs, in every model.

    Every optimizer, every way to clip, every extra and every model is among them.
    """
    left = list(covering_combinations())
    chosen: list[Combination] = []
    seen: set[Any] = set()
    for number in range(COUNT):
        model, optimizer = (AXES[i][number % len(AXES[i])] for i in (3, 0))
        best = max(left, key=lambda c: (2 * (c[3] == model) + (c[0] == optimizer), len(pairs_of(c) - seen)))
        left.remove(best)
        seen |= pairs_of(best)
        chosen.append(best)
    return chosen


def train(keras: Any, combination: Combination) -> Any:
    """Returns the losses of the epochs, the weights and the optimizer's variables, one after the other."""
    name = combination[-1]
    model = make_model(keras, name)
    model.compile(make_optimizer(keras, combination), "mse", metrics=["mae"])
    history = model.fit(*make_data(name), batch_size=4, epochs=EPOCHS, shuffle=False, verbose=0).history
    logs = [history[key] for key in ("loss", "mae")]
    variables = [np.asarray(v.numpy()) for v in model.optimizer.variables]
    return np.concatenate([np.ravel(a).astype("float32") for a in (*logs, *model.get_weights(), *variables)])


def main() -> None:
    import keras

    np.savez_compressed(FILE, **{"/".join(c): train(keras, c) for c in recorded_combinations()})


if __name__ == "__main__":
    main()
