"""Tables as vectors: `FeatureSpace` against what Keras 3.15.1 gave for the same table, and in models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from seqc import layers
from seqc.errors import ArgumentTypeError, ConfigError, NotBuiltError
from seqc.utils import FeatureSpace

TABLE: dict[str, Any] = {
    "age": np.array([20.0, 30.0, 40.0, 70.0, 25.0, 61.0]),
    "size": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    "rooms": np.array([2, 3, 2, 2, 5, 3]),
    "town": np.array(["b", "a", "b", "c", "b", "a"]),
    "code": np.array([11, 12, 13, 14, 15, 16]),
}
# What Keras makes of it: the age in 3 bins, the code in 3, rooms and towns with an unknown one first, the size; and the
# place of the pair of town and rooms in 4 bins. Of each but the size, where the 1 is.
PLACES = [(0, 1, 1, 1, 1), (1, 1, 2, 2, 3), (2, 2, 1, 1, 1), (2, 0, 1, 3, 0), (1, 2, 3, 1, 3), (2, 0, 2, 2, 3)]
SIZES = [-1.46385, -0.87831, -0.29277, 0.29277, 0.87831, 1.46385]
WIDTHS = (3, 3, 4, 4, 4)


def made(**more: Any) -> FeatureSpace:
    features = {
        "age": FeatureSpace.float_discretized(3),
        "size": "float_normalized",
        "rooms": "integer_categorical",
        "town": "string_categorical",
        "code": FeatureSpace.integer_hashed(3),
    }
    return FeatureSpace(features, crosses=[("town", "rooms")], crossing_dim=4, **more)


def wanted() -> np.ndarray:
    rows = [[np.eye(w)[at] for w, at in zip(WIDTHS, places, strict=True)] for places in PLACES]
    return np.array(
        [np.concatenate([*row[:3], [size], *row[3:]]) for row, size in zip(rows, SIZES, strict=True)], "float32"
    )


@pytest.mark.parametrize(
    "data", [TABLE, [{n: c[i] for n, c in TABLE.items()} for i in range(6)]], ids=["table", "rows"]
)
def test_rows_are_the_vectors_of_keras(data: Any) -> None:
    space = made()
    with pytest.raises(NotBuiltError, match="adapt"):
        space(TABLE)
    space.adapt(data)
    np.testing.assert_allclose(space(TABLE), wanted(), atol=1e-5)
    np.testing.assert_allclose(space({name: column[2] for name, column in TABLE.items()}), wanted()[2], atol=1e-5)
    unknown = space({"age": 50.0, "size": 3.5, "rooms": 9, "town": "d", "code": 11})
    np.testing.assert_array_equal(np.flatnonzero(unknown), [2, 4, 6, 11, 15])


def test_names_of_columns_lead_to_their_numbers() -> None:
    space = made(output_mode="dict")
    space.adapt(TABLE)
    found = space(TABLE)
    assert list(found) == ["age", "code", "rooms", "size", "town", "town_X_rooms"]
    np.testing.assert_array_equal(np.argmax(found["town_X_rooms"], -1), [places[4] for places in PLACES])
    plain = FeatureSpace({"a": FeatureSpace.integer_categorical(output_mode="int"), "b": "float"}, output_mode="dict")
    plain.adapt({"a": np.array([5, 5, 7])})
    assert np.asarray(plain({"a": [7, 5, 9], "b": [0.5, 1, 2]})["a"]).tolist() == [[2], [1], [0]]
    config = made().get_config()
    assert FeatureSpace.from_config(config).get_config() == config


@pytest.mark.parametrize("order", [("size", "age"), ("age", "size")], ids="-".join)
def test_each_name_leads_to_its_own_input_however_columns_are_declared(order: tuple[str, str]) -> None:
    kinds = {"size": FeatureSpace.float(), "age": FeatureSpace.float_rescaled(scale=0.1)}
    space = FeatureSpace({name: kinds[name] for name in order})
    inputs = space.get_inputs()
    assert {name: x.name for name, x in inputs.items()} == {"size": "size", "age": "age"}
    assert list(inputs) == list(order)
    model = seqc.Model(inputs, space.get_encoded_features())
    row = {"size": np.array([[1.0]]), "age": np.array([[30.0]])}
    np.testing.assert_allclose(model.predict(row, verbose=0), [[3.0, 1.0]])  # 30 * 0.1, and 1 as it is
    np.testing.assert_allclose(space(row), [[3.0, 1.0]])


@pytest.mark.slow
def test_a_model_that_was_trained_on_vectors_takes_the_table(tmp_path: Path) -> None:
    features = {"age": "float_normalized", "rooms": "integer_categorical", "town": "string_categorical"}
    space = FeatureSpace(features)
    space.adapt(TABLE)
    encoded = space.get_encoded_features()
    outputs = layers.Dense(1, name="price")(layers.Dense(4, "tanh")(encoded))
    training = seqc.Model(encoded, outputs)
    training.compile(seqc.optimizers.Adam(0.2), "mse")
    table = {name: TABLE[name] for name in features}
    before = training.evaluate(space(table), TABLE["size"][:, None], verbose=0)
    training.fit(space(table), TABLE["size"][:, None], epochs=20, verbose=0)
    assert training.evaluate(space(table), TABLE["size"][:, None], verbose=0) < before / 4
    whole = seqc.Model(space.get_inputs(), outputs)
    columns = {name: column[:, None] for name, column in table.items()}
    expected = whole.predict(columns, verbose=0)
    np.testing.assert_allclose(expected, training.predict(space(table), verbose=0), rtol=1e-5)
    whole.save(tmp_path / "whole.keras")
    np.testing.assert_array_equal(
        seqc.models.load_model(tmp_path / "whole.keras").predict(columns, verbose=0), expected
    )
    runtime = pytest.importorskip("onnxruntime")
    whole.export(tmp_path / "whole.onnx")
    session = runtime.InferenceSession(tmp_path / "whole.onnx")
    kinds = {"tensor(float)": "float32", "tensor(int32)": "int32", "tensor(string)": object}
    given = {x.name: columns[x.name].astype(kinds[x.type]) for x in session.get_inputs()}
    np.testing.assert_allclose(session.run(None, given)[0], expected, rtol=1e-5)


def test_what_makes_no_sense_is_refused() -> None:
    for features, more, message in (
        ({}, {}, "empty"), ({"a": "flt"}, {}, "feature type"), ({"a": "float"}, {"output_mode": "x"}, "output_mode"),
        ({"a": "float"}, {"crosses": [("a", "b")]}, "unknown features"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            FeatureSpace(features, **more)
    with pytest.raises(ConfigError, match="dimensionality"):
        FeatureSpace({"a": FeatureSpace.feature("int32", layers.Identity(), "one_hot")}).get_inputs()
    with pytest.raises(ConfigError, match="has not been encoded"):
        FeatureSpace({"a": FeatureSpace.integer_hashed(3, "int")}).get_inputs()
    with pytest.raises(ArgumentTypeError, match="dict"):
        made().adapt(np.ones(3))
    with pytest.raises(ArgumentTypeError, match="dict"):
        made()([1, 2])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no file of its own"):
        made().save("space.keras")


def test_a_vocabulary_that_is_given_is_kept() -> None:
    words = layers.TextVectorization(output_mode="count", vocabulary=["a", "c"])
    space = FeatureSpace({"c": FeatureSpace.feature("string", words, "float")})
    space.adapt({"c": np.array(["a b", "b c c", "d"])})
    assert np.asarray(space({"c": np.array(["a b", "b c c", "d"])})).tolist() == [[1, 1, 0], [1, 0, 2], [1, 0, 0]]
