"""Weights that Keras 3 put into several files, see `kit.record_sharded`; and what such a set must not do."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.oracle import ROOT
from seqc.errors import SavingError
from seqc.models import clone_model
from seqc.saving import load_model, load_weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with zipfile.ZipFile(ROOT / "tests" / "cases" / "sharded.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path


def emptied(folder: Path) -> Any:
    """The recorded model, with weights and an optimizer of its own."""
    model = clone_model(load_model(folder / "model.keras", compile=False))
    model.compile("adam", "mse")
    return model


@pytest.mark.slow
def test_weights_come_out_of_all_files_and_the_optimizer_goes_on(folder: Path) -> None:
    arrays = np.load(folder / "model.npz")
    whole, model = load_model(folder / "model.keras"), emptied(folder)
    model.fit(arrays["x"], arrays["y"], verbose=0)  # the optimizer has its variables from here on
    model.load_weights(folder / "model.weights.json")
    np.testing.assert_allclose(model.predict(arrays["x"], verbose=0), arrays["y"], rtol=1e-6, atol=1e-6)
    for one in (whole, model):
        one.fit(arrays["x"], arrays["y"][::-1], batch_size=6, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.predict(arrays["x"], verbose=0), whole.predict(arrays["x"], verbose=0))


def lose(folder: Path, content: dict[str, Any]) -> None:
    (folder / "model_00004.weights.h5").unlink()


def cut(folder: Path, content: dict[str, Any]) -> None:
    path = folder / "model_00001.weights.h5"
    path.write_bytes(path.read_bytes()[:5000])


def twice(folder: Path, content: dict[str, Any]) -> None:
    (folder / "again.h5").write_bytes((folder / "model_00000.weights.h5").read_bytes())
    content["weight_map"]["/again"] = "again.h5"


def forget(folder: Path, content: dict[str, Any]) -> None:
    files = {"model_00000.weights.h5"}
    content["weight_map"] = {key: [f for f in names if f in files] for key, names in content["weight_map"].items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lose, r"keeps weights in 'model_00004\.weights\.h5', which is missing: put it beside the file"),
        (cut, "is not an HDF5 file: .* It may be cut off or damaged"),
        (twice, "has the path of another array. Refused"),
        (forget, r"expected 4 variables \(gamma, beta, .*\), but received 1 variables"),
        (lambda _, c: c.update(weight_map={"/vars": "../other.h5"}), r"'\.\./other\.h5', which is no file beside it"),
        (lambda _, c: c.update(weight_map={"/vars": [["a.h5"]]}), "are in what is no file"),
        (lambda _, c: c.update(weight_map={}), "says of no weights in which file they are"),
        (lambda _, c: c.update(weight_map={str(i): f"{i}.h5" for i in range(300)}), "in 300 files; at most 256"),
    ],
)
def test_what_is_missing_damaged_or_elsewhere_is_refused_and_the_model_keeps_its_weights(
    folder: Path, change: Any, message: str
) -> None:
    path = folder / "model.weights.json"
    content = json.loads(path.read_text())
    change(folder, content)
    path.write_text(json.dumps(content))
    model = emptied(folder)
    before = model.get_weights()
    with pytest.raises(SavingError, match=message):
        load_weights(model, path)
    assert all(map(np.array_equal, model.get_weights(), before))
