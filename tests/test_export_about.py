"""What a file says of its model, and two files that become one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import compose

import seqc as keras
from kit.cli_models import seqc
from kit.consumers import onnxruntime
from seqc import layers
from seqc.cli._ends import described
from seqc.errors import ArgumentTypeError, ConfigError
from seqc.export import about


def compiled() -> keras.Sequential:
    keras.utils.set_random_seed(2)
    found = keras.Sequential(
        [layers.Input((4,), name="speed"), layers.Dense(5, "relu", name="a"), layers.Dense(3, name="kind")],
        name="boats",
    )
    found.compile(keras.optimizers.Adam(name="adam"), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return found


def texts(path: Path) -> dict[str, str]:
    return {p.key: p.value for p in onnx.load(path).metadata_props}


def training(model: keras.Sequential, path: Path) -> dict[str, Any]:
    model.export(path, describe=True)
    found: dict[str, Any] = json.loads(texts(path)[about.TRAINING])
    return found


def test_a_file_describes_its_model_where_that_is_asked_for(tmp_path: Path) -> None:
    model, path = compiled(), tmp_path / "m.onnx"
    model.export(path)
    assert not {key for key in texts(path) if key in (about.CONFIG, about.TRAINING, about.CLASSES, about.UNITS)}
    model.export(path, describe=True, classes=["ferry", "yacht", "canoë"], units={"speed": "m/s", "kind": "logit"})
    said = texts(path)
    assert keras.models.model_from_json(said[about.CONFIG]).get_config() == model.get_config()
    assert json.loads(said[about.CLASSES]) == {"kind": ["ferry", "yacht", "canoë"]}
    assert json.loads(said[about.UNITS]) == {"speed": "m/s", "kind": "logit"}


def test_classes_and_units_go_by_the_names_in_the_file(tmp_path: Path) -> None:
    names = {"input_name": "v", "output_name": "scores"}
    compiled().export(tmp_path / "m.onnx", classes=["f", "y", "c"], units={"speed": "m/s"}, **names)
    said = texts(tmp_path / "m.onnx")
    assert (list(json.loads(said[about.CLASSES])), json.loads(said[about.UNITS])) == (["scores"], {"v": "m/s"})
    compiled().export(tmp_path / "m.onnx", classes=["f", "y", "c"], head="top_k:2")
    assert list(json.loads(texts(tmp_path / "m.onnx")[about.CLASSES])) == ["kind"]


def test_the_hash_of_a_training_is_that_of_weights_steps_and_settings(tmp_path: Path) -> None:
    x, y = np.ones((8, 4), "float32"), np.zeros(8, "int64")
    before, again = (training(compiled(), tmp_path / "m.onnx") for _ in range(2))
    assert before == again
    assert (before["steps"], before["compiled"]["optimizer"]["class_name"]) == (0, "Adam")
    model = compiled()
    model.fit(x, y, batch_size=4, epochs=1, verbose=0)
    after = training(model, tmp_path / "m.onnx")
    assert after["steps"] == 2
    assert after["weights_sha256"] != before["weights_sha256"]
    other = compiled()
    other.compile("sgd", "mse")
    changed = training(other, tmp_path / "m.onnx")
    assert changed["weights_sha256"] == before["weights_sha256"]
    assert len({found["sha256"] for found in (before, after, changed)}) == 3
    plain = keras.Sequential([layers.Input((2,)), layers.Dense(1)])
    assert training(plain, tmp_path / "m.onnx")["compiled"] is None


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"classes": ["a", "b"]}, ConfigError, "of 3 classes; classes names 2"),
        ({"classes": "abc"}, ArgumentTypeError, "a list of texts"),
        ({"classes": {"sort": ["a", "b", "c"]}}, ConfigError, r"the model has \['kind'\]"),
        ({"units": {"sped": "m/s"}}, ConfigError, "sped"),
        ({"units": ["m/s"]}, ArgumentTypeError, "dict of texts"),
        ({"describe": "yes"}, ArgumentTypeError, "describe"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        compiled().export(tmp_path / "m.onnx", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command_keeps_texts_too(tmp_path: Path) -> None:
    compiled().save(tmp_path / "m.keras")
    options = ("--describe", "--classes", "ferry, yacht,canoe", "--unit", "speed=m/s")
    seqc("export", tmp_path / "m.keras", "-o", tmp_path / "m.onnx", *options)
    said = texts(tmp_path / "m.onnx")
    assert json.loads(said[about.CLASSES]) == {"kind": ["ferry", "yacht", "canoe"]}
    assert json.loads(said[about.UNITS]) == {"speed": "m/s"}
    assert json.loads(said[about.TRAINING])["steps"] == 0
    seqc("verify", tmp_path / "m.onnx", "--against", tmp_path / "m.keras")
    failed = seqc("export", tmp_path / "m.keras", "-o", tmp_path / "m.onnx", "--unit", "speed", code=2)
    assert "NAME=UNIT" in failed.stderr


# -- two files in one ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_files_become_one_and_compute_what_both_do(tmp_path: Path) -> None:
    inside = [layers.LSTM(4, activation="gelu", return_sequences=True), layers.Dense(5)]
    first = keras.Sequential([layers.Input((None, 3)), *inside], name="first")
    behind = [layers.Masking(), layers.GRU(3), layers.Dense(2, "softmax")]
    second = keras.Sequential([layers.Input((None, 5)), *behind], name="second")
    files = []
    for model in (first, second):
        model.export(tmp_path / f"{model.name}.onnx")
        files.append(onnx.load(tmp_path / f"{model.name}.onnx"))
    a, b = files
    wired = [(a.graph.output[0].name, b.graph.input[0].name)]
    merged = compose.merge_models(a, b, io_map=wired, prefix1="a/", prefix2="b/")
    onnx.checker.check_model(merged, full_check=True)
    x = np.random.default_rng(0).normal(size=(3, 6, 3)).astype("float32")
    expected = second.predict(first.predict(x, verbose=0), verbose=0)
    np.testing.assert_allclose(onnxruntime(merged.SerializeToString(), x), expected, rtol=0, atol=1e-6)


def test_a_file_with_graphs_inside_takes_a_prefix(tmp_path: Path) -> None:
    inside = [layers.ConvLSTM1D(2, 2), layers.Flatten(), layers.Dense(2)]
    model = keras.Sequential([layers.Input((4, 5, 1)), *inside])
    model.export(tmp_path / "m.onnx")
    named = compose.add_prefix(onnx.load(tmp_path / "m.onnx"), "mine/")
    onnx.checker.check_model(named, full_check=True)
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 1)).astype("float32")
    np.testing.assert_allclose(onnxruntime(named.SerializeToString(), x), model.predict(x, verbose=0), atol=1e-6)


def test_the_command_gives_classes_to_one_of_several_outputs() -> None:
    assert described(False, ["kind= cat,dog", "more=a=b,c"], None)["classes"] == {
        "kind": ["cat", "dog"],
        "more": ["a=b", "c"],
    }
    assert described(False, ["cat,dog=wolf"], None)["classes"] == ["cat", "dog=wolf"]
    assert described(False, None, None)["classes"] is None
    with pytest.raises(ConfigError, match="needs OUTPUT=A,B,... for each; got a,b kind=c,d"):
        described(False, ["a,b", "kind=c,d"], None)
