"""Model files: what goes in comes out, and what is wrong with a file is said."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from kit.keras_files import (
    assert_same_weights,
    change_weights,
    members,
    read_arrays,
    read_config,
    small_model,
    write_members,
)
from seqc import layers
from seqc.errors import NotBuiltError, SavingError, SeqcError
from seqc.saving import load_model, load_weights, save_model, save_weights
from seqc.sequential import Sequential


@pytest.fixture
def model() -> Sequential:
    return small_model()


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(5, 4)).astype("float32")


@pytest.fixture
def saved(model: Sequential, tmp_path: Path) -> Path:
    path = tmp_path / "model.keras"
    save_model(model, path)
    return path


# -- round trips -----------------------------------------------------------------------------------------------------


def test_a_saved_model_comes_back_the_same(model: Sequential, saved: Path, x: np.ndarray) -> None:
    loaded = load_model(saved)
    assert loaded.name == "small"
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    assert loaded.input_shape == (None, 4)
    assert_same_weights(model, loaded)
    np.testing.assert_array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))


def test_saving_what_was_loaded_gives_the_same_file(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    first, second = tmp_path / "first.keras", tmp_path / "second.keras"
    load_model(saved).save(first)
    load_model(first).save(second)
    assert first.read_bytes() == second.read_bytes()


def test_the_same_model_gives_the_same_bytes_but_for_the_date(
    model: Sequential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = []
    for seconds in (0, 86400 * 365):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(seconds))
        save_model(model, tmp_path / "model.keras")
        contents.append(members(tmp_path / "model.keras"))
    dates = [c.pop("metadata.json") for c in contents]
    assert b"1970-01-01@00:00:00" in dates[0]
    assert b"1971-01-01@00:00:00" in dates[1]
    assert contents[0] == contents[1]


def test_the_file_is_laid_out_as_keras_lays_it_out(saved: Path) -> None:
    assert list(members(saved)) == ["metadata.json", "config.json", "model.weights.h5"]
    shapes = {path: array.shape for path, array in read_arrays(saved).items()}
    # Groups are named by class, so that names given to layers do not matter.
    assert shapes == {
        "layers/dense/vars/0": (4, 3),
        "layers/dense/vars/1": (3,),
        "layers/dense_1/vars/0": (3, 2),
        "layers/dense_1/vars/1": (2,),
    }
    config = read_config(saved)
    assert (config["module"], config["class_name"], config["registered_name"]) == ("keras", "Sequential", None)
    assert config["build_config"] == {"input_shape": [None, 4]}
    assert config["compile_config"] == {}
    assert [entry["class_name"] for entry in config["config"]["layers"]] == ["InputLayer", "Dense", "Dropout", "Dense"]


def test_a_nested_model_nests_its_groups(tmp_path: Path, x: np.ndarray) -> None:
    inner = Sequential([layers.Dense(3), layers.Dense(3)], name="inner")
    model = Sequential([layers.Input((4,)), layers.Dense(4), inner, layers.Dense(1)])
    save_model(model, tmp_path / "nested.keras")
    assert sorted(path for path in read_arrays(tmp_path / "nested.keras") if path.endswith("/0")) == [
        "layers/dense/vars/0",
        "layers/dense_1/vars/0",
        "layers/sequential/layers/dense/vars/0",
        "layers/sequential/layers/dense_1/vars/0",
    ]
    loaded = load_model(tmp_path / "nested.keras")
    assert loaded.layers[1].name == "inner"
    np.testing.assert_array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))


def test_a_layer_inside_two_nested_models_stays_one_layer(tmp_path: Path, x: np.ndarray) -> None:
    shared = layers.Dense(4, name="shared")
    model = Sequential([layers.Input((4,)), Sequential([shared]), Sequential([shared]), layers.Dense(1)])
    save_model(model, tmp_path / "shared.keras")
    loaded = load_model(tmp_path / "shared.keras")
    assert loaded.layers[0].layers[0] is loaded.layers[1].layers[0]
    np.testing.assert_array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))


def test_more_than_ten_weights_keep_their_order(tmp_path: Path) -> None:
    class Many(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.parts = [self.add_weight((1,), "zeros", name=f"part_{i}") for i in range(12)]

        def call(self, x: Any) -> Any:
            return x * self.parts[11]

    model = Sequential([layers.Input((1,)), Many()])
    model.set_weights([np.full((1,), i) for i in range(12)])
    save_model(model, tmp_path / "many.keras")
    loaded = load_model(tmp_path / "many.keras", custom_objects={"Many": Many})
    assert [float(w[0]) for w in loaded.get_weights()] == list(range(12))


def test_float64_weights_keep_their_type(tmp_path: Path) -> None:
    model = Sequential([layers.Input((2,), dtype="float64"), layers.Dense(2, dtype="float64")])
    save_model(model, tmp_path / "wide.keras")
    loaded = load_model(tmp_path / "wide.keras")
    assert [w.dtype.name for w in loaded.get_weights()] == ["float64", "float64"]
    assert_same_weights(model, loaded)


def test_frozen_layers_stay_frozen(model: Sequential, tmp_path: Path) -> None:
    model.layers[0].trainable = False
    save_model(model, tmp_path / "frozen.keras")
    loaded = load_model(tmp_path / "frozen.keras")
    assert [v.path for v in loaded.trainable_weights] == ["second/kernel", "second/bias"]
    assert_same_weights(model, loaded)


def test_an_unbuilt_model_is_saved_with_a_warning_and_without_weights(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="saved before it was built"):
        save_model(Sequential([layers.Dense(2)]), tmp_path / "unbuilt.keras")
    loaded = load_model(tmp_path / "unbuilt.keras")
    assert not loaded.built
    loaded.build((None, 3))
    assert [w.shape for w in loaded.get_weights()] == [(3, 2), (2,)]


def test_a_model_without_input_is_built_for_the_shape_it_had(tmp_path: Path) -> None:
    model = Sequential([layers.Dense(2)])
    model.build((None, 3))
    save_model(model, tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert loaded.input_shape == (None, 3)
    assert_same_weights(model, loaded)


def test_loading_draws_no_random_numbers(saved: Path) -> None:
    drawn = []
    for load in (False, True):
        seqc.utils.set_random_seed(3)
        if load:
            load_model(saved)
        layer = layers.Dense(2)
        layer.build((None, 3))
        drawn.append(layer.get_weights()[0])
    first, second = drawn
    np.testing.assert_array_equal(first, second)


# -- weights alone ---------------------------------------------------------------------------------------------------


def test_weights_alone_come_back(model: Sequential, tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    wanted = model.get_weights()
    save_weights(model, path)
    model.set_weights([np.zeros_like(w) for w in wanted])
    load_weights(model, path)
    for a, b in zip(model.get_weights(), wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_are_read_from_a_whole_model_too(model: Sequential, saved: Path) -> None:
    wanted = model.get_weights()
    model.set_weights([np.zeros_like(w) for w in wanted])
    model.load_weights(saved)
    np.testing.assert_array_equal(model.get_weights()[0], wanted[0])


def test_weights_that_do_not_fit_leave_the_model_as_it_was(model: Sequential, tmp_path: Path) -> None:
    save_weights(model, tmp_path / "small.weights.h5")
    other = Sequential([layers.Input((4,)), layers.Dense(3), layers.Dense(5, name="wide")])
    before = other.get_weights()
    message = r"Layer 'wide' \(Dense\) has weight 'kernel' of shape \(3, 5\); the file has \(3, 2\) at"
    with pytest.raises(SavingError, match=message):
        load_weights(other, tmp_path / "small.weights.h5")
    for a, b in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_skip_mismatch_loads_the_rest_and_warns(model: Sequential, tmp_path: Path) -> None:
    save_weights(model, tmp_path / "small.weights.h5")
    other = Sequential([layers.Input((4,)), layers.Dense(3), layers.Dense(5, name="wide")])
    kept = other.get_weights()[2]
    with pytest.warns(UserWarning, match="Skipped while loading .*Layer 'wide'"):
        load_weights(other, tmp_path / "small.weights.h5", skip_mismatch=True)
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
    np.testing.assert_array_equal(other.get_weights()[2], kept)


def test_weights_need_a_built_model(tmp_path: Path) -> None:
    unbuilt = Sequential([layers.Dense(1)])
    with pytest.raises(NotBuiltError, match="You are saving a model that has not yet been built"):
        save_weights(unbuilt, tmp_path / "x.weights.h5")
    with pytest.raises(NotBuiltError, match="You are loading weights into a model that has not yet been built"):
        load_weights(unbuilt, tmp_path / "x.weights.h5")


def test_random_states_that_some_keras_files_hold_are_ignored(model: Sequential, saved: Path) -> None:
    change_weights(saved, lambda f: f.create_dataset("layers/dropout/seed_generator/vars/0", data=np.arange(2)))
    assert_same_weights(model, load_model(saved))


# -- paths and files -------------------------------------------------------------------------------------------------


def test_a_wrong_extension_is_refused(model: Sequential, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Invalid filepath extension for saving. Please add a `.keras` extension"):
        model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="The filename must end in `.weights.h5`, .*Received: filepath="):
        model.save_weights(tmp_path / "model.h5")


def test_a_missing_file_is_both_a_value_error_and_a_missing_file(model: Sequential, tmp_path: Path) -> None:
    for error in (ValueError, FileNotFoundError, SeqcError):
        with pytest.raises(error, match="File not found: filepath="):
            load_model(tmp_path / "none.keras")
        with pytest.raises(error, match="Weights file not found: filepath="):
            load_weights(model, tmp_path / "none.weights.h5")
    for error in (FileNotFoundError, SeqcError):
        with pytest.raises(error, match="there is no folder"):
            save_model(model, tmp_path / "none" / "model.keras")


def test_an_existing_file_is_kept_if_so_asked(model: Sequential, saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(SavingError, match="File exists: filepath=.*overwrite=True"):
        save_model(model, saved, overwrite=False)
    assert saved.read_bytes() == before


def test_an_unknown_option_is_refused(model: Sequential, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"not supported: \['signatures'\]"):
        save_model(model, tmp_path / "model.keras", signatures=None)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    model: Sequential, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_model(model, saved)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_only_models_are_saved(tmp_path: Path) -> None:
    with pytest.raises(SavingError, match="seqc saves and loads models; got Dense"):
        save_model(layers.Dense(1), tmp_path / "dense.keras")  # type: ignore[arg-type]


def test_a_damaged_archive_is_named(saved: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.keras"
    cut.write_bytes(saved.read_bytes()[:1000])
    with pytest.raises(
        SavingError, match="is not a whole `.keras` zip archive: File is not a zip file. It may be cut off"
    ):
        load_model(cut)
    content = members(saved)
    no_weights = write_members(tmp_path / "a.keras", {k: v for k, v in content.items() if k != "model.weights.h5"})
    with pytest.raises(SavingError, match="has no member 'model.weights.h5'.*It holds: config.json, metadata.json"):
        load_model(no_weights)
    no_config = write_members(tmp_path / "b.keras", {k: v for k, v in content.items() if k != "config.json"})
    with pytest.raises(SavingError, match="has no member 'config.json'"):
        load_model(no_config)
    with pytest.raises(SavingError, match="Member 'config.json' of .* is damaged"):
        load_model(write_members(tmp_path / "c.keras", content | {"config.json": b"{"}))
    with pytest.raises(SavingError, match="does not describe a model"):
        load_model(write_members(tmp_path / "d.keras", content | {"config.json": b"[1]"}))
    with pytest.raises(SavingError, match="model.weights.h5' is not an HDF5 file"):
        load_model(write_members(tmp_path / "e.keras", content | {"model.weights.h5": b"nothing"}))


def test_a_flipped_byte_is_noticed(saved: Path, tmp_path: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / "flipped.keras"
    path.write_bytes(content)
    with pytest.raises(SavingError, match="is damaged: Bad CRC-32"):
        load_model(path)


def test_weights_that_do_not_fit_their_layer_are_named(model: Sequential, saved: Path, tmp_path: Path) -> None:
    def replace(file: Any, path: str, array: np.ndarray) -> None:
        del file[path]
        file[path] = array

    content = members(saved)

    def broken(name: str, change: Any) -> Path:
        return change_weights(write_members(tmp_path / name, content), change)

    with pytest.raises(
        SavingError, match=r"Layer 'first' \(Dense\) has weight 'kernel' of shape \(4, 3\); the file has"
    ):
        load_model(broken("a.keras", lambda f: replace(f, "layers/dense/vars/0", np.zeros((3, 4), "f4"))))
    missing = r"Layer 'second' \(Dense\) expected 2 variables \(kernel, bias\), but received 1 variables during loading"
    with pytest.raises(SavingError, match=missing):
        load_model(broken("b.keras", lambda f: f.pop("layers/dense_1/vars/1")))
    with pytest.raises(SavingError, match="Layer 'second'.*received 0 variables during loading at"):
        load_model(broken("c.keras", lambda f: f.pop("layers/dense_1")))
    with pytest.raises(SavingError, match="the file holds 'layers/dense_2/vars/0' of shape .* no place for it"):
        load_model(broken("d.keras", lambda f: f.create_dataset("layers/dense_2/vars/0", data=np.zeros(3))))
    with pytest.raises(SavingError, match="weights are floats or integers"):
        load_model(broken("e.keras", lambda f: replace(f, "layers/dense/vars/1", np.array([b"a"] * 3))))
