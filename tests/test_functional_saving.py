"""Functional models in files, as plain data, and in copies."""

from __future__ import annotations

import copy
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.oracle import SHARED
from seqc import graph_config, layers, ops
from seqc.errors import SavingError


def arrays(*shapes: tuple[int, ...]) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def model() -> Any:
    """Two inputs by name, a shared layer, a layer of two tensors, a nested model, a call that always trains."""
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    shared = layers.Dense(4, activation="tanh", name="shared")
    h = layers.Concatenate(name="both")([shared(a), shared(b)])
    inner_input = keras.Input((8,))
    inner = keras.Model(inner_input, layers.Dense(3, name="deep")(inner_input), name="inner")
    noise = layers.Dropout(0.0, name="noise")(h, training=True)
    return keras.Model({"a": a, "b": b}, [inner(h), layers.Dense(1, name="end")(noise)], name="all")


def same(one: Any, other: Any) -> None:
    x = dict(zip("ab", arrays((3, 4), (3, 4)), strict=True))
    for p, q in zip(one.predict(x, verbose=0), other.predict(x, verbose=0), strict=True):
        np.testing.assert_array_equal(p, q)


@pytest.mark.slow
def test_a_file_gives_the_same_model_again(tmp_path: Path) -> None:
    one = model()
    one.compile("adam", ["mse", "mae"], loss_weights=[1.0, 0.5])
    x = dict(zip("ab", arrays((6, 4), (6, 4)), strict=True))
    y = arrays((6, 3), (6, 1))
    one.fit(x, y, verbose=0)
    one.save(tmp_path / "m.keras")
    other = keras.models.load_model(tmp_path / "m.keras")
    same(one, other)
    assert [layer.name for layer in other.layers] == [layer.name for layer in one.layers]
    assert [w.path for w in other.weights] == [w.path for w in one.weights]
    # Optimizer and losses came along: both go on alike.
    for each in (one, other):
        each.train_on_batch(x, y)
    same(one, other)


def test_weights_alone_go_through_a_file(tmp_path: Path) -> None:
    one, other = model(), model()
    one.save_weights(tmp_path / "m.weights.h5")
    other.load_weights(tmp_path / "m.weights.h5")
    same(one, other)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
def test_copies_compute_the_same_with_weights_of_their_own(copied: Any) -> None:
    one = model()
    one.predict(dict(zip("ab", arrays((3, 4), (3, 4)), strict=True)), verbose=0)
    other = copied(one)
    same(one, other)
    other.weights[0].assign(other.weights[0].numpy() + 1)
    assert not np.array_equal(one.get_weights()[0], other.get_weights()[0])


def test_json_gives_a_model_of_the_same_layers() -> None:
    one = model()
    other = keras.models.model_from_json(one.to_json())
    other.set_weights(one.get_weights())
    same(one, other)


def test_the_configuration_has_the_form_that_keras_writes() -> None:
    a = keras.Input((4,), name="a")
    config = keras.Model(a, layers.Dense(2, name="d")(a), name="m").get_config()
    assert (config["name"], config["input_layers"], config["output_layers"]) == ("m", ["a", 0, 0], ["d", 0, 0])
    tensor = {"shape": [None, 4], "dtype": "float32", "keras_history": ["a", 0, 0]}
    assert config["layers"][1]["inbound_nodes"] == [
        {"args": [{"class_name": "__keras_tensor__", "config": tensor}], "kwargs": {}}
    ]


RECORDED = ["two_inputs_concatenate", "residual_mlp", "two_outputs", "multi_head_attention"]


@pytest.mark.parametrize("name", RECORDED)
def test_models_that_keras_saved_predict_what_keras_does(name: str) -> None:
    if not SHARED.exists():
        pytest.skip("needs the folder 'shared' beside the repository")
    loaded: Any = keras.models.load_model(SHARED / "functional" / f"{name}.keras")
    with np.load(SHARED / "functional" / f"{name}.npz") as recorded:
        given = {n: recorded[f"x_{n}"] for n in loaded.input_names}
        found = loaded.predict(given, verbose=0)
        for i, y in enumerate(found if isinstance(found, list) else [found]):
            np.testing.assert_allclose(y, recorded[f"y_{i}"], atol=1e-5)


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda x: ops.broadcast_like(ops.ones((4,)), x), "it has ops.broadcast_like between its layers"),
    ],
)
def test_what_has_no_form_in_a_file_is_refused_by_name_before_anything_is_written(
    compute: Any, message: str, tmp_path: Path
) -> None:
    x = keras.Input((4,))
    with pytest.raises(SavingError, match=f"The model cannot be put into a file: {message}"):
        keras.Model(x, compute(x)).save(tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())


# What Keras can make neither: there sizes that only data tell are None, and settings are numbers.
@pytest.mark.parametrize(
    "compute",
    [
        lambda x: ops.clip(x, ops.min(x), 1.0),
        lambda x: ops.reshape(x, (ops.shape(x)[0], ops.shape(x)[1] * 2, 2)),
        lambda x: x[:, : ops.shape(x)[1] // 2 + 1],
        lambda x: x / ops.cast(ops.shape(x)[1], "float32"),
        lambda x: ops.broadcast_to(ops.mean(x, axis=(1, 2), keepdims=True), ops.shape(x)),
        lambda x: x + ops.cast(ops.expand_dims(ops.arange(ops.shape(x)[1]), -1), "float32"),
        lambda x: ops.concatenate([x, ops.zeros((ops.shape(x)[0], 1, 4))], axis=1),
    ],
)
def test_sizes_and_settings_that_only_data_tell_come_back_from_files(compute: Any, tmp_path: Path) -> None:
    x = keras.Input((None, 4))
    model = keras.Model(x, layers.Dense(2)(compute(x)) if compute(x).shape[-1] else compute(x))
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    for rows, length in ((3, 5), (2, 1), (4, 2)):
        given = np.random.default_rng(rows).normal(size=(rows, length, 4)).astype("float32")
        wanted = model.predict(given, verbose=0)
        np.testing.assert_array_equal(loaded.predict(given, verbose=0), wanted)
    assert loaded.to_json() == model.to_json()
    np.testing.assert_array_equal(keras.models.clone_model(model).predict(given, verbose=0).shape, wanted.shape)


def test_one_size_that_only_data_tell_is_what_is_left_in_a_file_that_keras_reads() -> None:
    x = keras.Input((None, 4))
    y = ops.reshape(x, (ops.shape(x)[0] * ops.shape(x)[1], 2, 2))
    entries = keras.Model(x, y).get_config()["layers"]
    assert [entry["module"] for entry in entries] == ["keras.layers", "keras.src.ops.numpy"]
    assert entries[1]["config"]["newshape"] == [-1, 2, 2]


def test_functions_that_no_model_needs_are_refused_in_files(tmp_path: Path) -> None:
    x = keras.Input((None, 4))
    config = json.loads(keras.Model(x, ops.clip(x, ops.min(x), 1.0)).to_json())
    (clip,) = (one for one in config["config"]["layers"] if one["module"] == "seqc.ops")
    for changes, message in (
        ({"class_name": "convert_to_numpy"}, "needs layers that seqc does not have: the operation convert_to_numpy"),
        ({"class_name": "__builtins__"}, "the operation __builtins__"),
        ({"class_name": "relu"}, "is called on what relu does not take"),
    ):
        changed = {
            **config["config"],
            "layers": [{**one, **changes} if one == clip else one for one in config["config"]["layers"]],
        }
        with pytest.raises(SavingError, match=message):
            keras.models.model_from_json(json.dumps({**config, "config": changed}))


def change(config: dict[str, Any], where: str, value: Any) -> None:
    node = config["config"]["layers"][1]["inbound_nodes"][0]
    if where == "history":
        node["args"][0]["config"]["keras_history"] = value
    elif where == "nodes":
        config["config"]["layers"][1]["inbound_nodes"] = value
    else:
        config["config"][where] = value


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("history", ["d", 0, 0], "need what no layer before them gives"),
        ("history", ["d", 7, 0], "need what no layer before them gives"),
        ("history", ["nobody", 0, 0], "calls a layer on 'nobody', which it does not have"),
        ("history", ["a", -1, 0], "names a tensor by"),
        ("history", ["a", 0, 2], "as a tensor, which nothing gives"),
        ("history", None, "names a tensor by None"),
        ("history", "a", "names a tensor by"),
        ("history", [["a"], 0, 0], "names a tensor by"),
        ("nodes", [[["a", 0]]], "describes a call of 'd' by .*, which is none"),
        ("nodes", [[["a", "b", 0, {}]]], "describes a call of 'd' by .*, which is none"),
        ("nodes", [{"args": 3}], "describes a call of 'd' by .*, which is none"),
        ("nodes", [{"kwargs": []}], "describes a call of 'd' by .*, which is none"),
        ("nodes", [None], "describes a call of 'd' by None"),
        ("nodes", 7, "lists the calls of layer 'd' as 7"),
        ("output_layers", ["d", 5, 0], "as a tensor, which nothing gives"),
        ("output_layers", ["d", 0, 3], "as a tensor, which nothing gives"),
        ("output_layers", 3, "names its ends by 3"),
        ("output_layers", None, "names its ends by None"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(where: str, value: Any, message: str) -> None:
    a = keras.Input((4,), name="a")
    config = json.loads(keras.Model(a, layers.Dense(2, name="d")(a), name="m").to_json())
    change(config, where, value)
    with pytest.raises(SavingError, match=message):
        keras.models.model_from_json(json.dumps(config))


@pytest.mark.slow
def test_layers_may_stand_in_any_order_and_no_order_makes_reading_slow() -> None:
    x = h = keras.Input((2,), name="x")
    for i in range(400):
        h = layers.Activation("linear", name=f"a{i}")(h)
    config = json.loads(keras.Model(x, h).to_json())
    looks = [0]
    config["config"]["layers"].reverse()
    needed = graph_config._needed

    def counting(node: Any) -> Any:
        looks[0] += 1
        return needed(node)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_config, "_needed", counting)
        loaded = keras.models.model_from_json(json.dumps(config))
    assert loaded.layers[-1].name == "a399"
    assert looks[0] < 400 * 20


def test_lists_inside_lists_without_end_are_refused() -> None:
    with pytest.raises(SavingError, match="is not the JSON of a model"):
        keras.models.model_from_json("[" * 100_000)


def change_operation(config: dict[str, Any], /, **changes: Any) -> str:
    entry = next(one for one in config["config"]["layers"] if one["name"] == "mean")
    for key, value in changes.items():
        if key in ("args", "kwargs"):
            entry["inbound_nodes"][0][key] = value(entry["inbound_nodes"][0]["args"])
        else:
            entry[key] = value
    return json.dumps(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_name": "Eig"}, "needs layers that seqc does not have: the operation Eig 'mean'"),
        ({"class_name": "mean"}, "does not have: the operation mean 'mean'"),
        ({"class_name": 3}, "does not have: the operation 3 'mean'"),
        ({"config": 3}, "configuration of operation 'Mean' is int"),
        ({"config": {"axis": 1, "where": [1]}}, "settings that seqc.ops does not know: {'where': .1.}"),
        ({"config": {"axis": 7}}, "axis 7 does not exist"),
        ({"class_name": "Repeat", "config": {"repeats": 10**9}}, "works on sizes beyond"),
        ({"args": lambda args: args * 2}, "is called on 2 things"),
        ({"args": lambda args: []}, "mean"),
        ({"kwargs": lambda args: {"nonsense": 1}}, "nonsense"),
    ],
)
def test_an_operation_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    a = keras.Input((4,), name="a")
    config = json.loads(keras.Model(a, ops.mean(a, axis=1), name="m").to_json())
    with pytest.raises(SavingError, match=message):
        keras.models.model_from_json(change_operation(config, **changes))


def test_a_file_with_operations_that_seqc_lacks_names_them(tmp_path: Path) -> None:
    config = json.loads((keras.Model(a := keras.Input((4,)), ops.mean(a, axis=1))).to_json())
    change_operation(config, class_name="Eig")
    path = tmp_path / "m.keras"
    keras.Model(a := keras.Input((4,)), ops.mean(a, axis=1)).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | {
            "config.json": json.dumps(config).encode()
        }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(SavingError, match="that seqc does not have: the operation Eig"):
        keras.models.load_model(path)


def test_operations_keep_names_and_structure_through_a_file(tmp_path: Path) -> None:
    x = keras.Input((4,), name="x")
    one = keras.Model(x, {"b": x[:, 1:] + 1, "a": ops.split(ops.cast(x, "float32"), 2, axis=1)})
    one.save(tmp_path / "m.keras")
    other = keras.models.load_model(tmp_path / "m.keras")
    assert other.get_config() == one.get_config()


def test_models_are_read_as_keras_2_described_them() -> None:
    def layer(kind: str, name: str, nodes: list[Any], **config: Any) -> dict[str, Any]:
        return {"class_name": kind, "config": {"name": name, **config}, "name": name, "inbound_nodes": nodes}

    described = [
        layer("InputLayer", "a", [], batch_input_shape=[None, 4], dtype="float32"),
        layer("InputLayer", "b", [], batch_input_shape=[None, 4], dtype="float32"),
        layer("Dense", "d", [[["a", 0, 0, {}]], [["b", 0, 0, {}]]], units=4, activation="linear"),
        layer("Concatenate", "both", [[["d", 0, 0, {}], ["d", 1, 0, {}]]], axis=-1),
        layer("Dropout", "off", [[["both", 0, 0, {"training": False}]]], rate=0.5),
    ]
    config = {"name": "old", "layers": described, "input_layers": [["a", 0, 0], ["b", 0, 0]]}
    config["output_layers"] = [["off", 0, 0]]
    for name in ("Functional", "Model"):
        model = keras.models.model_from_json(json.dumps({"class_name": name, "config": config}))
        x = arrays((3, 4), (3, 4))
        kernel = model.get_layer("d").kernel.numpy()
        expected = np.concatenate([x[0] @ kernel, x[1] @ kernel], axis=1)
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)


def _written_by_keras(model: Any, path: Path, name: str, training: bool) -> None:
    """Saves a model as Keras would, which writes down the default of `training` in a layer's call."""
    model.save(path)
    with zipfile.ZipFile(path) as file:
        members = {one: file.read(one) for one in file.namelist()}
    config = json.loads(members["config.json"])
    (entry,) = [one for one in config["config"]["layers"] if one["name"] == name]
    entry["inbound_nodes"][0]["kwargs"]["training"] = training
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as file:
        for one, content in members.items():
            file.writestr(one, content)


class Noisy(keras.layers.Layer):
    def call(self, x: Any, training: bool = False) -> Any:
        return x + 1.0 if training else x


NOISY: dict[str, Callable[[], Any]] = {
    "dropout": lambda: keras.layers.Dropout(0.5, name="noisy"),
    "lstm": lambda: keras.layers.LSTM(64, dropout=0.5, name="noisy"),
    "custom": lambda: Noisy(name="noisy"),
}


@pytest.mark.parametrize("kind", NOISY)
def test_the_default_of_training_that_keras_writes_down_turns_nothing_off(kind: str, tmp_path: Path) -> None:
    x = keras.Input((3, 40) if kind == "lstm" else (40,))
    _written_by_keras(keras.Model(x, NOISY[kind]()(x)), tmp_path / "m.keras", "noisy", training=False)
    model = keras.models.load_model(tmp_path / "m.keras", custom_objects={"Noisy": Noisy})
    a = np.ones((2, 3, 40) if kind == "lstm" else (2, 40), np.float32)
    assert np.abs(np.asarray(model(a, training=True)) - np.asarray(model(a))).max() > 1e-3


@pytest.mark.parametrize("training", [False, True])
def test_what_somebody_said_of_training_stays(training: bool, tmp_path: Path) -> None:
    inner = keras.Sequential([keras.Input((40,)), keras.layers.Dropout(0.5)], name="noisy")
    x = keras.Input((40,))
    keras.Model(x, inner(x, training=training)).save(tmp_path / "m.keras")
    model = keras.models.load_model(tmp_path / "m.keras")
    for around in (False, True):
        dropped = np.asarray(model(np.ones((2, 40), np.float32), training=around)) == 0
        assert dropped.any() == training


def pairs(i: Any) -> dict[str, tuple[Any, Any]]:
    """Ends of models in which tuples stand."""
    twice = i * 2
    return {
        "slices": (i, i[:, 1:3]),
        "ellipsis": (i, i[..., None, -2:]),
        "operation": (i, ops.concatenate((i, twice), axis=1)),
        "layer": (i, layers.Add()((i, twice))),
        "sizes": (i, ops.pad(ops.reshape(i, (-1, 2, 2)), ((0, 0), (1, 0), (0, 2)))),
        "inputs": ((i,), twice),
        "outputs": (i, (twice, i + 1)),
        "deep": (i, {"a": (twice, [i + 1])}),
    }


@pytest.mark.parametrize("case", ["slices", "ellipsis", "operation", "layer", "sizes", "inputs", "outputs", "deep"])
def test_tuples_come_out_of_a_configuration_that_was_in_no_file(case: str) -> None:
    one = keras.Model(*pairs(keras.Input((4,)))[case])
    (x,) = arrays((3, 4))
    expected = one.predict(x, verbose=0)
    found = keras.Model.from_config(one.get_config()).predict(x, verbose=0)
    keras.tree.assert_same_structure(found, expected)
    for p, q in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        np.testing.assert_array_equal(p, q)
