"""Files of other kinds and other makers, weights that are no numbers, and models that no file could bring back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seqc as keras
from kit import random_beginnings
from kit.drawn import may_be_odd
from kit.keras_files import assert_same_weights, change_config, change_weights, members, small_model, write_members
from kit.random_models import models
from seqc import layers, ops
from seqc.errors import ConfigError, SavingError
from seqc.saving import load_model, register_keras_serializable


@pytest.fixture
def model() -> keras.Sequential:
    return small_model()


# -- what a file is ----------------------------------------------------------------------------------------------------


def write_onnx(path: Path) -> None:
    small_model().export(path.with_suffix(".onnx"))
    path.with_suffix(".onnx").rename(path)


def start_with(start: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(start)


KINDS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "an ONNX model": (write_onnx, r"seqc_runtime.load\(filepath\)"),
    "a NumPy array": (start_with(b"\x93NUMPY\x01\x00"), "load it in Keras once"),
    "a pointer of Git LFS": (start_with(b"version https://git-lfs.github.com/spec/v1\n"), "not downloaded"),
    "a web page": (start_with(b"<!doctype html><p>Not found"), "answer of a server"),
    "a Python pickle": (start_with(b"\x80\x04\x95"), "load it in Keras once"),
    "empty": (start_with(b""), "load it in Keras once"),
    "of no kind that seqc knows": (start_with(bytes(99)), "may be cut off or damaged"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_called_what_it_is_with_what_to_do(tmp_path: Path, model: keras.Sequential, kind: Any) -> None:
    write, advice = KINDS[kind]
    path = tmp_path / "model.keras"
    write(path)
    with pytest.raises(SavingError, match=f"File format not supported: .*it is {kind}.*{advice}"):
        load_model(path)
    with pytest.raises(SavingError, match=f"File format not supported: .*it is {kind}.*{advice}"):
        model.load_weights(path)


def test_a_model_is_read_whatever_its_name_ends_in(tmp_path: Path, model: keras.Sequential) -> None:
    model.save(tmp_path / "model.keras")
    (tmp_path / "model.keras").rename(tmp_path / "model.bin")
    assert_same_weights(load_model(tmp_path / "model.bin"), model)
    model.load_weights(tmp_path / "model.bin")


def test_a_description_without_weights_is_told_from_a_model(tmp_path: Path, model: keras.Sequential) -> None:
    path = tmp_path / "model.json"
    path.write_text(model.to_json())
    with pytest.raises(SavingError, match="the description of a model in JSON, without weights.*model_from_json"):
        load_model(path)
    with pytest.raises(SavingError, match="the description of a model in JSON: it holds no weights"):
        model.load_weights(path)


def test_an_hdf5_file_of_something_else_is_told_from_a_model(tmp_path: Path, model: keras.Sequential) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["images"], file["labels"] = np.ones(3), np.ones(3)
    for read in (load_model, model.load_weights):
        with pytest.raises(SavingError, match="holds no model of Keras and no weights.*: images, labels"):
            read(tmp_path / "data.h5")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_a_pipe_in_place_of_a_file_is_refused_at_once(tmp_path: Path, model: keras.Sequential) -> None:
    os.mkfifo(tmp_path / "pipe.keras")
    for read in (load_model, model.load_weights):
        with pytest.raises(SavingError, match="it is a named pipe, not a file"):
            read(tmp_path / "pipe.keras")
        with pytest.raises(SavingError, match="it is a device, not a file"):
            read("/dev/zero")


# -- files of other makers ---------------------------------------------------------------------------------------------


def test_paths_that_windows_wrote_are_read(tmp_path: Path, model: keras.Sequential) -> None:
    model.save(tmp_path / "model.keras")

    def change(file: h5py.File) -> None:
        for stem in ("dense", "dense_1"):
            file.move(f"layers/{stem}", f"layers\\{stem}")
        del file["layers"]

    assert_same_weights(load_model(change_weights(tmp_path / "model.keras", change)), model)


def test_options_of_optimizers_of_keras_2_are_left_out(tmp_path: Path, model: keras.Sequential) -> None:
    model.compile("adam", "mse")
    model.save(tmp_path / "model.keras")

    def change(config: Any) -> None:
        config["compile_config"]["optimizer"]["config"].update(jit_compile=True, is_legacy_optimizer=False)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_model(change_config(tmp_path / "model.keras", change)).compiled


@pytest.mark.slow
def test_an_export_needs_nothing_that_only_training_needs(tmp_path: Path, model: keras.Sequential) -> None:
    @register_keras_serializable("Here")
    def own_loss(y_true: Any, y_pred: Any) -> Any:
        return ops.mean(y_true - y_pred)

    model.compile("adam", own_loss)
    model.save(tmp_path / "model.keras")
    command = [sys.executable, "-m", "seqc", "export", "model.keras", "-o", "model.onnx"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    with pytest.warns(UserWarning, match="left uncompiled: .*not_there"):
        load_model(change_config(tmp_path / "model.keras", lambda c: c["compile_config"].update(loss="not_there")))


# -- weights -----------------------------------------------------------------------------------------------------------


def test_weights_that_are_not_finite_are_named_by_layer(tmp_path: Path, model: keras.Sequential) -> None:
    weights = model.get_weights()
    weights[2][0, 0] = np.nan
    model.set_weights(weights)
    model.save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match="weights that are not finite numbers, in layer 'second'. What passes there"):
        load_model(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match="in layer 'second'"):
        model.load_weights(tmp_path / "model.keras")


def test_arguments_of_older_keras_get_an_answer(tmp_path: Path, model: keras.Sequential) -> None:
    model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ConfigError, match="load_weights.by_name=True. belongs to the `.h5` files of Keras 2"):
        model.load_weights(tmp_path / "m.weights.h5", by_name=True)
    with pytest.raises(ConfigError, match="load_weights.. has no argument 'options'; it has skip_mismatch"):
        model.load_weights(tmp_path / "m.weights.h5", options=None)
    model.load_weights(tmp_path / "m.weights.h5", by_name=False, skip_mismatch=False)


# -- what is saved can be loaded ---------------------------------------------------------------------------------------


@may_be_odd
@settings(max_examples=12, deadline=None)
@given(models(), st.sampled_from([None, "adam", "sgd"]))
def test_what_can_be_saved_can_be_loaded(
    tmp_path_factory: pytest.TempPathFactory, model: keras.Sequential, optimizer: Any
) -> None:
    if optimizer is not None:
        model.compile(optimizer, "mse")
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(path)
    loaded = load_model(path)
    assert_same_weights(loaded, model)
    assert loaded.compiled == model.compiled
    x = random_beginnings.samples(model.input_shape, model.input_dtype, 2, 40)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.slow
def test_sixty_models_inside_one_another_come_back(tmp_path: Path) -> None:
    inner = keras.Sequential([layers.Dense(2)])
    for _ in range(60):
        inner = keras.Sequential([inner])
    model = keras.Sequential([keras.Input((3,)), inner])
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert_same_weights(loaded, model)
    loaded.save(tmp_path / "again.keras")
    assert members(tmp_path / "model.keras")["config.json"] == members(tmp_path / "again.keras")["config.json"]


def test_own_classes_need_not_be_registered_to_be_saved(tmp_path: Path) -> None:
    class Scale(layers.Layer):
        def __init__(self, by: float = 2.0, **options: Any) -> None:
            super().__init__(**options)
            self.by = by

        def call(self, x: Any) -> Any:
            return x * self.by

    def own(x: Any) -> Any:
        return x * 3

    model = keras.Sequential([keras.Input((2,)), Scale(0.5), layers.Dense(1, activation=own)])
    model.save(tmp_path / "model.keras")
    with pytest.raises(SavingError, match="needs layers that seqc does not have: Scale"):
        load_model(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras", custom_objects={"Scale": Scale, "own": own})
    assert loaded.layers[0].by == 0.5


def test_a_layer_whose_configuration_lacks_an_argument_is_not_saved(tmp_path: Path) -> None:
    class Odd(layers.Layer):
        def __init__(self, units: int, **options: Any) -> None:
            super().__init__(**options)

        def get_config(self) -> dict[str, Any]:
            return {"name": self.name}

        def call(self, x: Any) -> Any:
            return x

    model = keras.Sequential([keras.Input((2,)), Odd(3, name="odd")])
    message = (
        "is not saved, because the file could not be loaded again: .*Odd 'odd' cannot be made.*'units'.*save_weights"
    )
    with pytest.raises(SavingError, match=message):
        model.save(tmp_path / "model.keras")
    assert not os.listdir(tmp_path)
    model.save_weights(tmp_path / "m.weights.h5")


@pytest.mark.parametrize("name", ["relu", "tanh", "softmax", "silu", "log_softmax"])
def test_a_function_of_ops_comes_back_as_itself(tmp_path: Path, name: str, rng: np.random.Generator) -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Activation(getattr(ops, name))])
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    x = rng.normal(size=(3, 4)).astype("float32")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize("name", ["ravel", "log2"])
def test_a_function_that_no_file_can_name_is_not_saved(tmp_path: Path, name: str) -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Activation(getattr(ops, name))])
    with pytest.raises(SavingError, match=f"could not be loaded again: .*{name}"):
        model.save(tmp_path / "model.keras")


def test_an_approximate_function_is_not_mistaken_for_the_exact_one(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, activation=ops.gelu)])
    with pytest.raises(SavingError, match="the file would be read as seqc.activations.gelu"):
        model.save(tmp_path / "model.keras")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, activation=keras.activations.gelu)])
    model.save(tmp_path / "model.keras")


def test_compile_arguments_that_would_not_come_back_are_announced(tmp_path: Path, model: keras.Sequential) -> None:
    class Own:
        name = "own"

        def get_config(self) -> dict[str, Any]:
            return {"missing": 1}

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            raise ValueError("no way back")

        def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None) -> Any:
            return ops.mean(y_true - y_pred)

    model.compile("sgd", Own())
    with pytest.warns(UserWarning, match="is saved, but the arguments of compile.. cannot be restored .*no way back"):
        model.save(tmp_path / "model.keras")
    assert json.loads(members(tmp_path / "model.keras")["config.json"])["compile_config"]["loss"]["class_name"] == "Own"


# -- names whose meaning changed ---------------------------------------------------------------------------------------


def by_keras(version: str, path: Path, layer: layers.Layer) -> Path:
    model = keras.Sequential([keras.Input((4, 2)), layer])
    model.save(path)
    content = members(path)
    content["metadata.json"] = json.dumps({"keras_version": version}).encode()
    return write_members(path, content)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Dense(2, activation="hard_sigmoid"),
        lambda: layers.LSTM(2, recurrent_activation="hard_sigmoid"),
        lambda: layers.Bidirectional(layers.GRU(2, recurrent_activation="hard_sigmoid")),
        lambda: layers.Activation(ops.hard_sigmoid),
    ],
)
def test_a_hard_sigmoid_of_keras_2_is_not_taken_for_todays(tmp_path: Path, layer: Callable[..., Any]) -> None:
    old = load_model(by_keras("2.15.0", tmp_path / "old.keras", layer()))
    # As a function of a user's, for which Keras asks whoever loads the file.
    assert '"class_name": "function", "config": "hard_sigmoid_keras2"' in old.to_json()
    with pytest.warns(UserWarning, match="computes hard_sigmoid as Keras 2 did, which Keras 3 lacks"):
        old.save(tmp_path / "again.keras")
    x = np.linspace(-4, 4, 16, dtype="float32").reshape(2, 4, 2)
    np.testing.assert_array_equal(load_model(tmp_path / "again.keras").predict(x, verbose=0), old.predict(x, verbose=0))
    new = load_model(by_keras("3.8.0", tmp_path / "new.keras", layer()))
    assert "hard_sigmoid_keras2" not in new.to_json()


def test_a_hard_sigmoid_of_keras_2_can_be_brought_along(tmp_path: Path) -> None:
    path = by_keras("2.15.0", tmp_path / "old.keras", layers.Activation("hard_sigmoid"))
    x = np.linspace(-4, 4, 16, dtype="float32").reshape(2, 4, 2)
    model = load_model(path, custom_objects={"hard_sigmoid": lambda x: ops.clip(0.2 * x + 0.5, 0, 1)})
    np.testing.assert_allclose(model.predict(x, verbose=0), np.clip(0.2 * x + 0.5, 0, 1), rtol=1e-6)
