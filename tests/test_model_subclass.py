"""Models that keep layers as attributes and write `call`."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import seqc as keras
from seqc import layers
from seqc.errors import ConfigError, DataError, LayerError, NotBuiltError, SavingError


class Net(keras.Model):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.hidden = layers.Dense(8, activation="relu")
        self.drop = layers.Dropout(0.5)
        self.end = layers.Dense(2)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.end(self.drop(self.hidden(x), training=training))


class Pair(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = layers.Dense(3, name="left"), layers.Dense(3, name="right")

    def call(self, inputs: Any) -> Any:
        a, b = inputs
        return self.left(a) + self.right(b), self.left(a)


def numbers(*shape: int) -> Any:
    return np.random.default_rng(len(shape) + shape[-1]).normal(size=shape).astype("float32")


def expected(model: Any, x: Any) -> Any:
    kernel, bias, w, b = model.get_weights()
    return np.maximum(x @ kernel + bias, 0) @ w + b


def test_a_subclass_trains_predicts_and_exports_what_its_call_says(tmp_path: Path) -> None:
    model, x = Net(name="net"), numbers(20, 4)
    model.compile("adam", "mse")
    before = model.predict(x, verbose=0)
    np.testing.assert_allclose(before, expected(model, x), atol=1e-5)
    history = model.fit(x, numbers(20, 2), epochs=3, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0] * 1.5
    assert not np.allclose(model.predict(x, verbose=0), before)
    model.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(found, expected(model, x), atol=1e-5)
    assert (model.input_shape, model.output_shape) == ((None, 4), (None, 2))


def test_weights_go_to_another_object_of_the_class(tmp_path: Path) -> None:
    one, other, x = Net(), Net(), numbers(3, 4)
    one.build((None, 4))
    other(x)
    one.save_weights(tmp_path / "m.weights.h5")
    other.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(one.predict(x, verbose=0), other.predict(x, verbose=0))
    copied = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(one.predict(x, verbose=0), copied.predict(x, verbose=0))


@pytest.mark.parametrize("compiled_first", [False, True])
def test_a_subclass_takes_lists_and_gives_several_results(compiled_first: bool) -> None:
    model, a, b = Pair(), numbers(6, 4), numbers(6, 2)
    if compiled_first:
        model.compile("sgd", "mse")
    model.build([(None, 4), (None, 2)])
    if not compiled_first:
        model.compile("sgd", "mse")
    w, c, v, d = model.get_weights()
    both, left = model.predict([a, b], verbose=0)
    np.testing.assert_allclose(left, a @ w + c, atol=1e-5)
    np.testing.assert_allclose(both, a @ w + c + b @ v + d, atol=1e-5)
    model.fit([a, b], [numbers(6, 3), numbers(6, 3)], verbose=0)
    assert not np.array_equal(model.get_weights()[0], w)


def test_a_model_that_knows_no_shape_yet_says_how_it_learns_one() -> None:
    with pytest.raises(NotBuiltError, match=r"call it on data, fit it, or call model\.build"):
        _ = Net(name="net").input_shape
    with pytest.raises(DataError, match="2"):
        Pair().predict([numbers(6, 4), numbers(6, 2)], verbose=0)


def test_a_subclass_is_saved_whole_and_loaded_by_who_brings_the_class(tmp_path: Path) -> None:
    model, x = Net(name="net"), numbers(3, 4)
    model.build((None, 4))
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras", custom_objects={"Net": Net})
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    with pytest.raises(SavingError, match="Net"):
        keras.models.load_model(tmp_path / "m.keras")


class MadeInCall(keras.Model):
    def call(self, x: Any) -> Any:
        return layers.Dense(2, name="late")(x)


class Early(keras.layers.Layer):
    def __init__(self) -> None:
        self.dense = layers.Dense(2)
        super().__init__()


def test_a_layer_that_is_made_in_a_call_is_refused_since_nothing_would_train_it() -> None:
    with pytest.raises(ConfigError, match=r"Layer 'late' .* was made inside the call of another layer"):
        MadeInCall()(numbers(3, 4))


def test_layers_kept_before_the_layer_began_are_refused_since_they_would_be_lost() -> None:
    with pytest.raises(ConfigError, match=r"Early keeps a layer or weight as 'dense' before its __init__ has called"):
        Early()


@pytest.mark.parametrize("layer", [layers.ReLU, lambda: layers.Dropout(0.5), lambda: layers.Dense(2)])
@pytest.mark.parametrize("symbolic", [False, True])
def test_layers_of_one_tensor_refuse_two(layer: Any, symbolic: bool) -> None:
    given = [keras.Input((4,)), keras.Input((4,))] if symbolic else [numbers(3, 4), numbers(3, 4)]
    with pytest.raises(LayerError, match=r"expects 1 input\(s\), but it received 2 input tensors"):
        layer()(given)
