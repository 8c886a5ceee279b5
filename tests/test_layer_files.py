"""Models of all layers, as tf.keras and Keras 3.0, 3.3, 3.6 and 3.15 wrote them: see `kit.record_layer_files`."""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import seqc
from kit.layer_rows import ROWS, classes_of
from kit.oracle import ROOT
from seqc.errors import SavingError
from seqc.saving import load_model
from seqc.text import shorten

ARCHIVE = ROOT / "tests" / "cases" / "layer_files.zip"
FILES = [name for name in zipfile.ZipFile(ARCHIVE).namelist() if name.endswith((".keras", ".h5"))]
# Every version at once takes longer than all other files: the others are slow.
QUICK = {"3.15.1-jax.keras", "2.21.0-tensorflow.h5", "3.0.5-jax.keras"}
# Of those of Keras's applications, other names, and what is no layer by itself.
APART = {
    "CustomScaleLayer",
    "LayerScale",
    "StochasticDepth",
    "GroupedQueryAttention",
    "InputLayer",
    "Lambda",
    "Layer",
    "Wrapper",
}
# What the newest Keras has and cannot run in a model, and what takes labels or boxes beside the pictures alone.
NOWHERE = {"Equalization", "MaxNumBoundingBoxes"}
# Only this version takes the nearest pixels; before, it mixed them, and later it leaves images as large as they are.
DIFFERENT = {("3.6.0-jax", "RandomCrop(5, 4)(picture)")}


@cache
def of_version(stem: str) -> tuple[Any, dict[str, Any]]:
    """Returns the rows of each kind of file that a Keras wrote, and all arrays."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        return json.loads(archive.read(f"{stem}.json")), dict(np.load(io.BytesIO(archive.read(f"{stem}.npz"))))


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in FILES])
def test_every_layer_predicts_what_the_keras_that_wrote_it_predicted(name: Any, tmp_path: Path) -> None:
    stem, _, ending = name.rpartition(".")
    files, arrays = of_version(stem)
    with zipfile.ZipFile(ARCHIVE) as archive, warnings.catch_warnings():
        warnings.simplefilter("error")
        model: Any = load_model(archive.extract(name, tmp_path))
    rows = files[f".{ending}"]["rows"]
    found = model.predict([arrays[f"x_{x}"] for x in model.input_names], verbose=0)
    for row, y in zip(rows, found, strict=True):
        wanted = arrays[f"y_{row}"]
        if (stem, row) not in DIFFERENT:
            np.testing.assert_allclose(y, wanted, 1e-4, 1e-5 * max(1, np.abs(wanted).max()), err_msg=row)


def test_the_files_have_every_layer() -> None:
    layers = {
        name
        for name, value in vars(seqc.layers).items()
        if isinstance(value, type) and issubclass(value, seqc.layers.Layer) and value.__name__ == name
    }
    told = {name for row in ROWS for name in classes_of(row)}
    assert layers - APART <= told | NOWHERE
    kept = {name for stem in {f.rpartition(".")[0] for f in FILES} for row in of_version(stem)[0][".keras"]["rows"]
            for name in classes_of(row)}  # fmt: skip
    assert told - kept == NOWHERE & told


def left_out() -> str:
    """Returns the table in docs/inside/files.md: what a Keras does not have, run or write, in its words."""
    lines = []
    for stem in dict.fromkeys(name.rpartition(".")[0] for name in FILES):
        said: dict[tuple[str, str], list[str]] = {}
        files = of_version(stem)[0]
        for ending, kept in files.items():
            for row, text in kept["left_out"].items():
                if ending == ".h5" and row in files[".keras"]["left_out"]:
                    continue
                own = re.sub(r"^adapted\(|\(.*", "", row)
                where = f"`{ending}`" if ending == ".h5" else "any file"
                if text.startswith("has no "):
                    own, where, text = text.removeprefix("has no "), "not there", ""
                said.setdefault((where, _without_names(text)), []).append(own)
        for (where, words), layers in said.items():
            lines.append(f"| {stem} | {', '.join(dict.fromkeys(layers))} | {where} | {words} |")
    return "\n".join(lines)


def _without_names(text: str) -> str:
    """Returns what was said without what is different in each layer."""
    text = re.sub(r"(Layer|calling|operation|name=)\s*'?\w+(_\d+)?'?", r"\1 ...", text)
    return shorten(text.partition(" Arguments received")[0].partition(" {{")[0].replace("|", "/"), 110)


def test_the_table_says_what_each_keras_cannot_write() -> None:
    assert left_out() in (ROOT / "docs" / "inside" / "files.md").read_text()


def test_a_vocabulary_that_a_file_has_no_place_for_is_missed_by_name(tmp_path: Path) -> None:
    layer = seqc.layers.StringLookup(name="tokens")
    layer.adapt(np.array(["a", "b", "a"]))
    inside = seqc.Sequential([seqc.Input((1,), dtype="string"), layer])
    model = seqc.Sequential([seqc.Input((1,), dtype="string"), inside])
    legacy = pytest.warns(UserWarning, match="as an HDF5 file")
    with legacy, pytest.raises(SavingError, match=r"'tokens' keeps a vocabulary .* `\.keras`"):
        model.save(tmp_path / "m.h5")
    given = seqc.Sequential(
        [seqc.Input((1,), dtype="string"), seqc.layers.StringLookup(vocabulary=["a", "b"], name="tokens")]
    )
    with pytest.warns(UserWarning, match="as an HDF5 file"):
        given.save(tmp_path / "m.h5")
    load_model(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:  # as Keras writes a layer that was adapted
        config = json.loads(file.attrs["model_config"])
        (entry,) = [one for one in config["config"]["layers"] if one["class_name"] == "StringLookup"]
        entry["config"] |= {"vocabulary": None, "vocabulary_size": 3}
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(
        SavingError, match=r"'tokens' \(StringLookup\) .* had 3 tokens .* `\.keras`, or pass custom_obj"
    ):
        load_model(tmp_path / "m.h5")
    again = load_model(tmp_path / "m.h5", custom_objects={"tokens": seqc.layers.StringLookup(vocabulary=["a", "b"])})
    assert again.predict(np.array([["b"], ["c"]]), verbose=0).tolist() == [[2], [0]]
