"""Functional models with operations between their layers go back and forth between seqc and an installed Keras.

What Keras wrote is kept for a few models, so that reading is tested without it. SEQC_KERAS_PYTHON names an interpreter
that has Keras 3; `python -m kit.keras_functional keep tests/cases` writes the kept files.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from kit import keras_functional
from kit.keras_python import keras_python
from seqc import ops
from seqc.operations import _computing, describe_operation, operations

KEPT = Path(__file__).resolve().parents[1] / "cases"


def run_keras(mode: str, folder: Path) -> dict[str, str]:
    """Runs the Keras side on a folder and returns what failed there."""
    python = keras_python()
    command = [python, "-m", "kit.keras_functional", mode, str(folder)]
    # Keras's functions fail on some tensors with TensorFlow.
    environment = {"KERAS_BACKEND": "jax", **os.environ}
    subprocess.run(command, cwd=KEPT.parent, check=True, stdout=sys.stderr, env=environment)
    return json.loads((folder / "failures.json").read_text())  # type: ignore[no-any-return]


def check(found: dict[str, Any], path: Path) -> None:
    """Compares outputs with those recorded beside a file, in numbers, shapes and kinds of numbers."""
    with np.load(path.with_suffix(".npz")) as recorded:
        assert sorted(found) == sorted(recorded.files)
        table = keras_functional.TABLES.get(path.stem.removeprefix("functional_"))
        for key, y in found.items():
            which = list(table)[int(key[2:])] if table else key
            assert (y.shape, y.dtype) == (recorded[key].shape, recorded[key].dtype), which
            if which == "sparsemax":  # rows of Keras's on JAX add up to more than one
                np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-6)
                continue
            np.testing.assert_allclose(y, recorded[key], rtol=1e-5, atol=1e-5, err_msg=which)


@pytest.mark.slow
@pytest.mark.parametrize("name", keras_functional.KEPT)
def test_what_keras_wrote_predicts_the_same_and_so_does_what_is_made_and_saved_again(name: str, tmp_path: Path) -> None:
    path = KEPT / f"functional_{name}.keras"
    loaded = seqc.models.load_model(path)
    check(keras_functional.outputs(loaded), path)
    loaded.save(tmp_path / "again.keras")
    check(keras_functional.outputs(seqc.models.load_model(tmp_path / "again.keras")), path)
    # Keras's order of layers and weights: that of a model with the same code.
    check(keras_functional.outputs(keras_functional.build(seqc, name)), path)


def test_every_operation_is_tried_and_its_settings_are_arguments_of_the_function() -> None:
    # What Keras makes of `rearrange` in a file is in test_einops.py.
    tried = {name for table in keras_functional.TABLES.values() for name in table}
    assert set(operations()) - {"rearrange"} <= tried
    for name, operation in operations().items():
        parameters = set(inspect.signature(_computing(name)).parameters)
        others = {"rms_scaling"} if "kwargs" in parameters else set()
        assert set(operation.settings) <= parameters | others, name


@pytest.fixture(scope="module")
def made_by_keras(tmp_path_factory: Any) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("keras")
    return folder, run_keras("make", folder)


@pytest.fixture(scope="module")
def opened_by_keras(tmp_path_factory: Any) -> tuple[Path, dict[str, str]]:
    keras_python()
    folder = tmp_path_factory.mktemp("seqc")
    for name in keras_functional.MODELS:
        keras_functional.build(seqc, name).save(folder / f"functional_{name}.keras")
    return folder, run_keras("open", folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(keras_functional.MODELS))
def test_what_keras_writes_predicts_the_same_here(name: str, made_by_keras: Any) -> None:
    folder, failures = made_by_keras
    assert name not in failures, failures[name]
    path = folder / f"functional_{name}.keras"
    check(keras_functional.outputs(seqc.models.load_model(path)), path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(keras_functional.MODELS) - {"saved_only"}))
def test_what_seqc_writes_predicts_the_same_in_keras(name: str, opened_by_keras: Any) -> None:
    folder, failures = opened_by_keras
    assert name not in failures, failures[name]
    path = folder / f"functional_{name}.keras"
    check(keras_functional.outputs(seqc.models.load_model(path)), path)


@pytest.mark.slow
@pytest.mark.parametrize("table", ["numbers", "reducing"])
def test_what_the_functions_give_is_proved_at_export(table: str, tmp_path: Path) -> None:
    """In double precision, too: what a function is made of for ONNX means the same as it."""
    pytest.importorskip("onnx", reason="needs onnx")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    x, y, k = keras_functional._ends(seqc)
    computed = keras_functional.TABLES[table].items()
    results = [compute(ops, x, y, k) for name, compute in computed if name not in ("nextafter", "view")]
    seqc.Model({"x": x, "y": y, "k": k}, results).export(tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["one_hot", "convert_to_tensor"])
def test_arguments_that_say_nothing_are_not_written(name: str) -> None:
    """Keras's classes are not called on them."""
    x = seqc.Input((3,), dtype="int32")
    y = getattr(ops, name)(x, **{"num_classes": 4} if name == "one_hot" else {})
    assert y.origin is not None
    _, called_on, named = describe_operation(y.origin)
    assert (called_on, named) == ([x], {})
