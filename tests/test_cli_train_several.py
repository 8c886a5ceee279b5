"""`seqc train` and `seqc bench train` on models of several inputs and outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import seqc as keras
from kit.cli_models import seqc, seqc_json

pytest.importorskip("seqc_runtime")

TWO = """
import numpy as np
import seqc as keras
from seqc import layers

TARGET = {"kind_accuracy": 0.8, "size_mae": 5.0}
FIT = {"epochs": 12, "batch_size": 16}


def build():
    point, words = keras.Input((4,), name="point"), keras.Input((3,), dtype="int32", name="words")
    read = layers.GlobalAveragePooling1D(name="mean")(layers.Embedding(5, 4, name="look_up")(words))
    both = layers.Concatenate(name="both")([point, read])
    kind, size = layers.Dense(3, activation="softmax", name="kind")(both), layers.Dense(1, name="size")(both)
    model = keras.Model({"words": words, "point": point}, FORM)
    model.compile(
        keras.optimizers.Adam(0.05),
        {"kind": "sparse_categorical_crossentropy", "size": "mse"},
        metrics={"kind": ["accuracy"], "size": ["mae"]},
    )
    return model


def arrays():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 96)
    x = {"point": np.eye(4)[kind] + 0.1 * rng.standard_normal((96, 4)), "words": rng.integers(0, 5, (96, 3))}
    return x, {"kind": kind, "size": x["words"].sum(1, keepdims=True).astype("float32")}


def data():
    x, y = arrays()
    cut = lambda part, rows: {name: array[rows] for name, array in part.items()}
    train, test = slice(64), slice(64, None)
    return GIVEN
"""
BY_NAME = '{"kind": kind, "size": size}'
WHOLE = "(cut(x, train), cut(y, train)), (cut(x, test), cut(y, test))"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(form: str = BY_NAME, given: str = WHOLE, name: str = "two.py") -> None:
    Path(name).write_text(TWO.replace("FORM", form).replace("GIVEN", given))


def in_files() -> None:
    """Writes the data into files by name."""
    space: dict[str, Any] = {}
    exec(TWO.replace("FORM", BY_NAME).replace("GIVEN", WHOLE), space)
    for name, part in zip(("train", "test"), space["data"](), strict=True):
        for what, arrays in zip("xy", part, strict=True):
            np.savez(f"{what}_{name}.npz", **arrays)


def check(result: dict[str, Any], folder: Path) -> None:
    assert result["passed"]
    assert sorted(result["predictions"]["outputs"]) == ["kind", "size"]
    assert result["predictions"]["agree"]
    assert result["predictions"]["outputs"]["kind"]["differing_classes"] == 0
    assert {"kind_loss", "size_loss", "kind_accuracy", "size_mae"} < set(result["metrics"])
    assert result["speed"]["samples"] == 32
    model = keras.models.load_model(result["files"]["keras"])
    x = {"point": np.ones((2, 4), "float32"), "words": np.ones((2, 3), "int32")}
    session = onnxruntime.InferenceSession(result["files"]["onnx"], providers=["CPUExecutionProvider"])
    found = dict(zip([y.name for y in session.get_outputs()], session.run(None, x), strict=True))
    wanted = model.predict(x, verbose=0)
    for name, array in wanted.items() if isinstance(wanted, dict) else zip(("kind", "size"), wanted, strict=True):
        np.testing.assert_allclose(found[name], array, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "given"),
    [
        (BY_NAME, WHOLE),
        ("[kind, size]", "tuple((cut(x, rows), [a[rows] for a in y.values()]) for rows in (train, test))"),
        (BY_NAME, '("x_train.npz", "y_train.npz"), (np.load("x_test.npz"), "y_test.npz")'),
    ],
    ids=["by name", "lists", "files"],
)
def test_several_inputs_and_outputs_are_trained_compared_and_timed(form: str, given: str, folder: Path) -> None:
    write(form, given)
    in_files()
    check(seqc_json("train", "two.py", "-o", "out", "--no-plots"), folder)


@pytest.mark.slow
def test_the_lines_name_each_output_and_pictures_are_drawn_of_those_with_classes(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    write()
    text = seqc("train", "two.py", "-o", "out").stdout
    assert "predictions of kind  the same classes for all 32 samples" in text
    assert "predictions of size  largest difference" in text
    assert sorted(path.name for path in Path("out").glob("*.png")) == ["confusion_kind.png", "loss.png"]


@pytest.mark.slow
def test_a_step_of_several_inputs_is_timed_and_profiled(folder: Path) -> None:
    write()
    result = seqc_json("bench", "train", "two.py", "--steps", "2", "--epochs", "1", "--profile")
    assert result["flops_per_step"] > 0
    assert {row["layer"] for row in result["profile"]} >= {"kind", "size", "both"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("(x['point'], y), (x['point'], y)", "The model has 2 inputs: 'point', 'words'. x must be a list"),
        ("(x, {'kind': y['kind']}), (x, {'kind': y['kind']})", "The loss 'mse' of output 'size' needs labels"),
        ("(x, y), (cut(x, slice(0)), y)", "data() gives no test samples; x_test has shape (0,"),
        ("('none.npz', y), (x, y)", "none.npz"),
        ("({'point': [[1], [1, 2]]}, y), (x, y)", "x_train['point'] cannot be made into one array"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_the_training(given: str, message: str, folder: Path) -> None:
    write(given=given)
    error = seqc("train", "two.py", "-o", "out", code=2).stderr
    assert message in " ".join(error.split())
    assert not list(Path().glob("out/*"))
