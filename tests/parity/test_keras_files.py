"""Every recorded Keras file loads, computes what Keras computed, and is written as Keras would write it."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_files import read_arrays, read_config
from seqc import serialization
from seqc.errors import SavingError
from seqc.saving import load_model, load_weights
from seqc.serialization import is_object

# What seqc does not do, and how it says so when a file asks for it.
REFUSED = {
    "layers/BatchNormalization-kt04-renorm_basics": r"BatchNormalization .* does not support renorm=True",
    "layers/BatchNormalization-kt05-renorm_basics": r"BatchNormalization .* does not support renorm=True",
    "layers/Dense-dtype_float16": r"Dense 'dense' .* Cannot use 'float16' as a layer's dtype",
    "layers/Dense-dtype_mixed_bfloat16": r"Dense 'dense' .* Cannot use 'mixed_bfloat16' as a layer's dtype",
}
# Arguments that Keras takes and does not write where they have their default.
NOT_WRITTEN = {"axis"}
ORACLE = Path(__file__).resolve().parents[3] / "shared" / "oracle"


def cases() -> list[Any]:
    """Returns the recorded files."""
    paths = [path for name in ("layers", "models", "training") for path in sorted((ORACLE / name).glob("*.keras"))]
    found = [pytest.param(path, id=f"{path.parent.name}/{path.stem}") for path in paths]
    return found or [pytest.param(None, marks=pytest.mark.skip(reason="needs the recorded Keras cases in ../shared"))]


def described(value: Any) -> list[dict[str, Any]]:
    """Returns all objects in a configuration."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [*([value] if is_object(value) else []), *(d for v in inner for d in described(v))]


def require_classes(config: Any) -> None:
    """Skips a file that needs classes which are not carried."""
    missing = set()
    for entry in described(config):
        try:
            if entry["class_name"] not in ("DTypePolicy", "function"):
                serialization.find_class(entry)
        except SavingError:
            missing.add(entry["class_name"])
    if missing:
        pytest.skip(f"not carried: {', '.join(sorted(missing))}")


def assert_close(found: Any, recorded: Any, tolerance: float, what: str) -> None:
    """Compares as the recordings say: to a tolerance relative to the largest value."""
    found, recorded = np.asarray(found), np.asarray(recorded)
    assert found.shape == recorded.shape, what
    if recorded.dtype.kind != "f":
        np.testing.assert_array_equal(found, recorded, err_msg=what)
        return
    finite = np.isfinite(recorded)
    np.testing.assert_array_equal(found[~finite], recorded[~finite], err_msg=what)
    scale = max(1.0, float(np.max(np.abs(recorded[finite]), initial=0.0)))
    assert np.max(np.abs(found[finite] - recorded[finite]), initial=0.0) <= tolerance * scale, what


def plain(value: Any) -> Any:
    """Returns a configuration without what says nothing: numbers of shared objects, shapes a layer was built for (some
    layers of Keras note them and others do not), and policies in two spellings."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "DTypePolicy":
        return value["config"]["name"]
    return {k: plain(v) for k, v in value.items() if k not in ("shared_object_id", "build_config")}


def assert_says_the_same(ours: Any, theirs: Any, where: str) -> None:
    """Every entry we write is one that Keras writes, with the same value; entries that we lack say nothing to us."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        extra = set(ours) - set(theirs) - NOT_WRITTEN
        assert not extra, f"{where}: Keras has no {extra}"
        for key, value in ((k, v) for k, v in ours.items() if k in theirs):
            assert_says_the_same(value, theirs[key], f"{where}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert_says_the_same(a, b, f"{where}[{i}]")
    else:
        assert ours == theirs, where


@pytest.mark.parametrize("path", cases())
def test_a_file_of_keras_loads_computes_and_is_written_again(path, tmp_path):
    config = read_config(path)
    require_classes(config)
    facts = json.loads(path.with_suffix(".json").read_text())
    arrays = np.load(path.with_suffix(".npz"))
    refused = REFUSED.get(f"{path.parent.name}/{path.stem}")
    if refused:
        with pytest.raises(SavingError, match=refused):
            load_model(path)
        return
    model = load_model(path)
    assert model.compiled == bool(config["compile_config"])
    if path.parent.name != "layers":
        shapes = [arrays[f"w{i}"].shape for i in range(len(model.weights))]
        assert [w.shape for w in model.get_weights()] == shapes
    if "y" in arrays and path.parent.name != "training":
        y = model.predict(arrays["x"], batch_size=len(arrays["x"]), verbose=0)
        assert_close(y, arrays["y"], facts["tol"].get("y", facts["tol"]["default"]), "y")
    if path.parent.name == "models":
        for i, weight in enumerate(model.get_weights()):
            np.testing.assert_array_equal(weight, arrays[f"w{i}"])

    again = tmp_path / "again.keras"
    model.save(again)
    assert_says_the_same(plain(read_config(again)), plain(config), "config")
    theirs = read_arrays(path)
    for name, array in read_arrays(again).items():
        assert array.shape == theirs[name].shape, name
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)
    second = load_model(again)
    for a, b in zip(second.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["mlp", "bigru", "nested_sequential", "stacked_lstm", "tabular_normalization"])
def test_weights_that_keras_saved_alone_load(name):
    path = ORACLE / "models" / f"{name}.keras"
    if not path.exists():
        pytest.skip("needs the recorded Keras cases in ../shared")
    require_classes(read_config(path))
    model = load_model(path, compile=False)
    wanted = model.get_weights()
    model.set_weights([np.zeros_like(w) for w in wanted])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_weights(model, path.with_suffix(".weights.h5"))
    for a, b in zip(model.get_weights(), wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_functional_models_are_refused_by_name():
    paths = sorted((ORACLE / "functional").glob("*.keras"))
    if not paths:
        pytest.skip("needs the recorded Keras cases in ../shared")
    for path in paths:
        with pytest.raises(ValueError, match=re.escape(f"'{path}' holds a Functional model")):
            load_model(path)
