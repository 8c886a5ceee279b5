"""Models and weights in each kind of file that seqc writes, read again by seqc, by NumPy and by real Keras."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import seqc
from seqc import layers, ops
from seqc.errors import ConfigError, NotBuiltError, SavingError
from seqc.models import model_from_json
from seqc.saving import load_model
from seqc.saving.containers import CONTAINERS, MODEL_ENDINGS, WEIGHT_ENDINGS

RNG = np.random.default_rng(5)


def spread(model: Any) -> Any:
    model.set_weights(
        [RNG.uniform(0.5, 2, v.shape) if "variance" in v.name else RNG.normal(size=v.shape) for v in model.weights]
    )
    return model


def picture_model() -> Any:
    stack = [layers.Conv2D(3, 3, activation="relu"), layers.BatchNormalization(), layers.Flatten(), layers.Dense(2)]
    model = spread(seqc.Sequential([seqc.Input((6, 6, 2)), *stack], name="pictures"))
    model.compile(seqc.optimizers.Adam(0.01), "mse", metrics=["mae"])
    model.fit(RNG.normal(size=(8, 6, 6, 2)), np.ones((8, 2)), verbose=0)
    return model


def recurrent_model() -> Any:
    stack = [layers.Bidirectional(layers.LSTM(3, return_sequences=True)), layers.GRU(2)]
    return spread(seqc.Sequential([seqc.Input((5, 4)), *stack], name="recurrent"))


def branched_model() -> Any:
    inside = [layers.Dense(4, "relu", name="inside"), layers.BatchNormalization()]
    inner = seqc.Sequential([seqc.Input((4,)), *inside], name="inner")
    x = seqc.Input((4,), name="x")
    y = layers.Add()([inner(x), layers.Dense(4, name="a_last")(x)])
    return spread(seqc.Model(x, [inner(y) * 2.0, layers.Dense(1, name="out")(y)], name="branched"))


MODELS = {"pictures": picture_model, "recurrent": recurrent_model, "branched": branched_model}


def predicted(model: Any, x: Any) -> list[Any]:
    y = model.predict(x, verbose=0)
    return y if isinstance(y, list) else [y]


def data_for(model: Any) -> Any:
    return RNG.normal(size=(3, *model.inputs[0].shape[1:])).astype("float32")


@pytest.mark.filterwarnings("ignore:.*considered legacy:UserWarning")
@pytest.mark.parametrize("ending", MODEL_ENDINGS)
@pytest.mark.parametrize("name", MODELS)
def test_a_whole_model_comes_back_as_it_was(name: Any, ending: Any, tmp_path: Path) -> None:
    model = MODELS[name]()
    x = data_for(model)
    model.save(tmp_path / f"m{ending}")
    again = load_model(tmp_path / f"m{ending}")
    loss = '"mse"' if ending == ".keras" else '"mean_squared_error"'
    assert again.to_json() == model.to_json().replace('"mse"', loss)
    for y, expected in zip(predicted(again, x), predicted(model, x), strict=True):
        np.testing.assert_array_equal(y, expected)
    assert again.compiled == model.compiled
    if model.compiled:
        for a, b in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("ending", WEIGHT_ENDINGS)
@pytest.mark.parametrize("name", MODELS)
def test_weights_come_back_into_a_model_of_the_same_layers(name: Any, ending: Any, tmp_path: Path) -> None:
    if ending == ".safetensors":
        pytest.importorskip("safetensors")
    model = MODELS[name]()
    x = data_for(model)
    model.save_weights(tmp_path / f"w{ending}")
    again = model_from_json(model.to_json())
    again.load_weights(tmp_path / f"w{ending}")
    for y, expected in zip(predicted(again, x), predicted(model, x), strict=True):
        np.testing.assert_array_equal(y, expected)


def test_safetensors_of_bfloat16_are_read_number_by_number(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    half = pytest.importorskip("ml_dtypes").bfloat16
    model = branched_model()
    model.save_weights(tmp_path / "wide.safetensors")
    arrays = safetensors.load((tmp_path / "wide.safetensors").read_bytes())
    rounded = {name: array.astype(half) for name, array in arrays.items()}
    (tmp_path / "half.safetensors").write_bytes(safetensors.save(rounded))
    before = model.get_weights()
    model.load_weights(tmp_path / "half.safetensors")
    for read, exact in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(read, exact.astype(half).astype(exact.dtype))


def test_numpy_reads_weights_by_the_names_of_layers(tmp_path: Path) -> None:
    model = branched_model()
    model.save_weights(tmp_path / "w.npz")
    arrays = np.load(tmp_path / "w.npz")
    assert {"inner/inside/kernel", "a_last/bias"} <= set(arrays)
    assert sum(array.size for array in arrays.values()) == model.count_params()


def test_weights_that_numpy_saved_in_order_are_read_in_order(tmp_path: Path) -> None:
    model = branched_model()
    x = data_for(model)
    np.savez(tmp_path / "w.npz", *model.get_weights())
    again = model_from_json(model.to_json())
    again.load_weights(tmp_path / "w.npz")
    for y, expected in zip(predicted(again, x), predicted(model, x), strict=True):
        np.testing.assert_array_equal(y, expected)


def test_arrays_that_do_not_fit_are_named_and_change_nothing(tmp_path: Path) -> None:
    model = recurrent_model()
    before = model.get_weights()
    np.savez(tmp_path / "w.npz", *before[:-1])
    with pytest.raises(SavingError, match="has 9 weights .* the file holds 8 arrays for it"):
        model.load_weights(tmp_path / "w.npz")
    np.savez(tmp_path / "w.npz", *before[:-1], np.ones((7,)))
    with pytest.raises(SavingError, match=r"has weight 'bias' of shape .* the file has \(7,\)"):
        model.load_weights(tmp_path / "w.npz")
    assert all(map(np.array_equal, model.get_weights(), before))
    with pytest.raises(SavingError, match="it holds weights and no layers. Build the model and call"):
        load_model(tmp_path / "w.npz")


# -- names, and what has no place --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_names_are_checked_before_training(tmp_path: Path) -> None:
    for weights, name, message in (
        (True, "w.h5", "must end in `.weights.h5` .*`.npz`, `.safetensors`"),
        (False, "m.npz", "must end in `.keras` .*`.h5`, `.hdf5`"),
    ):
        with pytest.raises(ConfigError, match=message):
            seqc.callbacks.ModelCheckpoint(tmp_path / name, save_weights_only=weights)
    for name in ("m.h5", "m.keras", "w.npz", "w.weights.h5"):
        keep = seqc.callbacks.ModelCheckpoint(tmp_path / name, save_weights_only=name.startswith("w"))
        model = picture_model()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(RNG.normal(size=(4, 6, 6, 2)), np.ones((4, 2)), verbose=0, callbacks=[keep])
        again = picture_model()
        again.load_weights(tmp_path / name)
        assert all(map(np.array_equal, again.get_weights(), model.get_weights()))


def test_no_two_kinds_of_files_are_written_under_one_name() -> None:
    endings = [ending for one in CONTAINERS for ending in one.endings]
    assert len(set(endings)) == len(endings)
    assert all(one.read is not None and one.title for one in CONTAINERS)


@pytest.mark.parametrize("name", ["top_level_model_weights", "a/b"])
def test_what_an_h5_file_has_no_place_for_is_refused(name: str, tmp_path: Path) -> None:
    model = seqc.Sequential([seqc.Input((2,)), layers.Dense(2, name=name)])
    with (
        pytest.warns(UserWarning, match="considered legacy"),
        pytest.raises(SavingError, match="has no place in an `.h5` file"),
    ):
        model.save(tmp_path / "m.h5")
    assert not list(tmp_path.iterdir())
    with pytest.raises(NotBuiltError, match="not yet been built"):
        seqc.Sequential([layers.Dense(2)]).save_weights(tmp_path / "w.npz")


@pytest.mark.slow
def test_long_lists_of_names_are_split_as_keras_does(tmp_path: Path) -> None:
    many = [layers.Dense(1, name=f"{'long' * 20}{i}") for i in range(900)]
    model = seqc.Sequential([seqc.Input((1,)), *many])
    with pytest.warns(UserWarning, match="considered legacy"):
        model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        assert {"layer_names0", "layer_names1"} <= set(file["model_weights"].attrs)
    again = load_model(tmp_path / "m.h5")
    assert all(map(np.array_equal, again.get_weights(), model.get_weights()))


# -- TensorFlow.js -----------------------------------------------------------------------------------------------------


def write_tensorflow_js(model: Any, folder: Path, quantized: bool = False, **topology: Any) -> Path:
    """Writes a model as TensorFlow's converter does: one group of weights in two shards."""
    described = json.loads(model.to_json())
    weights, content = [], b""
    for v in model.trainable_weights + model.non_trainable_weights:
        entry: dict[str, Any] = {"name": v.path.split("/", v.path.count("/") - 1)[-1], "shape": list(v.shape)}
        entry["dtype"] = "float32"
        array = v.numpy().astype("<f4")
        if quantized:
            low, scale = float(array.min()), float(np.ptp(array) / 255) or 1.0
            entry["quantization"] = {"dtype": "uint8", "min": low, "scale": scale, "original_dtype": "float32"}
            array = np.round((array - low) / scale).astype("u1")
        weights.append(entry)
        content += array.tobytes()
    (folder / "group1-shard1of2.bin").write_bytes(content[:50])
    (folder / "group1-shard2of2.bin").write_bytes(content[50:])
    manifest = [{"paths": ["group1-shard1of2.bin", "group1-shard2of2.bin"], "weights": weights}]
    text = {
        "format": "layers-model",
        "generatedBy": "keras v3.15.1",
        "modelTopology": {"keras_version": "3.15.1", "backend": "tensorflow", "model_config": described, **topology},
        "weightsManifest": manifest,
    }
    (folder / "model.json").write_text(json.dumps(text))
    return folder / "model.json"


@pytest.mark.slow
def test_a_model_of_tensorflow_js_is_read_with_its_shards(tmp_path: Path) -> None:
    for make, quantized in ((picture_model, False), (recurrent_model, False), (picture_model, True)):
        model = make()
        x = data_for(model)
        again = load_model(write_tensorflow_js(model, tmp_path, quantized))
        y, expected = again.predict(x, verbose=0), model.predict(x, verbose=0)
        np.testing.assert_allclose(y, expected, atol=0.2 * np.abs(expected).max() if quantized else 0)
        others = model_from_json(model.to_json())
        others.load_weights(tmp_path / "model.json")
        np.testing.assert_array_equal(others.predict(x, verbose=0), y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["weightsManifest"][0]["paths"].append("group1-shard3of3.bin"), "shard3of3.bin', which is missing"),
        (lambda m: m["weightsManifest"][0]["paths"].append("../model.json"), "no file beside it. Refused"),
        (lambda m: m["weightsManifest"][0]["paths"].append("/etc/passwd"), "no file beside it. Refused"),
        (lambda m: m["weightsManifest"][0]["paths"].pop(), "end before weight"),
        (lambda m: m["weightsManifest"][0]["weights"].pop(), "bytes that no weight claims"),
        (lambda m: m["weightsManifest"][0]["weights"][0].update(shape=[10**12]), "end before weight"),
        (lambda m: m["weightsManifest"][0]["weights"][0].update(dtype="string"), "dtype string"),
        (lambda m: m.update(weightsManifest=3), "list of weights in .* is damaged"),
        (lambda m: m.update(modelTopology={"node": []}), "a graph of TensorFlow's operations"),
        (lambda m: m.update(weightsManifest=[]), "without weights"),
    ],
)  # fmt: skip
def test_models_of_tensorflow_js_that_make_no_sense_are_refused(
    tmp_path: Path, change: Callable[..., Any], message: str
) -> None:
    path = write_tensorflow_js(recurrent_model(), tmp_path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(SavingError, match=message):
        load_model(path)


def test_an_operation_without_a_module_is_told_from_a_layer(tmp_path: Path) -> None:
    """Keras 3 writes operations between layers into `.h5` files by their bare names."""
    x = seqc.Input((3,), name="x")
    model = spread(seqc.Model(x, ops.mean(layers.Dense(4, name="d")(x) * 2.0, axis=1, keepdims=True), name="m"))
    with pytest.warns(UserWarning, match="considered legacy"):
        model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for entry in config["config"]["layers"]:
            for key in ("module", "registered_name", "build_config"):
                entry.pop(key, None)
        file.attrs["model_config"] = json.dumps(config)
    data = data_for(model)
    np.testing.assert_array_equal(predicted(load_model(tmp_path / "m.h5"), data)[0], predicted(model, data)[0])
