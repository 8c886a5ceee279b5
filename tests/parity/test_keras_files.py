"""Every recorded Keras file loads, computes what Keras computed, and is written as Keras would write it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.effort import THOROUGH
from kit.keras_files import read_arrays, read_config, require_classes
from kit.oracle import SHARED, cases
from kit.own_cells import CELLS
from seqc import utils
from seqc.errors import SavingError
from seqc.saving import load_model, load_weights

# What seqc does not do, and how it says so when a file asks for it.
REFUSED = {
    "layers/BatchNormalization-kt04-renorm_basics": r"BatchNormalization .* does not support renorm=True",
    "layers/BatchNormalization-kt05-renorm_basics": r"BatchNormalization .* does not support renorm=True",
}
# Arguments that Keras takes and does not write where they have their default.
NOT_WRITTEN = {"axis"}
KINDS = ("layers", "models", "training")


def files() -> list[Any]:
    """Returns the recorded cases that have a file."""
    found = [
        # Of the layers' a third, half of them fast: `parity/test_layer_cases.py` loads them all.
        pytest.param(kind, case, id=f"{kind}/{case.id}", marks=[pytest.mark.slow] if kind == "layers" and i % 6 else [])
        for kind in KINDS
        for i, case in enumerate(cases(kind))
        if THOROUGH or kind != "layers" or i % 3 == 0 or f"{kind}/{case.id}" in REFUSED
    ]
    return found or [pytest.param("", None, marks=pytest.mark.skip(reason="needs the recorded cases in ../shared"))]


def plain(value: Any) -> Any:
    """Returns a configuration without what says nothing.

    That is numbers of shared objects, shapes a layer was built for (some layers of Keras note them and others do not),
    and policies in two spellings.
    """
    if isinstance(value, list):
        return [plain(v) for v in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "DTypePolicy":
        return value["config"]["name"]
    # A user's class is written with where it stands.
    own = ("module", "registered_name") if value.get("class_name") in CELLS else ()
    return {k: plain(v) for k, v in value.items() if k not in ("shared_object_id", "build_config", *own)}


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


@pytest.mark.one_in(4)
@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
@pytest.mark.parametrize(("kind", "case"), files())
def test_a_file_of_keras_loads_computes_and_is_written_again(kind: Any, case: Any, tmp_path: Path) -> None:
    path = case.file(".keras")
    config = read_config(path)
    with utils.CustomObjectScope(CELLS):
        require_classes(config)
    refused = REFUSED.get(f"{kind}/{case.id}")
    if refused:
        with pytest.raises(SavingError, match=refused):
            load_model(path)
        return
    model = load_model(path, custom_objects=CELLS)
    assert model.compiled == bool(config["compile_config"])
    if kind != "layers":
        shapes = [case.arrays[f"w{i}"].shape for i in range(len(model.weights))]
        assert [w.shape for w in model.get_weights()] == shapes
    if kind != "training":
        case.check("y", model.predict(case.arrays["x"], batch_size=len(case.arrays["x"]), verbose=0))
    if kind == "models":
        for i, weight in enumerate(model.get_weights()):
            np.testing.assert_array_equal(weight, case.arrays[f"w{i}"])

    again = tmp_path / "again.keras"
    model.save(again)
    assert_says_the_same(plain(read_config(again)), plain(config), "config")
    ours, theirs = read_arrays(again), read_arrays(path)
    assert sorted(ours) == sorted(theirs)
    for name, array in ours.items():
        assert (array.shape, array.dtype) == (theirs[name].shape, theirs[name].dtype), name
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)
    second = load_model(again, custom_objects=CELLS)
    for a, b in zip(second.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["mlp", "bigru", "nested_sequential", "stacked_lstm", "tabular_normalization"])
def test_weights_that_keras_saved_alone_load(name: str) -> None:
    path = SHARED / "models" / f"{name}.keras"
    if not path.exists():
        pytest.skip("needs the recorded cases in ../shared")
    require_classes(read_config(path))
    model = load_model(path, compile=False)
    wanted = model.get_weights()
    model.set_weights([np.zeros_like(w) for w in wanted])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_weights(model, path.with_suffix(".weights.h5"))
    for a, b in zip(model.get_weights(), wanted, strict=True):
        np.testing.assert_array_equal(a, b)
