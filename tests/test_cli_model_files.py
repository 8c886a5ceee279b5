"""Commands on model files of all kinds: inspect says what they are, convert and export take them, one or many."""

from __future__ import annotations

import json
import os
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import seqc as keras
from kit.cli_models import seqc, seqc_json
from kit.oracle import ROOT
from seqc.saving import load_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with zipfile.ZipFile(ROOT / "tests" / "cases" / "old_models.zip") as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_inspect_says_what_a_model_file_is_and_who_wrote_it(folder: Path) -> None:
    text = seqc("inspect", "stack.h5").stdout
    assert "kind        a whole model in HDF5 (.h5)" in text
    assert "written by  Keras 2.21.0, tensorflow" in text
    assert "model       Sequential of 10 layers (1 InputLayer, 1 Conv2D, " in text
    assert "weights     13 arrays, 732 bytes" in text
    assert "training    compiled with Custom>Adam, loss categorical_crossentropy" in text
    assert "separable_conv2d     SeparableConv2D     [batch, 4, 4, 3]" in text
    facts = seqc_json("inspect", "stack.keras")
    assert facts["file"]["kind"] == "a `.keras` archive"
    assert facts["compiled"]
    assert facts["described"] == seqc_json("inspect", "stack.h5")["described"]
    sizes = [np.prod(a["shape"]) for a in facts["weights"]["arrays"] if a["name"].startswith("layers")]
    assert facts["totals"]["parameters"] == sum(sizes)


@pytest.mark.slow
def test_inspect_lists_weights_without_a_model(folder: Path) -> None:
    facts = seqc_json("inspect", "stack_weights.h5")
    assert facts["kind"] == "weights"
    assert facts["weights"]["arrays"][0] == {"name": "conv2d/kernel:0", "shape": [3, 3, 2, 3], "dtype": "float32"}
    assert "weights by layer in HDF5 (.h5)" in seqc("inspect", "stack_weights.h5").stdout
    assert "without" not in seqc("inspect", "stack.json").stdout


def refused(folder: Path) -> Path:
    config = json.loads((folder / "stack.json").read_text())
    config["config"]["layers"][1] |= {"class_name": "Lambda"}
    (folder / "code.json").write_text(json.dumps(config))
    return folder / "code.json"


def test_inspect_says_what_stops_a_file_and_fails(folder: Path) -> None:
    path = refused(folder)
    text = seqc("inspect", path, code=1).stdout
    assert "It cannot be loaded: " in text
    assert "Lambda 'conv2d', which is code" in text
    facts = json.loads(seqc("inspect", path, "--json", code=1).stdout)
    assert "Rescaling(1 / 127.5, offset=-1)" in facts["stopped_by"]


@pytest.mark.slow
def test_inspect_of_a_folder_says_of_each_file_what_it_is_and_what_stops_it(folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "stack.h5").rename(folder / "more" / "stack")  # told by its content
    (folder / "nested.keras").rename(folder / "more" / "nested.keras")
    (folder / "more" / "read.me").write_text("no model")
    said = seqc("inspect", "more").stdout
    assert "a whole model in HDF5 (.h5), Sequential of 10 layers" in said
    assert "All done." in said
    assert "read.me" not in said
    refused(folder)
    facts = json.loads(seqc("inspect", "more", "code.json", "--json", code=1).stdout)
    assert [one["done"] for one in facts["files"]] == [True, True, False]
    assert "Lambda 'conv2d', which is code" in facts["files"][2]["error"]
    assert seqc_json("inspect", "recur*.h5")["failed"] == 0
    seqc("export", "more", "-o", "out")
    assert sorted(os.listdir("out")) == ["nested.onnx", "stack.onnx"]


def smaller(path: Path, layer: str) -> None:
    """Makes a layer of a file smaller than its weights."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        (entry,) = [one for one in config["config"]["layers"] if one["config"]["name"] == layer]
        entry["config"]["units"] = 2
        file.attrs["model_config"] = json.dumps(config)


@pytest.mark.slow
def test_inspect_finds_weights_that_do_not_fit_without_reading_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smaller(folder / "stack.h5", "dense")
    said = seqc("inspect", "stack.h5", code=1).stdout
    assert "do not fit model 'stack': Layer 'dense' (Dense) has weight 'kernel' of shape (12, 2); the file has" in said
    for name in ("stack.keras", "stack.json", "recurrent.h5", "nested.h5", "nested.keras"):
        seqc("inspect", name)
    with zipfile.ZipFile("stack.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    facts = json.loads(members["config.json"])
    facts["config"]["layers"][-1]["config"]["units"] = 2
    with zipfile.ZipFile("less.keras", "w") as archive:
        for name, content in {**members, "config.json": json.dumps(facts).encode()}.items():
            archive.writestr(name, content)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", no_reading)
    said = seqc("inspect", "less.keras", code=1).stdout
    assert "do not fit model 'stack'" in said
    assert "(12, 2)" in said
    seqc("inspect", "stack.keras")


def no_reading(*_: Any) -> Any:
    raise AssertionError("the numbers of an array are read")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer .* computes hard_sigmoid as Keras 2 did", "ignore:.*as an HDF5 file")
def test_a_model_goes_from_one_kind_of_file_to_the_next_and_stays_the_same(folder: Path) -> None:
    chain = ["recurrent.h5", "a.keras", "b.h5", "c.json", "d.keras"]
    seqc("convert", chain[0], chain[1])
    seqc("convert", chain[1], chain[2])
    seqc("convert", chain[2], chain[3])
    seqc("convert", chain[2], "w.npz")
    made = seqc_json("convert", chain[3], chain[4], "--weights", "w.npz")
    assert (made["source"], made["target"], made["compiled"]) == ("c.json", "d.keras", False)
    with np.load("recurrent.npz") as file:
        recorded = dict(file)
    for name in ("a.keras", "b.h5", "d.keras"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = load_model(name)
        np.testing.assert_allclose(model.predict(recorded["x0"], verbose=0), recorded["y00"], atol=1e-6)
        assert model.compiled == (name != "d.keras")
    assert int(load_model("b.h5").optimizer.iterations.numpy()) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stack.h5", "m.onnx"], "Use: seqc export stack.h5 -o m.onnx"),
        (["stack.h5", "stack.h5"], "stack.h5 is read, and would be overwritten"),
        (["stack_weights.h5", "m.keras"], "it holds weights and no layers"),
        (["stack.json", "m.keras"], "seqc convert stack.json model.keras --weights FILE"),
        (["stack.json", "w.h5", "--weights", "w.h5"], "w.h5 is read, and would be overwritten"),
        (["stack.h5", "m.weights.json"], "would name weights in several files"),
        (["absent.h5", "m.keras"], "There is no file absent.h5."),
        (["stack.h5", "no/m.keras"], "there is no folder 'no'"),
    ],
)
def test_conversions_that_cannot_be_say_why(folder: Path, arguments: Any, message: str) -> None:
    shutil.copy("stack_weights.h5", "w.h5")
    assert message in seqc("convert", *arguments, code=2).stderr
    assert not (folder / "m.keras").exists()
    assert Path("w.h5").read_bytes() == Path("stack_weights.h5").read_bytes()


@pytest.mark.filterwarnings("ignore:.*as an HDF5 file")
def test_compile_settings_stay_where_weights_come_from_another_file(folder: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.125), "mae")
    model.save("a.keras")
    model.set_weights([w + 1 for w in model.get_weights()])
    model.save_weights("w.weights.h5")
    for name in ("b.keras", "b.h5"):
        assert seqc_json("convert", "a.keras", name, "--weights", "w.weights.h5")["compiled"]
        made = load_model(name)
        assert made.loss in ("mae", "mean_absolute_error")
        assert float(made.optimizer.learning_rate) == 0.125
        np.testing.assert_array_equal(made.get_weights()[0], model.get_weights()[0])


@pytest.mark.slow
def test_many_files_are_exported_into_a_folder_with_a_table_and_a_status(folder: Path) -> None:
    done = seqc("export", "nested.h5", "states.keras", "-o", "out")
    assert "All done." in done.stdout
    assert sorted(os.listdir("out")) == ["nested.onnx", "states.onnx"]
    refused(folder)
    (folder / "more").mkdir()
    (folder / "code.json").rename(folder / "more" / "model.json")
    (folder / "more" / "states.keras").write_bytes((folder / "states.keras").read_bytes())
    run: Any = seqc("export", "more", "state?.h5", "-o", "out2", "--json", code=1)
    result = json.loads(run.stdout)
    assert [one["done"] for one in result["files"]] == [False, True, True]
    assert result["failed"] == 1
    assert "without weights" in result["files"][0]["error"]
    assert sorted(os.listdir("out2")) == ["more_states_keras.onnx", f"{folder.name}_states_h5.onnx"]
    text = seqc("export", "more", "-o", "out3", code=1).stdout
    assert "1 file done, 1 failed." in text
    assert "There is no model file in out" in seqc("export", "out", "-o", "out4", code=2).stderr


@pytest.mark.slow
def test_files_are_told_by_their_content_and_verified_against(folder: Path) -> None:
    (folder / "states.h5").rename(folder / "states.bin")
    seqc("export", "states.bin", "-o", "states.onnx")
    seqc("verify", "states.onnx", "--against", "states.bin")
    seqc("passes", "states.bin")
    seqc("export", "states.json", "-o", "again.onnx", "--weights", "states_weights.h5")
    seqc("verify", "again.onnx", "--against", "states.bin")
