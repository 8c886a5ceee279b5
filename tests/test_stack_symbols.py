"""A Sequential and its layers as symbols: parts of it, and models on top of it, that share its weights."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
import seqc_runtime
from seqc import layers


def stack() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((8, 8, 2), name="image"),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Flatten(name="flat"),
            layers.Dense(5, activation="tanh", name="code"),
            layers.Dense(2, name="head"),
        ]
    )


def images(rows: int = 6) -> Any:
    return np.random.default_rng(0).normal(size=(rows, 8, 8, 2)).astype("float32")


def by_hand(model: keras.Sequential, x: Any, last: str) -> Any:
    for layer in model.layers:
        x = layer(x)
        if layer.name == last:
            break
    return np.asarray(x)


@pytest.mark.parametrize("last", ["conv", "pool", "flat", "code", "head"])
def test_a_part_of_a_stack_is_a_model_with_its_weights(last: str, tmp_path: Path) -> None:
    model = stack()
    part = keras.Model(model.inputs, model.get_layer(last).output)
    x = images()
    np.testing.assert_allclose(part.predict(x, verbose=0), by_hand(model, x, last), rtol=1e-5, atol=1e-6)
    part.export(tmp_path / "part.onnx")
    given = seqc_runtime.load(tmp_path / "part.onnx").predict(x)
    np.testing.assert_allclose(given, part.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
    model.layers[0].set_weights([w * 2 for w in model.layers[0].get_weights()])
    np.testing.assert_allclose(part.predict(x, verbose=0), by_hand(model, x, last), rtol=1e-5, atol=1e-6)


def test_a_new_head_on_frozen_layers_of_a_stack_trains_alone_and_is_saved(tmp_path: Path) -> None:
    base = stack()
    base.trainable = False
    before = base.get_weights()
    model = keras.Model(base.input, layers.Dense(3, activation="softmax", name="kinds")(base.layers[-2].output))
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = images(32), np.arange(32) % 3
    losses = model.fit(x, y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for a, b in zip(before, base.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(model.trainable_weights) == 2
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_symbols_follow_the_stack_as_it_changes() -> None:
    model = stack()
    assert model.output is model.layers[-1].output
    assert model.layers[1].input is model.layers[0].output
    assert model.layers[0].input is model.input
    model.pop()
    assert model.output is model.get_layer("code").output
    model.add(layers.Dense(4, name="other"))
    assert keras.Model(model.inputs, model.outputs).output_shape == (None, 4)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_has_symbols_of_its_own(copied: Any) -> None:
    model = stack()
    _ = model.output
    other = copied(model)
    x = images()
    part = keras.Model(other.inputs, other.layers[3].output)
    np.testing.assert_allclose(part.predict(x, verbose=0), by_hand(other, x, "code"), rtol=1e-5, atol=1e-6)


def test_a_stack_of_unknown_input_has_no_symbols_yet() -> None:
    model = keras.Sequential([layers.Dense(2, name="d")])
    with pytest.raises(AttributeError, match=r"Sequential model .* has no defined output yet"):
        _ = model.output
    with pytest.raises(AttributeError, match="The layer 'd' has never been called"):
        _ = model.layers[0].output
    model.build((None, 3))
    assert model.layers[0].output.shape == (None, 2)


def test_masks_go_with_the_symbols() -> None:
    model = keras.Sequential(
        [keras.Input((None,), dtype="int32"), layers.Embedding(9, 4, mask_zero=True), layers.LSTM(3), layers.Dense(1)]
    )
    part = keras.Model(model.inputs, model.layers[1].output)
    words = np.array([[1, 2, 0, 0], [3, 4, 5, 6]])
    short = part.predict(words[:1, :2], verbose=0)
    np.testing.assert_allclose(part.predict(words, verbose=0)[:1], short, rtol=1e-5, atol=1e-6)


def test_a_layer_of_two_models_has_the_symbol_of_where_it_was_first() -> None:
    dense = layers.Dense(2)
    x = keras.Input((3,))
    h = dense(x)
    keras.Sequential([keras.Input((3,)), dense])
    assert dense.output is h


def test_training_exporting_and_showing_make_no_symbols(tmp_path: Path) -> None:
    model = stack()
    model.compile("sgd", "mse", metrics=["mae"])
    x = images()
    model.fit(x, np.zeros((6, 2)), validation_split=0.5, class_weight=None, verbose=0)
    model.evaluate(x, np.zeros((6, 2)), verbose=0)
    model.predict(x, verbose=0)
    model.export(tmp_path / "m.onnx")
    model.save(tmp_path / "m.keras")
    model.summary(print_fn=lambda line: None)
    assert not model._calls  # layers and symbols refer to each other, which would keep a dropped model in memory
