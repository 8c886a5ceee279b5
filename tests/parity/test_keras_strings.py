"""Files of models that begin with strings, from Keras to seqc and back.

Set SEQC_KERAS_PYTHON to an interpreter that has Keras 3 and TensorFlow.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import seqc
from kit import keras_strings
from kit.keras_python import keras_python
from seqc.saving import load_model

pytestmark = pytest.mark.slow


def run_keras(mode: str, folder: Path) -> None:
    python = keras_python()
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment = outside | {"KERAS_BACKEND": "tensorflow"}
    subprocess.run([python, keras_strings.__file__, mode, str(folder)], check=True, stdout=sys.stderr, env=environment)
    assert json.loads((folder / "failures.json").read_text()) == {}


def test_seqc_opens_what_keras_wrote(tmp_path: Path) -> None:
    run_keras("make", tmp_path)
    for name, (_, x) in keras_strings.models(seqc).items():
        found = load_model(tmp_path / f"{name}.keras").predict(x, verbose=0)
        np.testing.assert_allclose(found, np.load(tmp_path / f"{name}.npy"), rtol=1e-6, err_msg=name)


def test_keras_opens_what_seqc_wrote(tmp_path: Path) -> None:
    keras_python()
    models = keras_strings.models(seqc)
    for name, (model, _) in models.items():
        model.save(tmp_path / f"{name}.keras")
    run_keras("open", tmp_path)
    for name, (model, x) in models.items():
        found = model.predict(x, verbose=0)
        np.testing.assert_allclose(found, np.load(tmp_path / f"{name}.npy"), rtol=1e-6, err_msg=name)
