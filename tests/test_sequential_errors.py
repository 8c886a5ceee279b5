"""What a Sequential model refuses, and what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers
from seqc.errors import ConfigError, EmptyModelError, LayerError, NotBuiltError, ShapeError


def dense_pair() -> keras.Sequential:
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, name="first"), layers.Dense(2, name="second")])


def test_a_model_with_an_input_is_built_without_a_shape() -> None:
    model = dense_pair()
    model.build()
    model.build(None)
    assert model.count_params() == 23
    later = keras.Sequential([keras.Input((4,))])
    later.add(layers.Dense(3))
    later.build()
    assert later.output_shape == (None, 3)


# -- what does not fit -------------------------------------------------------------------------------------------------


class Two(keras.Layer):
    def call(self, a: Any, b: Any) -> Any:
        return a + b


class Nothing(keras.Layer):
    def call(self) -> Any:
        return None


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (3, "Only instances of `seqc.layers.Layer` can be added to a Sequential model. Received: 3"),
        (layers.Dense, "It is a class: write it with parentheses"),
        (np.ones(3), "Only instances of `seqc.layers.Layer`"),
        (lambda x: x, "Only instances of `seqc.layers.Layer`"),
        (
            Two(name="two"),
            "Layer 'two' \\(Two, .*_errors.py:\\d+\\) has multiple required .*\\['a', 'b'\\]",
        ),
        (Nothing(), "has no positional arguments"),
    ],
)
def test_what_is_no_layer_of_one_tensor_is_refused(layer: Any, text: str) -> None:
    with pytest.raises(LayerError, match=text):
        keras.Sequential([layer])
    model = dense_pair()
    with pytest.raises(ValueError, match=text):
        model.add(layer)
    assert len(model.layers) == 2


def test_a_name_is_given_once() -> None:
    with pytest.raises(ConfigError, match="should have unique names. Name 'same' is already the name of a layer"):
        keras.Sequential([layers.Dense(1, name="same"), layers.Dense(1, name="same")])


def test_an_input_comes_first_and_once() -> None:
    model = dense_pair()
    with pytest.raises(ConfigError, match="already been configured to use input shape \\(None, 4\\)"):
        model.add(keras.Input((5,)))
    with pytest.raises(ConfigError, match="cannot add a different Input layer"):
        keras.Sequential([layers.Dense(3), keras.Input((4,))])


def test_a_model_is_built_for_one_shape() -> None:
    model = dense_pair()
    model.build((None, 4))
    with pytest.raises(ConfigError, match="configured to use input shape \\(None, 4\\). You cannot build it with .*7"):
        model.build((None, 7))


def test_a_layer_that_does_not_fit_is_named_with_place_need_and_advice() -> None:
    with pytest.raises(ShapeError) as caught:
        keras.Sequential([keras.Input((784,)), layers.Conv2D(8, 3, name="look")])
    text = str(caught.value)
    for part in (
        "'look'",
        "Conv2D",
        "test_sequential_errors.py:",
        "ndim=4",
        "(None, 784)",
        "Put Reshape((28, 28, 1)) before",
    ):
        assert part in text


def test_a_layer_that_does_not_fit_leaves_the_model_as_it_was() -> None:
    model = dense_pair()
    with pytest.raises(ShapeError):
        model.add(layers.Conv2D(8, 3))
    assert [layer.name for layer in model.layers] == ["first", "second"]
    assert model.predict(np.ones((2, 4)), verbose=0).shape == (2, 2)
    empty = keras.Sequential()
    with pytest.raises(ShapeError):
        empty.add(layers.Conv2D(8, 3, input_shape=(9,)))
    empty.add(layers.Dense(2, input_shape=(3,)))
    assert empty.input_shape == (None, 3)


@pytest.mark.parametrize("shape", [(2, 5), (2, 4, 4), (2, 3), (4,)])
def test_data_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    model = dense_pair()
    model.compile("sgd", "mse")
    with pytest.raises(ShapeError, match="takes inputs of shape \\(None, 4\\); got"):
        model.predict(np.ones(shape), verbose=0)
    with pytest.raises(ShapeError, match="takes inputs of shape"):
        model(np.ones(shape))


def test_a_single_sample_is_told_about_the_batch_axis() -> None:
    model = keras.Sequential([keras.Input((4, 3)), layers.Flatten()])
    with pytest.raises(ShapeError, match=r"A single sample needs a batch axis \(x\[None\]\)"):
        model.predict(np.ones((4, 3)), verbose=0)


@pytest.mark.parametrize(("given", "declared"), [((5,), (1,)), ((5, 1), ()), ((5, 6, 7), (6, 7, 1)), ((5, 6, 1), (6,))])
def test_a_last_axis_of_one_may_be_left_out_or_too_many(given: tuple[int, ...], declared: tuple[int, ...]) -> None:
    model = keras.Sequential([keras.Input(declared), layers.Activation("linear")])
    x = np.random.default_rng(0).random(given).astype("float32")
    np.testing.assert_array_equal(model.predict(x, verbose=0), x.reshape(5, *declared))
    np.testing.assert_array_equal(model(x), x.reshape(5, *declared))


@pytest.mark.parametrize(
    ("ask", "error", "text"),
    [
        (lambda m: m.get_weights(), NotBuiltError, "has no weights yet because it has not been built"),
        (lambda m: m.graph(), NotBuiltError, "has no graph yet"),
        (lambda m: m.count_params(), NotBuiltError, "isn't built"),
        (lambda m: m.build(), NotBuiltError, "needs an input shape: model.build"),
        (lambda m: m.input_shape, AttributeError, "no defined input shape yet"),
        (lambda m: m.output_shape, AttributeError, "no defined output shape yet"),
        (lambda m: m.inputs, AttributeError, "no defined inputs yet"),
        (lambda m: m.outputs, AttributeError, "no defined outputs yet"),
    ],
)
def test_asking_an_unbuilt_model_says_how_to_build_it(ask: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        ask(keras.Sequential([layers.Dense(3)]))


def test_a_model_without_layers_says_so() -> None:
    model = keras.Sequential()
    with pytest.raises(EmptyModelError, match="has no layers to pop"):
        model.pop()
    with pytest.raises(NotBuiltError, match="has no layers. Call `model.add"):
        model.predict(np.ones((2, 3)), verbose=0)
    assert model.weights == []
