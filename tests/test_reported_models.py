"""Models of the kinds that people report trouble with in public, as programs of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import seqc as keras
from seqc import layers
from seqc.errors import ConfigError


def numbers(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=(12, *shape)).astype("float32")


def saved_and_loaded(model: Any, folder: Path) -> Any:
    model.save(folder / "m.keras")
    return keras.models.load_model(folder / "m.keras")


def test_losses_by_name_meet_outputs_whose_names_sort_the_other_way() -> None:
    a, b = keras.Input((5,), name="a"), keras.Input((3,), name="b")
    wide, narrow = layers.Reshape((2, 2), name="c")(layers.Dense(4)(a)), layers.Dense(1, name="d")(b)
    model = keras.Model([a, b], [narrow, wide])
    model.compile("sgd", {"d": "mse", "c": "mae"})
    x, y = {"a": numbers(1, 5), "b": numbers(2, 3)}, {"d": numbers(3, 1), "c": numbers(4, 2, 2)}
    narrow_found, wide_found = model.predict(x, verbose=0)
    logs = model.test_on_batch(x, y, return_dict=True)
    assert logs["d_loss"] == pytest.approx(float(np.mean((narrow_found - y["d"]) ** 2)), rel=1e-5)
    assert logs["c_loss"] == pytest.approx(float(np.mean(abs(wide_found - y["c"]))), rel=1e-5)


@pytest.mark.parametrize("ends", [list, tuple, lambda ends: ends[0]])
def test_one_output_in_a_dictionary_takes_a_loss_by_itself(ends: Any) -> None:
    x = keras.Input((4,))
    model = keras.Model(ends([x]), {"depth": layers.Dense(1, activation="sigmoid")(x)})
    model.compile("adam", "mean_squared_error")
    alone = model.fit(numbers(1, 4), numbers(2, 1), verbose=0).history
    assert list(alone) == ["loss"]
    assert list(model.predict(numbers(1, 4), verbose=0)) == ["depth"]


def test_what_compile_is_given_stays_as_it_is_where_one_output_has_no_loss() -> None:
    x = keras.Input((2,))
    model = keras.Model(x, {"one": layers.Dense(1, name="d1")(x), "two": layers.Dense(1, name="d2")(x)})
    given = {"one": "mse", "two": None}
    model.compile("sgd", given, metrics={"two": ["mae"]})
    history = model.fit(numbers(1, 2), {"one": numbers(2, 1), "two": numbers(3, 1)}, verbose=0).history
    assert given == {"one": "mse", "two": None}
    assert list(history) == ["loss", "two_mae"]
    with pytest.raises(ConfigError, match="`loss_weights` has 3 entries, and the model 2 outputs"):
        model.compile("sgd", "mse", loss_weights=[1.0, 0.1, 1.0])


def crossing() -> Any:
    """Two layers called one after the other, twice."""
    z, first, second = keras.Input((2,)), layers.Dense(2), layers.Dense(2)
    return keras.Model(z, first(second(first(second(z)))))


def repeated() -> Any:
    """One layer on what it gave before, added to what it was given."""
    x, layer = keras.Input((3,)), layers.Dense(3)
    y = x
    for _ in range(4):
        y = layers.add([layer(y), y])
    return keras.Model(x, y)


def made_of_the_same_symbols() -> Any:
    """Two models, the whole made of the symbol that the first is made of."""
    first_input, second_input = keras.Input((5,)), keras.Input((3,))
    first = keras.Model(first_input, layers.Dense(3)(first_input), name="first")
    second = keras.Model(second_input, layers.Dense(2)(second_input), name="second")
    return keras.Model(first_input, second(first(first_input)))


def twins() -> Any:
    """A model on two inputs, and a model of its own on each result."""

    def small(width: int, units: int) -> Any:
        x = keras.Input((width,))
        return keras.Model(x, layers.Dense(units)(x))

    ends, shared = [keras.Input((6,)), keras.Input((6,))], small(6, 3)
    return keras.Model(ends, [small(3, 2)(shared(end)) for end in ends])


def at_different_depths() -> Any:
    shared, x2, x1 = layers.Dense(4), keras.Input((1, 4)), keras.Input((1, 4))
    late = shared(layers.Reshape((4,))(x2))
    early = shared(layers.Reshape((4,))(shared(x1)))
    return keras.Model([x1, x2], layers.Dense(2)(layers.Concatenate()([early, late])))


@pytest.mark.parametrize("make", [crossing, repeated, made_of_the_same_symbols, twins, at_different_depths])
def test_models_whose_layers_are_shared_come_back_from_files_and_train_alike(make: Any, tmp_path: Path) -> None:
    model = make()
    x = [numbers(i, *end.shape[1:]) for i, end in enumerate(model.inputs)]
    y = [numbers(9 + i, *end.shape[1:]) for i, end in enumerate(model.outputs)]
    model.compile("sgd", "mse")
    loaded = saved_and_loaded(model, tmp_path)
    assert len(loaded.weights) == len(model.weights)
    ours, theirs = (one.fit(x, y, epochs=2, shuffle=False, verbose=0).history["loss"] for one in (model, loaded))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    for found, wanted in zip(loaded.predict(x, verbose=0), model.predict(x, verbose=0), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_a_layer_of_a_model_inside_that_is_called_outside_too_stays_one(tmp_path: Path) -> None:
    x, layer = keras.Input((3,)), layers.Dense(3, name="both")
    model = keras.Model(x, layer(keras.Model(x, layer(x), name="inner")(x)))
    assert (len(model.weights), model.count_params()) == (2, 12)
    model.compile("sgd", "mse")
    loaded = saved_and_loaded(model, tmp_path)
    histories = [one.fit(numbers(1, 3), numbers(2, 3), verbose=0, shuffle=False).history for one in (model, loaded)]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-5)
    assert len(loaded.weights) == 2


class OwnStep(keras.Model):
    """Trains by a step of its own and is evaluated by the usual one."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with keras.GradientTape() as tape:
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        weights = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"loss": loss}


def test_evaluation_knows_the_loss_though_training_has_a_step_of_its_own() -> None:
    x = keras.Input((3,))
    model = OwnStep(x, layers.Dense(2, activation="sigmoid")(x))
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(numbers(1, 3), numbers(2, 2), verbose=0)
    loss, mae = model.evaluate(numbers(1, 3), numbers(2, 2), verbose=0)
    error = model.predict(numbers(1, 3), verbose=0) - numbers(2, 2)
    assert (loss, mae) == (pytest.approx(np.mean(error**2), rel=1e-5), pytest.approx(np.mean(abs(error)), rel=1e-5))


class TwoArguments(keras.Model):
    """Its call takes two tensors, each by an argument of its own."""

    def __init__(self) -> None:
        super().__init__(name="two")
        self.dense = layers.Dense(2)

    def call(self, past: Any, future: Any) -> Any:
        return self.dense(past) + self.dense(future)


@pytest.mark.parametrize("called", [True, False])
def test_a_model_whose_call_takes_several_arguments_is_exported_with_them(called: bool, tmp_path: Path) -> None:
    model, past, future = TwoArguments(), numbers(1, 4), numbers(2, 4)
    signature = [keras.InputSpec("float32", (None, 4)), keras.InputSpec("float32", (None, 4))]
    if called:
        model(past, future)
    receipt = model.export(tmp_path / "m.onnx", input_signature=None if called else signature)
    assert [x.name for x in receipt.inputs] == ["past", "future"]
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {"past": past, "future": future})[0]
    np.testing.assert_allclose(found, np.asarray(model(past, future)), atol=1e-5)
    by_name = model.predict({"past": past, "future": future}, verbose=0)
    np.testing.assert_allclose(found, by_name, atol=1e-5)


def test_an_intermediate_result_of_another_input_is_told_apart() -> None:
    x, other = keras.Input((3,), name="x"), keras.Input((3,), name="other")
    hidden = layers.Dense(2, name="hidden")(x)
    with pytest.raises(ConfigError, match="hidden|'x'"):
        keras.Model(other, layers.Dense(1)(hidden))
    tail = keras.Model(hidden, layers.Dense(1)(hidden))  # from the middle on
    assert tail.input_shape == (None, 2)
