"""Recorded Keras runs: the same file, data and arguments give the same history, weights and optimizer state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc.errors import SavingError
from seqc.graph.ir import Array

SHARED = Path(__file__).resolve().parents[3] / "shared" / "oracle" / "training"
CASES = Path(__file__).resolve().parents[1] / "cases"


def cases() -> list[Path]:
    own = sorted(CASES.glob("training_*.json"))
    return sorted(SHARED.glob("*.json")) if SHARED.is_dir() else own


def carried(facts: dict[str, Any]) -> str:
    """Returns why the case cannot run yet, or an empty string."""
    names = set(class_names(facts["layers"]))
    missing = {n for n in names if not hasattr(keras.layers, n) and n != "Sequential"}
    callbacks = {name for name, _ in facts.get("fit", {}).get("callbacks", [])}
    missing |= {n for n in callbacks if not hasattr(keras.callbacks, n)}
    optimizer = facts["compile_config"]["optimizer"]["class_name"]
    missing |= set() if hasattr(keras.optimizers, optimizer) else {optimizer}
    return f"needs {', '.join(sorted(missing))}" if missing else ""


def class_names(value: Any) -> list[str]:
    """Returns the classes of layers named anywhere in a configuration."""
    if isinstance(value, list):
        return [name for item in value for name in class_names(item)]
    if not isinstance(value, dict):
        return []
    inner = [name for item in value.values() for name in class_names(item)]
    named = str(value.get("module", "keras.layers")) in ("keras.layers", "keras") and "class_name" in value
    own = [value["class_name"]] if named and value["class_name"] != "DTypePolicy" else []
    return own + inner


def close(case: str, name: str, ours: Any, recorded: Any, tol: dict[str, float]) -> None:
    a, b = np.asarray(ours, np.float64), np.asarray(recorded, np.float64)
    assert a.shape == b.shape, f"{case}: {name} has shape {a.shape}, recorded {b.shape}"
    bound = tol.get(name, tol["default"]) * max(1.0, np.max(np.abs(b), initial=0.0))
    error = np.max(np.abs(a - b), initial=0.0)
    assert error <= bound, f"{case}: {name} differs by {error:.2e}, allowed {bound:.2e}"


def load(path: Path) -> tuple[dict[str, Any], dict[str, Array], keras.Model]:
    facts = json.loads(path.read_text())
    if reason := carried(facts):
        pytest.skip(reason)
    arrays = dict(np.load(path.with_suffix(".npz")))
    try:
        model = keras.saving.load_model(path.with_suffix(".keras"))
    except SavingError as error:
        pytest.skip(f"needs {error}")
    return facts, arrays, model


@pytest.mark.one_in(3)
@pytest.mark.parametrize("path", cases(), ids=lambda p: p.stem.removeprefix("training_"))
def test_a_run_equals_the_recorded_one(path: Path) -> None:
    facts, arrays, model = load(path)
    tol = facts["tol"]
    if facts.get("mode") == "on_batch":
        run_on_batch(facts, arrays, model)
    else:
        run_fit(facts, arrays, model)
    close(path.stem, "predict", model.predict(arrays["x"], verbose=0), arrays["predict"], tol)
    for i, weight in enumerate(model.get_weights()):
        close(path.stem, f"w{i}", weight, arrays[f"w{i}"], tol)
    assert f"w{len(model.weights)}" not in arrays
    slots = model.optimizer.variables
    # Some backends of Keras count steps in int32.
    recorded = [[path, shape, dtype.replace("int32", "int64")] for path, shape, dtype in facts["optimizer_variables"]]
    assert [[v.path, list(v.shape), v.dtype] for v in slots] == recorded
    for i, variable in enumerate(slots):
        close(path.stem, f"o{i}", variable.numpy(), arrays[f"o{i}"], tol)


def run_fit(facts: dict[str, Any], arrays: dict[str, Array], model: keras.Model) -> None:
    options = dict(facts["fit"])
    if options.get("class_weight"):
        options["class_weight"] = {int(k): v for k, v in options["class_weight"].items()}
    options["callbacks"] = [getattr(keras.callbacks, n)(**kwargs) for n, kwargs in options.get("callbacks", [])]
    validation = [arrays[n] for n in ("x_val", "y_val", "sample_weight_val") if n in arrays]
    if validation:
        options["validation_data"] = tuple(validation)
    weight = arrays.get("sample_weight")
    history = model.fit(arrays["x"], arrays["y"], sample_weight=weight, shuffle=False, verbose=0, **options)
    assert history.epoch == facts["epoch"]
    assert sorted(history.history) == sorted(facts["history"])
    for name, recorded in facts["history"].items():
        close(facts["id"], f"history.{name}", history.history[name], recorded, facts["tol"])
    evaluations = {"evaluate": weight, "evaluate_without_sample_weight": None}
    for kind, used in evaluations.items():
        if kind in facts:
            logs = model.evaluate(
                arrays["x"], arrays["y"], sample_weight=used, batch_size=16, verbose=0, return_dict=True
            )
            assert sorted(logs) == sorted(facts[kind])
            for name, recorded in facts[kind].items():
                close(facts["id"], f"{kind}.{name}", logs[name], recorded, facts["tol"])


def run_on_batch(facts: dict[str, Any], arrays: dict[str, Array], model: keras.Model) -> None:
    size = facts["fit"]["batch_size"]
    starts = [s for _ in range(facts["fit"].get("epochs", 1)) for s in range(0, len(arrays["x"]), size)]
    for start, recorded in zip(starts, facts["train_on_batch"], strict=False):
        batch = slice(start, start + size)
        logs = model.train_on_batch(arrays["x"][batch], arrays["y"][batch], return_dict=True)
        for name, value in recorded.items():
            close(facts["id"], f"train_on_batch.{name}", logs[name], value, facts["tol"])
    logs = model.test_on_batch(arrays["x"][:size], arrays["y"][:size], return_dict=True)
    for name, value in facts["test_on_batch"].items():
        close(facts["id"], f"test_on_batch.{name}", logs[name], value, facts["tol"])
