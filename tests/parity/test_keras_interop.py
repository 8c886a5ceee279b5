"""Files go back and forth between seqc and an installed Keras.

Set SEQC_KERAS_PYTHON to an interpreter that has Keras 3, and KERAS_BACKEND if it is not to be JAX.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from kit import keras_side
from kit.keras_files import read_config, require_classes
from kit.keras_python import keras_python
from kit.oracle import cases
from seqc.errors import SavingError
from seqc.saving import load_model

# Two libraries in float32: losses and weights after a few steps differ in their last digits.
TOLERANCE = 2e-5
KEPT = Path(__file__).resolve().parents[1] / "cases"
NAMES = sorted(keras_side.models(seqc))


def run_keras(mode: str, folder: Path, ending: str = ".keras") -> dict[str, str]:
    """Runs the Keras side on the files of a folder that end so, and returns what failed there."""
    python = keras_python()
    command = [python, keras_side.__file__, mode, str(folder), ending]
    subprocess.run(command, check=True, stdout=sys.stderr, env={"KERAS_BACKEND": "jax", **os.environ})
    return json.loads((folder / "failures.json").read_text())  # type: ignore[no-any-return]


def assert_close(ours: Any, theirs: Any, what: str, tolerance: float = TOLERANCE) -> None:
    """Compares relative to the largest value."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, what
    scale = max(1.0, float(np.max(np.abs(theirs), initial=0.0)))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale, err_msg=what)


def assert_same_state(model: Any, recorded: Any, prefix: str, tolerance: float) -> None:
    """Compares weights and optimizer variables with those of the Keras side."""
    ours = keras_side.state(model, prefix)
    assert sorted(ours) == sorted(name for name in recorded if name.startswith(prefix))
    for name, array in ours.items():
        assert_close(array, recorded[name], name, tolerance)


@pytest.fixture(scope="module", params=[".keras", ".h5"])
def made_by_keras(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Path, str, dict[str, str]]:
    folder = tmp_path_factory.mktemp("keras")
    failures = run_keras("make", folder, request.param)
    return folder, request.param, failures


@pytest.fixture(scope="module", params=[".keras", ".h5"])
def opened_by_keras(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Path, str, dict[str, Any], dict[str, str]]:
    keras_python()
    folder = tmp_path_factory.mktemp("seqc")
    models = keras_side.models(seqc)
    for name, model in models.items():
        keras_side.train(model, name)
        model.save(folder / f"{name}{request.param}")
    return folder, request.param, models, run_keras("open", folder, request.param)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_training_that_keras_began_goes_on_in_seqc(name: Any, made_by_keras: tuple[Path, str, dict[str, str]]) -> None:
    folder, ending, failures = made_by_keras
    if (name, ending) == ("mlp_adafactor", ".h5"):
        pytest.skip("Keras 3.15 gives two variables of Adafactor one name and cannot write such a file")
    assert name not in failures, failures[name]
    go_on(folder / f"{name}{ending}", np.load(folder / f"{name}.out.npz"))


@pytest.mark.parametrize("name", ["mlp_adam", "lstm"])
def test_training_that_keras_began_goes_on_from_a_kept_file(name: str) -> None:
    # Written by `python -m kit.keras_side make FOLDER`.
    go_on(KEPT / f"keras_{name}.keras", np.load(KEPT / f"keras_{name}.npz"))


def go_on(path: Path, recorded: Any) -> None:
    model = load_model(path)
    assert_same_state(model, recorded, "loaded", 0.0)
    assert_close(keras_side.train(model, path.stem.removeprefix("keras_")), recorded["losses"], "losses")
    assert_same_state(model, recorded, "after", TOLERANCE)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*considered legacy:UserWarning")
@pytest.mark.parametrize("name", NAMES)
def test_what_seqc_began_goes_on_in_keras(
    name: Any, opened_by_keras: tuple[Path, str, dict[str, Any], dict[str, str]]
) -> None:
    folder, ending, models, failures = opened_by_keras
    if (name, ending) == ("mlp_lamb", ".h5"):
        pytest.skip("Keras 3.15 does not find Lamb in such a file, not even in its own")
    assert name not in failures, failures[name]
    recorded = np.load(folder / f"{name}.out.npz")
    loaded = load_model(folder / f"{name}{ending}")
    if ending == ".h5":
        for key, array in keras_side.state(loaded, "loaded").items():
            assert "_o" in key or np.array_equal(array, recorded[key])
        assert_close(loaded.predict(keras_side.data(name)[0][0], verbose=0), recorded["y"], "y")
        return
    assert_same_state(loaded, recorded, "loaded", 0.0)
    assert_close(keras_side.train(models[name], name), recorded["losses"], "losses")
    assert_same_state(models[name], recorded, "after", TOLERANCE)


@pytest.mark.slow
def test_keras_opens_every_recorded_model_that_seqc_saved(tmp_path: Path) -> None:
    keras_python()
    saved: dict[str, Any] = {}
    for kind in ("layers", "models"):
        for case in cases(kind):
            try:
                require_classes(read_config(case.file(".keras")))
                model = load_model(case.file(".keras"))
            except (pytest.skip.Exception, SavingError):
                continue
            name = f"{kind}_{len(saved)}"
            model.save(tmp_path / f"{name}.keras")
            np.savez(tmp_path / f"{name}.npz", x=case.arrays["x"])
            saved[name] = (case, model)
    if not saved:
        pytest.skip("needs the recorded cases in ../shared")
    failures = run_keras("open", tmp_path)
    assert {saved[name][0].id: text for name, text in failures.items()} == {}
    for name, (case, model) in saved.items():
        recorded = np.load(tmp_path / f"{name}.out.npz")
        for i, weight in enumerate(model.get_weights()):
            np.testing.assert_array_equal(weight, recorded[f"loaded_w{i}"], err_msg=f"{case.id}: w{i}")
        if "y" in recorded and not case.facts.get("disagrees_with"):
            case.check("y", recorded["y"])
