"""A model with a hundred layers, as tf.keras and Keras 3.0, 3.3, 3.6 and 3.15 wrote it: see `kit.record_layer_files`.

Keras 3.0 could not write it as `.h5`.
"""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kit.oracle import ROOT
from seqc.saving import load_model

ARCHIVE = ROOT / "tests" / "cases" / "layer_files.zip"
FILES = [name for name in zipfile.ZipFile(ARCHIVE).namelist() if not name.endswith(".npz")]


@pytest.mark.parametrize("name", FILES)
def test_every_layer_predicts_what_the_keras_that_wrote_it_predicted(name, tmp_path):
    with zipfile.ZipFile(ARCHIVE) as archive:
        path = Path(archive.extract(name, tmp_path))
        recorded = np.load(archive.extract(f"{name.rpartition('.')[0]}.npz", tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load_model(path)
    wanted = [recorded[key] for key in sorted(recorded) if key.startswith("y")]
    assert len(wanted) == len(model.outputs) >= 90
    found = model.predict([recorded[key] for key in sorted(recorded) if key.startswith("x")], verbose=0)
    for layer, y, expected in zip(model.output_names, found, wanted, strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5, err_msg=layer)
