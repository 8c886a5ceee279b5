"""Layers and weights of any name: each kind of file gives them back, or is refused before anything is written."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqc as keras
from seqc import layers
from seqc.errors import SavingError
from seqc.saving.names import member_name, name_of_member

NAMES = ["a:b", "C:\\b", "..", ".", "a/b", "../x", "/x", "", "a\0b", "\0", "a%3Ab", "%2E%2E", "100%", "é", "a\nb",
         "file", "\ud800", "top_level_model_weights"]  # fmt: skip
ENDINGS = ["keras", "h5", "weights.h5", "npz", "safetensors"]


def model_of(name: str) -> Any:
    return keras.Sequential([keras.Input((3,)), layers.Dense(2, name=name), layers.BatchNormalization(name="z")])


def saved(model: Any, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are saving your model as an HDF5 file")
        (model.save_weights if path.name.count(".") > 1 or path.suffix not in (".keras", ".h5") else model.save)(path)


def read(name: str, path: Path) -> Any:
    if path.name.count(".") < 2 and path.suffix in (".keras", ".h5"):
        return keras.saving.load_model(path)
    model = model_of(name)
    model.load_weights(path)
    return model


@pytest.mark.one_in(3)
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_weights_come_back_or_the_name_is_refused_when_saving(name: str, ending: str, tmp_path: Path) -> None:
    model = model_of(name)
    try:
        saved(model, tmp_path / f"m.{ending}")
    except SavingError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert repr(name) in refused
        assert not list(tmp_path.iterdir())
        return
    again = read(name, tmp_path / f"m.{ending}")
    assert again.layers[0].name == name
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_refused_is_little(tmp_path: Path) -> None:
    """Half a character nowhere, NUL not in HDF5; and the old kind of `.h5`, which has names as paths."""
    for ending, refused in (
        ("keras", {"a\0b", "\0", "\ud800"}), ("weights.h5", {"a\0b", "\0", "\ud800"}), ("npz", {"\ud800"}),
        ("safetensors", {"\ud800"}),
    ):  # fmt: skip
        found = set()
        for name in NAMES:
            try:
                saved(model_of(name), tmp_path / f"m.{ending}")
            except SavingError:
                found.add(name)
        assert found == refused, ending


def test_a_name_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SavingError, match=r"called 'a\\x00b'. A NUL character has no place in a name in HDF5.*npz"):
        model_of("a\0b").save(tmp_path / "m.keras")
    with pytest.raises(SavingError, match="half a character has no place in a file. Give it another name"):
        model_of("\ud800").save_weights(tmp_path / "m.npz")


@pytest.mark.parametrize("name", ["file", "allow_pickle", "a:b", "self"])
def test_a_model_s_own_weights_have_any_name(name: str, tmp_path: Path) -> None:
    class Own(keras.Model):
        def build(self, input_shape: Any = None) -> None:
            self.factor = self.add_weight((3,), "normal", name=name)

        def call(self, x: Any) -> Any:
            return x * self.factor

    model, again = Own(), Own()
    for one in (model, again):
        one.build((None, 3))
    model.save_weights(tmp_path / "m.npz")
    again.load_weights(tmp_path / "m.npz")
    np.testing.assert_array_equal(model.get_weights()[0], again.get_weights()[0])


def test_numpy_reads_usual_names_as_they_are(tmp_path: Path) -> None:
    model = model_of("dense 50%")
    model.save_weights(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as found:
        assert sorted(found)[:2] == ["dense 50%/bias", "dense 50%/kernel"]
        np.testing.assert_array_equal(found["dense 50%/kernel"], model.get_weights()[0])


def test_files_of_before_are_read(tmp_path: Path) -> None:
    model = model_of("dense%41")
    arrays = {f"dense%41/{n}": a for n, a in zip(("kernel", "bias"), model.get_weights(), strict=False)}
    rest = zip(("gamma", "beta", "moving_mean", "moving_variance"), model.get_weights()[2:], strict=True)
    np.savez(tmp_path / "m.npz", allow_pickle=False, **arrays, **{f"z/{n}": a for n, a in rest})
    again = read("dense%41", tmp_path / "m.npz")
    np.testing.assert_array_equal(model.get_weights()[0], again.get_weights()[0])


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(list("%/.:\\\0Aa32"))))
def test_names_of_members_are_safe_and_tell_the_name(name: str) -> None:
    member = member_name(name)
    assert name_of_member(member) == name
    assert not member.startswith("/")
    assert not {":", "\\", "\0"} & set(member)
    assert ".." not in member.split("/")
    assert zipfile.ZipInfo(member or "x").filename == (member or "x")
