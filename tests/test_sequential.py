"""The Sequential model: how it is put together, built, nested, and asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers
from seqc.errors import ConfigError, ShapeError


def dense_pair() -> keras.Sequential:
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, name="first"), layers.Dense(2, name="second")])


def shapes(model: keras.Sequential) -> list[tuple[int, ...]]:
    return [w.shape for w in model.weights]


# -- building ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        lambda: keras.Sequential([keras.Input((4,)), layers.Dense(3)]),
        lambda: keras.Sequential([keras.layers.InputLayer(shape=(4,)), layers.Dense(3)]),
        lambda: keras.Sequential([keras.layers.InputLayer(batch_shape=(None, 4)), layers.Dense(3)]),
        lambda: keras.Sequential([layers.Dense(3, input_shape=(4,))]),
        lambda: keras.Sequential([layers.Dense(3, input_dim=4)]),
        lambda: keras.models.Sequential([keras.Input((4,)), layers.Dense(3)]),
        lambda: keras.Sequential((keras.Input((4,)), layers.Dense(3))),
    ],
)
def test_a_model_that_knows_its_input_has_weights_at_once(made: Any) -> None:
    model = made()
    assert model.built
    assert shapes(model) == [(4, 3), (3,)]
    assert model.input_shape == (None, 4)
    assert model.output_shape == (None, 3)
    assert [v.shape for v in (*model.inputs, *model.outputs)] == [(None, 4), (None, 3)]
    assert len(model.layers) == 1


@pytest.mark.parametrize(
    "build",
    [
        lambda m, x: m.build((None, 4)),
        lambda m, x: m.build((6, 4)),
        lambda m, x: m.fit(x, x[:, :3], verbose=0),
        lambda m, x: m.evaluate(x, x[:, :3], verbose=0),
        lambda m, x: m.predict(x, verbose=0),
        lambda m, x: m.train_on_batch(x, x[:, :3]),
        lambda m, x: m(x),
    ],
)
def test_weights_are_made_when_the_input_shape_becomes_known_and_not_before(build: Any) -> None:
    model = keras.Sequential([layers.Dense(5), layers.Dense(3)])
    model.compile("sgd", "mse")
    assert not model.built
    assert model.weights == []
    build(model, np.ones((6, 4)))
    assert model.built
    assert shapes(model) == [(4, 5), (5,), (5, 3), (3,)]


def test_a_model_built_by_data_takes_batches_of_any_size() -> None:
    model = keras.Sequential([layers.Dense(3)])
    model.predict(np.ones((6, 4)), verbose=0)
    assert model.input_shape == (None, 4)
    assert model.predict(np.ones((9, 4)), verbose=0).shape == (9, 3)


@pytest.mark.parametrize("known", [lambda: [keras.Input((4,), batch_size=6)], list])
def test_a_batch_size_said_beforehand_binds_nobody(known: Any) -> None:
    model = keras.Sequential([*known(), layers.Dense(3)])
    model.build((6, 4))
    model.compile("sgd", "mse")
    for count in (6, 9):
        assert model(np.ones((count, 4))).shape == (count, 3)
        assert model.predict(np.ones((count, 4)), verbose=0).shape == (count, 3)
        model.fit(np.ones((count, 4)), np.ones((count, 3)), verbose=0)


def test_layers_added_one_by_one_give_the_same_model() -> None:
    model = keras.Sequential(name="grown")
    model.add(keras.Input((4,)))
    assert not model.built
    model.add(layers.Dense(3))
    assert shapes(model) == [(4, 3), (3,)]
    model.add(layers.Dense(2))
    assert model.output_shape == (None, 2)
    assert model.predict(np.ones((5, 4)), verbose=0).shape == (5, 2)


def test_adding_and_popping_keeps_the_weights_of_the_layers_below() -> None:
    model, x = dense_pair(), np.ones((2, 4), "float32")
    first = model.layers[0].get_weights()
    between = model.layers[0](x).numpy()
    assert model.predict(x, verbose=0).shape == (2, 2)
    popped = model.pop()
    assert popped.name == "second"
    np.testing.assert_array_equal(model.predict(x, verbose=0), between)
    model.add(layers.Dense(7))
    assert model.predict(x, verbose=0).shape == (2, 7)
    for before, after in zip(first, model.layers[0].get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_model_popped_empty_can_grow_again() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.pop()
    assert model.layers == []
    assert not model.built
    model.add(layers.Dense(2))
    assert model.output_shape == (None, 2)


def test_two_unknown_image_sides_stay_open() -> None:
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            layers.Conv2D(4, 3, padding="same"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    assert model.layers[0].output_shape_seen == (None, None, None, 4)
    model.compile("sgd", "mse")
    for side in (5, 8):
        x = np.random.default_rng(0).random((6, side, side + 1, 3))
        assert model.predict(x, verbose=0).shape == (6, 2)
        assert np.isfinite(model.fit(x, np.zeros((6, 2)), verbose=0).history["loss"][0])


def test_an_unknown_length_of_sequences_stays_open() -> None:
    model = keras.Sequential([keras.Input((None, 3)), layers.LSTM(4), layers.Dense(1)])
    model.compile("sgd", "mse")
    for steps in (3, 7):
        x = np.ones((5, steps, 3))
        model.train_on_batch(x, np.ones((5, 1)))
        assert model.predict(x, verbose=0).shape == (5, 1)


# -- asking ------------------------------------------------------------------------------------------------------------


def test_layers_are_found_by_name_and_by_index() -> None:
    model = dense_pair()
    assert model.get_layer("second") is model.layers[1]
    assert model.get_layer(index=0) is model.layers[0]
    assert model.get_layer(index=-1) is model.layers[1]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"name": "third"}, "No such layer: third. Existing layers are: \\['first', 'second'\\]"),
        ({"index": 2}, "Was asked to retrieve layer at index 2 but model only has 2 layers"),
        ({}, "needs either a name or an index"),
        ({"name": "first", "index": 0}, "needs either a name or an index"),
    ],
)
def test_a_layer_that_is_not_there_is_an_error(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        dense_pair().get_layer(**arguments)


def test_the_list_of_layers_is_a_copy_and_cannot_be_set() -> None:
    model = dense_pair()
    with pytest.warns(UserWarning, match="a copy: clear\\(\\) on it changes no model. Use .*model.pop\\(\\)"):
        model.layers.clear()
    assert len(model.layers) == 2
    with pytest.warns(UserWarning, match="a copy: pop\\(\\) on it"):
        assert model.layers.pop() is model.layers[-1]
    mine = list(model.layers)
    assert type(model.layers[:1]) is list
    mine.pop()
    assert len(model.layers) == 2
    with pytest.raises(AttributeError, match="Use `add\\(\\)` and `pop\\(\\)`"):
        model.layers = []


def test_a_layer_in_two_places_shares_its_weights_as_in_keras(tmp_path: Path) -> None:
    shared = layers.Dense(4, activation="tanh")
    model = keras.Sequential([keras.Input((4,)), shared, layers.ReLU(), shared, layers.Dense(1)])
    assert len(model.layers) == 4
    assert shapes(model) == [(4, 4), (4,), (4, 1), (1,)]
    x = np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4)
    kernel, bias, top, zero = model.get_weights()
    hidden = np.tanh(np.maximum(np.tanh(x @ kernel + bias), 0) @ kernel + bias)
    np.testing.assert_allclose(model.predict(x, verbose=0), hidden @ top + zero, rtol=1e-5)
    model.compile("sgd", "mse")
    model.fit(x, x[:, :1], verbose=0)
    model.save(tmp_path / "shared.keras")
    again = keras.models.load_model(tmp_path / "shared.keras")
    assert again.layers[0] is again.layers[2]
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    clone = keras.models.clone_model(model)
    assert clone.layers[0] is clone.layers[2]
    assert model.pop() is not shared
    assert model.pop() is shared
    with pytest.raises(ConfigError, match=f"Name '{shared.name}' is already"):
        model.add(layers.Dense(4, name=shared.name))


def test_adding_a_layer_does_not_trace_those_below_again() -> None:
    calls: list[str] = []

    class Counted(layers.Layer):
        def call(self, x: Any) -> Any:
            calls.append(self.name)
            return x + 1.0

    model = keras.Sequential([keras.Input((4,))])
    for number in range(5):
        model.add(Counted(name=str(number)))
    model.pop()
    model.add(Counted(name="last"))
    assert calls == ["0", "1", "2", "3", "4", "last"]
    np.testing.assert_array_equal(model.predict(np.zeros((1, 4)), verbose=0), np.full((1, 4), 5.0))


def test_a_layer_that_does_not_fit_leaves_a_model_to_which_others_can_be_added() -> None:
    model = dense_pair()
    with pytest.raises(ShapeError):
        model.add(layers.Conv2D(1, 3))
    model.add(layers.Dense(7))
    assert model.output_shape == (None, 7)
    assert [type(layer).__name__ for layer in model.layers] == ["Dense", "Dense", "Dense"]


def test_masks_reach_layers_that_are_added_one_by_one() -> None:
    listed = [layers.InputLayer((4,), dtype="int32"), layers.Embedding(5, 3, mask_zero=True), layers.LSTM(2)]
    whole, grown = keras.Sequential(listed), keras.Sequential()
    for layer in listed:
        grown.add(type(layer).from_config(layer.get_config()))
    grown.set_weights(whole.get_weights())
    x = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])
    np.testing.assert_array_equal(whole.predict(x, verbose=0), grown.predict(x, verbose=0))


def test_a_clone_is_compiled_alike_with_an_optimizer_and_metrics_of_its_own() -> None:
    model = dense_pair()
    metric = keras.metrics.MeanAbsoluteError(name="distance")
    model.compile(keras.optimizers.Adam(0.25), lambda a, b: keras.ops.mean((a - b) ** 2, -1), metrics=[metric, "mse"])
    x = np.ones((4, 4), "float32")
    model.fit(x, np.zeros(model.predict(x, verbose=0).shape), verbose=0)
    clone = keras.models.clone_model(model)
    assert clone.compiled
    assert clone.optimizer is not model.optimizer
    assert float(clone.optimizer.learning_rate) == 0.25
    assert int(clone.optimizer.iterations) == 0
    before = float(metric.result())
    clone.evaluate(x, np.ones(model.predict(x, verbose=0).shape), verbose=0)
    assert clone.metrics_names == ["loss", "distance", "mse"]
    assert float(metric.result()) == before
    assert not keras.models.clone_model(dense_pair()).compiled


def test_a_clone_takes_another_input_and_a_function_that_makes_its_layers() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), keras.Sequential([layers.Dense(2)])])

    def twice(layer: Any) -> Any:
        return layers.Dense(2 * layer.units) if isinstance(layer, layers.Dense) else layer

    clone: Any = keras.models.clone_model(model, keras.Input((7,)), twice, recursive=True)
    assert clone.input_shape == (None, 7)
    assert shapes(clone) == [(7, 6), (6,), (6, 4), (4,)]
    whole = keras.models.clone_model(keras.Sequential([model]), clone_function=lambda layer: layer)
    assert whole.layers[0] is model
    cases: list[tuple[dict[str, Any], str]] = [
        ({"input_tensors": np.ones(3)}, "input_tensors must be one seqc.Input"),
        ({"clone_function": 3}, "clone_function must be a function"),
        ({"call_function": twice}, "takes no call_function"),
    ]
    for options, text in cases:
        with pytest.raises(ConfigError, match=text):
            keras.models.clone_model(model, **options)


def test_automatic_names_count_on_and_clear_session_starts_again() -> None:
    keras.utils.clear_session()
    model = keras.Sequential([layers.Dense(1), layers.Dense(1), layers.ReLU(), layers.Conv2D(1, 1)])
    assert [layer.name for layer in model.layers] == ["dense", "dense_1", "re_lu", "conv2d"]
    assert model.name == "sequential"
    assert keras.Sequential().name == "sequential_1"
    keras.utils.clear_session()
    assert layers.Dense(1).name == "dense"


def test_weights_are_got_and_set_in_the_same_order() -> None:
    model, other = dense_pair(), dense_pair()
    other.set_weights(model.get_weights())
    x = np.random.default_rng(0).random((3, 4))
    np.testing.assert_array_equal(model.predict(x, verbose=0), other.predict(x, verbose=0))
    assert model.count_params() == 4 * 3 + 3 + 3 * 2 + 2


def test_predictions_follow_set_weights() -> None:
    model, x = dense_pair(), np.ones((3, 4), "float32")
    before = model.predict(x, verbose=0)
    model.set_weights([2 * w for w in model.get_weights()])
    np.testing.assert_allclose(model.predict(x, verbose=0), 4 * before, rtol=1e-6)
    model.layers[1].bias.assign([1.0, 2.0])
    np.testing.assert_allclose(model.predict(x, verbose=0), 4 * before + [1, 2], rtol=1e-6)


def test_got_weights_are_copies() -> None:
    model = dense_pair()
    model.get_weights()[0][:] = 7
    assert not np.any(model.get_weights()[0] == 7)


# -- nesting -----------------------------------------------------------------------------------------------------------


def nested(input_of_inner: bool = False) -> keras.Sequential:
    first = [keras.Input((4,))] if input_of_inner else []
    inner = keras.Sequential([*first, layers.Dense(3, name="a"), layers.BatchNormalization(name="b")], name="inner")
    return keras.Sequential([keras.Input((4,)), inner, layers.Dense(2, name="c")], name="outer")


@pytest.mark.parametrize("input_of_inner", [False, True])
def test_a_nested_model_is_one_layer_with_the_weights_of_its_own(input_of_inner: bool) -> None:
    model = nested(input_of_inner)
    assert [layer.name for layer in model.layers] == ["inner", "c"]
    assert shapes(model) == [(4, 3), (3,), (3,), (3,), (3,), (3,), (3, 2), (2,)]
    inner = model.get_layer("inner")
    assert inner.get_layer("a").kernel is model.weights[0]
    x = np.random.default_rng(0).random((5, 4)).astype("float32")
    np.testing.assert_allclose(model(x), model.layers[1](inner(x)), rtol=1e-6)


def test_the_input_of_a_nested_model_in_front_is_that_of_the_outer_one() -> None:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    assert keras.Sequential([inner, layers.Dense(2)]).input_shape == (None, 4)


def test_a_frozen_nested_model_keeps_its_weights_and_statistics() -> None:
    model = nested()
    model.get_layer("inner").trainable = False
    assert [w.path.split("/")[-2:] for w in model.trainable_weights] == [["c", "kernel"], ["c", "bias"]]
    assert len(model.non_trainable_weights) == 6
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(np.random.default_rng(0).random((8, 4)), np.ones((8, 2)), verbose=0)
    changed = [bool(np.any(a != b)) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [False] * 6 + [True] * 2


def test_freezing_a_model_freezes_all_layers_and_back() -> None:
    model = nested()
    model.trainable = False
    assert model.trainable_weights == []
    assert not model.get_layer("inner").get_layer("a").trainable
    model.trainable = True
    assert len(model.trainable_weights) == 6


def test_a_model_made_frozen_trains_nothing() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)], trainable=False)
    assert model.trainable_weights == []


# -- calling -----------------------------------------------------------------------------------------------------------


def test_a_model_called_on_arrays_computes_at_once() -> None:
    model, x = dense_pair(), np.random.default_rng(0).random((3, 4)).astype("float32")
    y = model(x)
    assert y.shape == (3, 2)
    np.testing.assert_array_equal(y.numpy(), model.predict(x, verbose=0))
    np.testing.assert_array_equal(np.asarray(y), y.numpy())
    np.testing.assert_array_equal(model(x.tolist()), y)
    np.testing.assert_array_equal(model.layers[1](model.layers[0](x)), y)


def test_training_mode_is_chosen_in_the_call() -> None:
    model, x = keras.Sequential([keras.Input((50,)), layers.Dropout(0.5)]), np.ones((4, 50), "float32")
    np.testing.assert_array_equal(model(x), x)
    np.testing.assert_array_equal(model(x, training=False), x)
    dropped = model(x, training=True).numpy()
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert np.any(model(x, training=True).numpy() != dropped)


def test_a_call_in_training_mode_updates_statistics() -> None:
    model = keras.Sequential([keras.Input((2,)), layers.BatchNormalization(momentum=0.5)])
    x = np.array([[0.0, 2.0], [2.0, 6.0]], "float32")
    model(x, training=True)
    np.testing.assert_allclose(model.layers[0].moving_mean, [0.5, 2.0])
    model(x)
    np.testing.assert_allclose(model.layers[0].moving_mean, [0.5, 2.0])
