"""Models of Keras 2 in each of its files, with what it predicted and how it trained on: see `kit.record_old_models`."""

from __future__ import annotations

import json
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnxruntime
import pytest

import seqc
from kit.oracle import ROOT
from seqc.errors import SavingError
from seqc.models import model_from_json
from seqc.saving import load_model
from seqc.saving.arrays import StoredArray
from seqc.saving.old_arrays import converted

NAMES = ("stack", "recurrent", "nested", "attention", "states", "hard_swish", "operations")
# Keras 2 wrote `x[..., 0]` between layers into `.h5` files only.
FILES = [(name, ending) for name in NAMES for ending in (".h5", ".keras") if (name, ending) != ("operations", ".keras")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("old")
    with zipfile.ZipFile(ROOT / "tests" / "cases" / "old_models.zip") as archive:
        archive.extractall(path)
    return path


def recorded(folder: Path, name: str) -> tuple[Any, list[Any]]:
    arrays = np.load(folder / f"{name}.npz")
    xs = [arrays[key] for key in sorted(arrays) if key.startswith("x")]
    return xs if len(xs) > 1 else xs[0], [arrays[key] for key in sorted(arrays) if key.startswith("y")]


def assert_predicts(model: Any, xs: Any, wanted: list[Any]) -> None:
    found = model.predict(xs, verbose=0)
    for y, expected in zip(found if isinstance(found, list) else [found], wanted, strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "ending"), FILES)
def test_a_model_of_keras_2_predicts_the_same_in_both_its_files(
    folder: Path, name: Any, ending: Any, tmp_path: Path
) -> None:
    xs, wanted = recorded(folder, name)
    assert_predicts(load_model(folder / f"{name}{ending}"), xs, wanted)
    # Whatever the name says, the content counts.
    (tmp_path / "model.bin").write_bytes((folder / f"{name}{ending}").read_bytes())
    model = load_model(tmp_path / "model.bin", compile=False)
    receipt = model.export(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    kinds = {"tensor(float)": "float32", "tensor(int32)": "int32"}
    given = xs if isinstance(xs, list) else [xs]
    feed = {i.name: x.astype(kinds[i.type]) for i, x in zip(session.get_inputs(), given, strict=True)}
    for y, expected in zip(session.run(None, feed), wanted, strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=2e-6)
    if name == "recurrent":  # a hard_sigmoid of Keras 2 does not take an LSTM apart
        assert receipt.nodes["LSTM"] == 2  # one for each direction
        assert receipt.nodes["GRU"] == 2


@pytest.mark.parametrize(("name", "weights"), [*FILES, *((name, "_weights.h5") for name in NAMES)])
def test_json_and_weights_of_keras_2_are_a_model(folder: Path, name: Any, weights: Any) -> None:
    xs, wanted = recorded(folder, name)
    model = model_from_json((folder / f"{name}.json").read_text())
    model.load_weights(folder / f"{name}{weights}")
    assert_predicts(model, xs, wanted)


@pytest.mark.slow
def test_the_optimizers_of_keras_2_go_on_where_they_stopped(folder: Path) -> None:
    for name, tolerance in (("stack", 1e-4), ("recurrent", 1e-6)):  # its moving variance was an unbiased one
        xs, wanted = recorded(folder, name)
        model = load_model(folder / f"{name}.h5")
        classes = model.output_shape[-1]
        labels = np.eye(classes, dtype="float32")[np.arange(4) % classes]
        model.fit(xs, labels, epochs=2, verbose=0)
        expected = np.load(folder / f"{name}.npz")["z0"]
        np.testing.assert_allclose(model.predict(xs, verbose=0), expected, atol=tolerance)
        assert np.abs(wanted[0] - expected).max() > 0.05


def test_weights_by_layer_go_by_order_or_by_name(folder: Path) -> None:
    xs, wanted = recorded(folder, "stack")
    text = (folder / "stack.json").read_text().replace('"dense"', '"another"')
    model = model_from_json(text)
    model.load_weights(folder / "stack_weights.h5")  # in order, whatever the names
    assert_predicts(model, xs, wanted)
    model = model_from_json(text)
    before = model.get_layer("another").get_weights()
    model.load_weights(folder / "stack_weights.h5", by_name=True)
    assert all(map(np.array_equal, model.get_layer("another").get_weights(), before))
    other = seqc.Sequential([seqc.Input((3,)), seqc.layers.Dense(2, name="dense")])
    with pytest.raises(SavingError, match=r"weights of a layer 'conv2d', for which the model has no place"):
        other.load_weights(folder / "stack_weights.h5")
    with pytest.raises(SavingError, match=r"Layer 'dense' .* has weight 'kernel' of shape \(3, 2\); the file has"):
        other.load_weights(folder / "stack_weights.h5", by_name=True)
    with pytest.warns(UserWarning, match="Skipped while loading"):
        other.load_weights(folder / "stack_weights.h5", skip_mismatch=True)


@pytest.mark.parametrize("by_name", [False, True])
def test_what_fits_of_a_layer_is_taken_where_the_rest_is_skipped(by_name: bool, tmp_path: Path) -> None:
    def filled(channels: int, units: int) -> Any:
        convolution = seqc.layers.Conv2D(4, 3, name="c", bias_initializer="random_normal")
        last = seqc.layers.Dense(units, name="d", bias_initializer="random_normal")
        return seqc.Sequential([seqc.Input((3, 3, channels)), convolution, seqc.layers.Flatten(), last])

    with pytest.warns(UserWarning, match="HDF5"):
        (old := filled(1, 2)).save(tmp_path / "m.h5")
    model = filled(3, 2)
    kept = model.get_weights()[0]
    with pytest.warns(UserWarning, match=r"Layer 'c' \(Conv2D\) has weight 'kernel' of shape \(3, 3, 3, 4\)"):
        model.load_weights(tmp_path / "m.h5", skip_mismatch=True, by_name=by_name)
    for found, wanted in zip(model.get_weights(), [kept, *old.get_weights()[1:]], strict=True):
        np.testing.assert_array_equal(found, wanted)


# -- words of older versions, and what cannot be told ------------------------------------------------------------------


def rewritten(source: Path, target: Path, change: Any, **attributes: Any) -> Path:
    """Copies an `.h5` file with a description that `change` changed in place, and other attributes."""
    target.write_bytes(source.read_bytes())
    with h5py.File(target, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)
        file.attrs.update(attributes)
        for group in (file["model_weights"],):
            group.attrs.update({k: v for k, v in attributes.items() if k in group.attrs})
    return target


def layer_of(config: Any, name: str) -> Any:
    return next(one for one in config["config"]["layers"] if one["config"]["name"] == name)


def test_initializers_and_regularizers_of_others_do_not_stop_a_load(folder: Path, tmp_path: Path) -> None:
    def change(config: Any) -> None:
        given = layer_of(config, "dense")["config"]
        given["kernel_initializer"] = {"class_name": "MyInitializer", "config": {"seed": 1}}
        given["bias_regularizer"] = "elsewhere"
        given["kernel_constraint"] = {"class_name": "Custom>Own", "config": {}}

    path = rewritten(folder / "stack.h5", tmp_path / "own.h5", change)
    named = "kernel_initializer MyInitializer of layer 'dense'.*kernel_constraint Custom>Own of layer 'dense'"
    with pytest.warns(UserWarning, match=named) as said:
        model = load_model(path)
    assert len(said) == 1
    assert model.compiled
    assert_predicts(model, *recorded(folder, "stack"))


def test_convolutions_of_theano_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    path = rewritten(folder / "stack.h5", tmp_path / "theano.h5", lambda config: None, backend="theano")
    with pytest.raises(SavingError, match="layer 'conv2d' was computed by Theano, which turned the kernels"):
        load_model(path)
    path = rewritten(folder / "recurrent.h5", tmp_path / "theano2.h5", lambda config: None, backend="theano")
    assert_predicts(load_model(path), *recorded(folder, "recurrent"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time_major": True}, "time_major"),
        ({"dtype": {"class_name": "Policy", "config": {"name": "int8_from_float32"}}}, "int8_from_float32"),
    ],
)
def test_settings_that_change_numbers_are_refused_by_name(
    folder: Path, tmp_path: Path, change: Any, message: str
) -> None:
    path = rewritten(folder / "recurrent.h5", tmp_path / "m.h5", lambda c: layer_of(c, "gru")["config"].update(change))
    with pytest.raises(SavingError, match=message):
        load_model(path)


def test_a_subclass_of_a_functional_model_is_one(folder: Path, tmp_path: Path) -> None:
    path = rewritten(folder / "nested.h5", tmp_path / "m.h5", lambda config: config.update(class_name="MyNetwork"))
    assert_predicts(load_model(path), *recorded(folder, "nested"))


def test_files_that_are_cut_or_hold_too_little_say_where(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    path.write_bytes((folder / "stack.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        del file["model_weights/dense/dense/bias:0"]
    with pytest.raises(SavingError, match="lists an array 'dense/bias:0' at 'model_weights/dense/' and does not"):
        load_model(path)
    with h5py.File(path, "r+") as file:
        file["model_weights/dense"].attrs["weight_names"] = np.array([b"dense/kernel:0"])
    with pytest.raises(SavingError, match=r"Layer 'dense' \(Dense\) has 2 weights .*holds 1 arrays for it"):
        load_model(path)
    with h5py.File(path, "r+") as file:
        file["model_weights/dense"].attrs["weight_names"] = []
    with pytest.raises(SavingError, match=r"layer 'dense' \(Dense\) has no weights in the file"):
        load_model(path)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_arrays_of_cudnn_become_what_keras_2_made_of_them(kind: str) -> None:
    """Recorded from what `tf_keras` converts such layers with: arrays of three units on five features."""
    arrays = np.load(ROOT / "tests" / "cases" / "cudnn_arrays.npz")
    layer = getattr(seqc.layers, kind)(3)
    layer.build((None, 4, 5))
    given = [arrays[f"{kind}_in{i}"] for i in range(3)]
    stored = [StoredArray(str(i), a.shape, "float64", partial(np.asarray, a)) for i, a in enumerate(given)]
    for i, (array, variable) in enumerate(zip(converted(layer, stored), layer.weights, strict=True)):
        assert array.shape == variable.shape
        np.testing.assert_array_equal(array.read(), arrays[f"{kind}_out{i}"])


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (
            "einsum",
            {},
            r"TensorFlow's 'einsum' between its layers \(as 'tf.nn.softmax'\), and tf.keras left out .* on what. Put",
        ),
        (None, {}, "calls TensorFlow's 'None' between its layers"),
        ("linalg.svd", {}, r"'linalg.svd' .* for which seqc has nothing in a file. .* load the weights alone"),
        ("nn.softmax", {"axis": 1, "stable": True}, r"'nn.softmax' \(as 'tf.nn.softmax'\) is called with stable=True"),
        ("math.cumsum", {"reverse": True}, "called with reverse=True: seqc has it without"),
        ("tile", {"multiples": [1, 1 << 40, 1]}, "works on sizes beyond"),
    ],
)
def test_functions_between_layers_that_cannot_be_carried_are_refused_by_name(
    folder: Path, tmp_path: Path, function: str | None, arguments: Any, message: str
) -> None:
    def change(config: Any) -> None:
        layer = next(one for one in config["config"]["layers"] if one["name"] == "tf.nn.softmax")
        layer["config"]["function"] = function
        layer["inbound_nodes"][0][3] = arguments

    path = rewritten(folder / "operations.h5", tmp_path / "changed.h5", change)
    with pytest.raises(SavingError, match=message):
        load_model(path)
