"""Models that TensorFlow.js's converter wrote predict what its weights say: see `kit.record_tensorflow_js`."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from kit.oracle import ROOT
from seqc.models import model_from_json
from seqc.saving import load_model

NAMES = ("stack", "stack_float16", "stack_uint8", "stack_uint16", "nested", "hard_swish")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tensorflow_js")
    with zipfile.ZipFile(ROOT / "tests" / "cases" / "tensorflow_js.zip") as archive:
        archive.extractall(path)
    return path


@pytest.mark.filterwarnings("ignore:Layer .* computes hard_sigmoid as Keras 2 did")  # of one of them, when it is saved
@pytest.mark.parametrize("name", NAMES)
def test_a_model_of_the_converter_predicts_the_same(folder: Path, name: str, tmp_path: Path) -> None:
    arrays = np.load(folder / name / "recorded.npz")
    xs = [arrays[key] for key in sorted(arrays) if key.startswith("x")]
    wanted = [arrays[key] for key in sorted(arrays) if key.startswith("y")]
    model = load_model(folder / name / "model.json")
    model.save(tmp_path / "again.keras")
    for one in (model, load_model(tmp_path / "again.keras")):
        found = one.predict(xs if len(xs) > 1 else xs[0], verbose=0)
        for y, expected in zip(found if isinstance(found, list) else [found], wanted, strict=True):
            np.testing.assert_allclose(y, expected, rtol=1e-5, atol=2e-6)


def test_its_weights_go_into_a_model_of_the_same_layers(folder: Path) -> None:
    source = load_model(folder / "stack" / "model.json")
    model = model_from_json(source.to_json())
    model.load_weights(folder / "stack" / "model.json")
    assert all(map(np.array_equal, model.get_weights(), source.get_weights()))
