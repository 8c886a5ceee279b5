"""Models as graphs of layers, by their numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import ConfigError


def residual() -> Any:
    """A convolution that is used twice, a shortcut with arithmetic, an end."""
    x = keras.Input((6, 6, 3), name="image")
    conv = layers.Conv2D(3, 3, padding="same", name="conv")
    h = conv(ops.relu(conv(x))) + x * 0.5
    y = layers.Dense(2, activation="softmax", name="end")(layers.GlobalAveragePooling2D()(h))
    return keras.Model(x, y, name="residual")


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def convolved(x: Any, kernel: Any, bias: Any) -> Any:
    padded = np.pad(x.astype("float64"), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.einsum("nhwcij,ijco->nhwo", windows, kernel) + bias


def test_a_residual_model_with_a_shared_layer_computes_what_numpy_does(tmp_path: Path) -> None:
    model, x = residual(), numbers(5, 6, 6, 3)
    kernel, bias, w, b = model.get_weights()
    h = convolved(np.maximum(convolved(x, kernel, bias), 0), kernel, bias) + 0.5 * x
    z = h.mean((1, 2)) @ w + b
    expected = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    for found in (model.predict(x, verbose=0), np.asarray(model(x)), model.predict_on_batch(x)):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    model.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["image"]
    assert [o.name for o in session.get_outputs()] == ["end"]
    np.testing.assert_allclose(session.run(None, {"image": x})[0], expected, atol=1e-5)


def test_the_gradient_of_a_shared_layer_is_that_of_both_its_places() -> None:
    shared = layers.Dense(1, use_bias=False, kernel_initializer="ones")
    x = keras.Input((1,))
    model = keras.Model(x, shared(shared(x)))  # w * w * x
    model.compile(keras.optimizers.SGD(0.01), "mse")
    model.train_on_batch(np.array([[2.0]], "float32"), np.array([[1.0]], "float32"))
    # d/dw (w^2 x - 1)^2 = 2 (w^2 x - 1) 2 w x = 2 * 1 * 4
    np.testing.assert_allclose(model.get_weights()[0], [[1 - 0.01 * 8]], rtol=1e-6)


def test_layers_stand_in_the_order_of_their_calls_each_once() -> None:
    model = residual()
    assert [layer.name for layer in model.layers][:2] == ["image", "conv"]
    assert len(model.layers) == 4
    assert model.input_names == ["image"]
    assert model.output_names == ["end"]
    assert model.input_shape == (None, 6, 6, 3)
    assert model.output_shape == (None, 2)
    assert model.get_layer("conv") is model.layers[1]
    assert len(model.weights) == 4


def test_a_part_of_a_model_is_a_model() -> None:
    model, x = residual(), numbers(2, 6, 6, 3)
    middle = keras.Model(model.inputs, model.layers[1](model.input))
    np.testing.assert_allclose(middle.predict(x, verbose=0), convolved(x, *model.get_weights()[:2]), atol=1e-5)
    assert middle.layers[1] is model.layers[1]


def test_a_model_in_a_model_shares_its_weights() -> None:
    inner = residual()
    x = keras.Input((6, 6, 3))
    outer = keras.Model(x, inner(x) * 2.0)
    a = numbers(3, 6, 6, 3)
    np.testing.assert_allclose(outer.predict(a, verbose=0), 2 * inner.predict(a, verbose=0), rtol=1e-6)
    assert outer.weights[0] is inner.weights[0]


def test_training_says_whether_dropout_drops() -> None:
    x = keras.Input((50,))
    model = keras.Model(x, layers.Dropout(0.5)(x))
    a = np.ones((4, 50), "float32")
    np.testing.assert_array_equal(np.asarray(model(a)), a)
    dropped = np.asarray(model(a, training=True))
    assert set(np.unique(dropped)) == {0.0, 2.0}
    always = keras.Model(x, layers.Dropout(0.5)(x, training=True))
    assert set(np.unique(always.predict(a, verbose=0))) == {0.0, 2.0}
    assert set(np.unique(always(a, training=False))) == {0.0, 2.0}
    always.compile("sgd", "mse")
    assert always.evaluate(a, a, verbose=0) == pytest.approx(1.0)  # each is one off


def test_a_configuration_that_was_in_no_file_has_slices() -> None:
    x = keras.Input((3, 2))
    model = keras.Model(x, x[..., 1:, 0])
    again = keras.Model.from_config(model.get_config())
    np.testing.assert_array_equal(again.predict(np.arange(6.0).reshape(1, 3, 2), verbose=0), [[2.0, 4.0]])


def test_a_mask_goes_through_the_graph_to_where_it_counts() -> None:
    x = keras.Input((4,), dtype="int32")
    h = layers.Embedding(5, 3, mask_zero=True)(x)
    model = keras.Model(x, layers.SimpleRNN(2)(h))
    full = np.array([[1, 2, 0, 0]])
    short = keras.Sequential([keras.Input((2,), dtype="int32"), *model.layers[1:]])
    np.testing.assert_allclose(
        model.predict(full, verbose=0), short.predict(full[:, :2], verbose=0), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", ["inputs", "x"])
def test_the_first_argument_goes_by_any_of_its_names(name: str) -> None:
    layer, a = layers.Dense(2), numbers(2, 3)
    np.testing.assert_array_equal(np.asarray(layer(**{name: a})), np.asarray(layer(a)))


def two_and_two() -> Any:
    a, b = keras.Input((4,), name="a"), keras.Input((3,), dtype="int32", name="b")
    h = layers.Dense(5, activation="relu", name="h")(a)
    g = layers.Flatten()(layers.Embedding(6, 5, name="table")(b))
    kind = layers.Dense(2, activation="softmax", name="kind")(h)
    size = layers.Dense(1, name="size")(ops.concatenate([h, g], -1))
    return keras.Model({"a": a, "b": b}, [kind, size])


def test_two_inputs_and_two_outputs_are_exported_under_their_names_and_served_by_them(tmp_path: Path) -> None:
    model = two_and_two()
    a, b = numbers(3, 4), np.array([[0, 1, 2], [3, 4, 5], [5, 0, 1]], "int32")
    kind, size = model.predict({"a": a, "b": b}, verbose=0)
    weights = dict(zip([w.path for w in model.weights], model.get_weights(), strict=True))
    h = np.maximum(a @ weights["h/kernel"] + weights["h/bias"], 0)
    g = weights["table/embeddings"][b].reshape(3, -1)
    np.testing.assert_allclose(
        size, np.concatenate([h, g], -1) @ weights["size/kernel"] + weights["size/bias"], atol=1e-5
    )
    model.export(tmp_path / "m.onnx", input_name={"b": "ids"}, output_name=["k", "s"])
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["a", "ids"]
    assert [o.name for o in session.get_outputs()] == ["k", "s"]
    found = session.run(None, {"a": a, "ids": b})
    np.testing.assert_allclose(found[0], kind, atol=1e-6)
    np.testing.assert_allclose(found[1], size, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_name": "x"}, r"input_name needs 2 names, for \['a', 'b'\]; got \['x'\]"),
        ({"output_name": {"kinds": "k"}}, r"output_name names \['kinds'\]; the model has \['kind', 'size'\]"),
        ({"input_signature": [keras.InputSpec(shape=(1, 4))]}, r"must say each of the inputs \['a', 'b'\]"),
    ],
)
def test_names_in_a_file_that_do_not_fit_are_refused(options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        two_and_two().export(tmp_path / "m.onnx", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("make", [residual, lambda: keras.Sequential([keras.Input((6, 6, 3)), layers.Flatten()])])
def test_a_summary_shows_the_models_own_shapes_after_a_call_on_arrays_too(make: Any) -> None:
    model = make()
    lines: list[str] = []
    before: list[str] = []
    model.summary(print_fn=before.append)
    model(numbers(3, 6, 6, 3))
    model.summary(print_fn=lines.append)
    assert lines == before
    assert "(3, " not in lines[0]
    assert "?" not in lines[0]


def test_the_output_of_a_layer_is_the_end_of_another_model() -> None:
    x = keras.Input((4,), name="x")
    h = layers.Dense(3, activation="relu", name="h")(x)
    model = keras.Model(x, layers.Dense(2, name="y")(h))
    assert model.get_layer("h").output is h
    assert model.get_layer("h").input is x
    features = keras.Model(model.input, model.get_layer("h").output)
    a, (kernel, bias) = numbers(5, 4), model.get_weights()[:2]
    np.testing.assert_allclose(features.predict(a, verbose=0), np.maximum(a @ kernel + bias, 0), atol=1e-6)


@pytest.mark.parametrize("form", [lambda x: [x], lambda x: (x,)], ids=["list", "tuple"])
def test_what_stands_alone_in_a_list_is_taken_and_given_by_itself(form: Any, tmp_path: Path) -> None:
    x = keras.Input((3,), name="x")
    model = keras.Model(inputs=form(x), outputs=form(layers.Dense(4)(x)))
    a = np.ones((2, 3), np.float32)
    assert (model.input_shape, model.output_shape) == ((None, 3), (None, 4))
    given = model.predict(a, verbose=0)
    assert given.shape == model.predict([a], verbose=0).shape == model(a).shape == (2, 4)
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "m.keras").predict(a, verbose=0), given)
    model.compile("sgd", "mse")
    assert model.fit(a, np.zeros((2, 4)), verbose=0).history.keys() == {"loss"}


def test_a_layer_without_a_call_has_no_output_and_one_with_several_has_the_first() -> None:
    layer = layers.Dense(4, name="d")
    with pytest.raises(AttributeError, match="The layer 'd' has never been called on a symbol and thus has no defined"):
        _ = layer.output
    x = keras.Input((4,))
    h = layer(x)
    layer(h)
    assert layer.input is x
    assert layer.output is h


def test_a_model_that_begins_in_the_middle_has_only_the_layers_behind_that(tmp_path: Path) -> None:
    x = keras.Input((4,), name="x")
    h = layers.Dense(3, name="h")(x)
    end: Any = keras.Model(h, layers.Dense(2, name="y")(h))
    assert [type(layer).__name__ for layer in end.layers] == ["InputLayer", "Dense"]
    assert [w.path for w in end.weights] == ["y/kernel", "y/bias"]
    a, (kernel, bias) = numbers(5, 3), end.get_weights()
    np.testing.assert_allclose(end.predict(a, verbose=0), a @ kernel + bias, atol=1e-6)
    end.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.predict(a, verbose=0), end.predict(a, verbose=0))
    end.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {end.input_names[0]: a})[0], a @ kernel + bias, atol=1e-5)
