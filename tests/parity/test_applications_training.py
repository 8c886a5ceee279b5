"""Models of keras.applications trained by real Keras and by seqc, from the same file on the same images.

Deep networks that normalize few images make much of rounding errors: after three steps in single precision, Keras's own
weights are off from those in double precision by a tenth of the way or more. So numbers are compared in double
precision, in which both take the same steps; and seqc in single precision is to be no further off than Keras is.

Set SEQC_KERAS_PYTHON to an interpreter that has Keras 3.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit import keras_training
from kit.keras_python import keras_python
from kit.step_runs import take_steps
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array
from seqc.passes.precision import promote_floats
from seqc.training.data import make_data
from seqc.training.step import Signature, train_step

NAMES = ("MobileNetV2", "ResNet50V2")


class Recorded:
    """What Keras did with one optimizer."""

    def __init__(self, folder: Path, name: str, optimizer: str) -> None:
        with np.load(folder / f"{name}.npz") as file:
            self.x, self.y = file["x"], file["y"]
            own = {key.removeprefix(f"{optimizer}/"): file[key] for key in file.files if key.startswith(optimizer)}
        self._own = own

    def losses(self, precision: str) -> Array:
        result: Array = self._own[f"{precision}/losses"]
        return result

    def weights(self, precision: str, when: str) -> list[Array]:
        count = sum(key.startswith(f"{precision}/{when}/") for key in self._own)
        return [self._own[f"{precision}/{when}/{i}"] for i in range(count)]


def apart(some: Sequence[Array], others: Sequence[Array]) -> float:
    """Returns the distance between all weights and statistics."""
    pairs = zip(some, others, strict=True)
    return float(np.sqrt(sum(np.sum(np.square(a.astype(np.float64) - b)) for a, b in pairs)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    python = keras_python()
    made = tmp_path_factory.mktemp("applications")
    for name in NAMES:
        subprocess.run([python, keras_training.__file__, str(made), name], check=True)
    return made


def in_doubles(model: Any, optimizer: str, recorded: Recorded) -> tuple[list[float], list[list[Array]]]:
    """Takes seqc's steps in double precision; returns the losses, and the weights after the first and the last."""
    model.compile(keras_training.OPTIMIZERS[optimizer](keras), "sparse_categorical_crossentropy")
    given = make_data([recorded.x], [recorded.y], [None], ["float32"]).rows(slice(None))
    batch = [wide(a) for a in given if a is not None]
    step = train_step(model, Signature.of(given, 1))
    seen = take_steps(step, [batch] * keras_training.STEPS, Interpreter(promote_floats(step.graph)).run)
    weights = []
    for results in (seen[0], seen[-1]):
        new = dict(zip(step.writes, results[1:], strict=True))
        weights.append([np.asarray(new.get(v, v.array)) for v in model.weights])
    return [float(results[0]) for results in seen], weights


def wide(a: Array) -> Array:
    return a.astype(np.float64) if a.dtype.kind == "f" else a


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", keras_training.OPTIMIZERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_model_of_keras_applications_learns_as_in_keras(name: str, optimizer: str, folder: Path) -> None:
    recorded = Recorded(folder, name, optimizer)
    first, last = (recorded.weights("float64", when) for when in ("first", "last"))
    truth = recorded.losses("float64")
    start = keras.saving.load_model(folder / f"{name}.keras").get_weights()
    assert apart(first, start) > 0.01
    assert np.ptp(truth) > 0.01

    # In double precision the same; but constants such as 1 - 0.999 are those of single precision.
    losses, weights = in_doubles(keras.saving.load_model(folder / f"{name}.keras"), optimizer, recorded)
    assert losses[0] == pytest.approx(truth[0], rel=1e-10)
    assert losses == pytest.approx(truth, rel=1e-5)
    assert apart(weights[0], first) < 1e-5 * apart(first, start)
    assert apart(weights[1], last) < 0.02 * apart(last, start)

    # In single precision, no further off than Keras.
    model = keras.saving.load_model(folder / f"{name}.keras")
    losses, weights = keras_training.train(keras, model, optimizer, recorded.x, recorded.y)
    assert losses[0] == pytest.approx(recorded.losses("float32")[0], rel=1e-4)
    for when, ours, exact in zip(("first", "last"), weights, (first, last), strict=True):
        assert apart(ours, exact) < 2 * apart(recorded.weights("float32", when), exact)
    keras_off = np.abs(recorded.losses("float32") - truth).max()
    np.testing.assert_allclose(losses, truth, rtol=1e-4, atol=3 * keras_off)
