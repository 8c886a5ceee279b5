"""Models that keep layers as attributes and write `call`."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import seqc as keras
from seqc import layers
from seqc.errors import ConfigError, LayerError, NotBuiltError, SavingError, SeqcError


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


# -- what they are called on -------------------------------------------------------------------------------------------


class Text(keras.Model):
    """Takes tokens and numbers, as a list or by name, and gives results by name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"name": "text"} | options)
        self.look_up = layers.Embedding(9, 4, name="look_up")
        self.read = layers.GRU(3, name="read")
        self.kind, self.size = layers.Dense(2, name="kind"), layers.Dense(1, name="size")

    def call(self, inputs: Any) -> Any:
        tokens, age = (inputs["tokens"], inputs["age"]) if isinstance(inputs, dict) else inputs
        read = self.read(self.look_up(tokens))
        return {"kind": self.kind(read), "size": self.size(keras.ops.concatenate([read, age], -1))}


TOKENS = np.random.default_rng(3).integers(0, 9, (8, 5)).astype("int32")
AGE = numbers(8, 1)
LABELS = {"kind": numbers(8, 2), "size": numbers(8, 1)}


@pytest.mark.parametrize(
    "form",
    [
        lambda a, b: {"tokens": a, "age": b},
        pytest.param(lambda a, b: [a, b], marks=pytest.mark.slow),
        pytest.param(lambda a, b: (a, b), marks=pytest.mark.slow),
    ],
    ids=["by name", "in a list", "in a tuple"],
)
@pytest.mark.parametrize("first", ["fit", "predict", "generator", "call"])
def test_a_subclass_is_built_for_the_inputs_that_it_sees_first(form: Any, first: str, tmp_path: Path) -> None:
    model, x = Text(), form(TOKENS, AGE)
    model.compile("sgd", {"kind": "mse", "size": "mae"}, loss_weights={"size": 2.0}, metrics={"size": ["mse"]})
    if first == "fit":
        assert sorted(model.fit(x, LABELS, verbose=0).history) == ["kind_loss", "loss", "size_loss", "size_mse"]
    elif first == "generator":
        model.fit(((x, LABELS) for _ in range(2)), steps_per_epoch=2, verbose=0)
    elif first == "call":
        model(x)
    found = model.predict(x, verbose=0)
    twin = Text()
    twin(x)
    twin.set_weights(model.get_weights())
    for name, array in twin.predict(x, verbose=0).items():
        np.testing.assert_array_equal(found[name], array)
    receipt = model.export(tmp_path / "m.onnx")
    assert {x.dtype for x in receipt.inputs} == {"int32", "float32"}
    names = {x.name for x in receipt.inputs}
    assert names == ({"tokens", "age"} if isinstance(x, dict) else {"inputs_0", "inputs_1"})
    loss = model.evaluate(x, LABELS, verbose=0, return_dict=True)
    wanted = float(np.mean((found["kind"] - LABELS["kind"]) ** 2) + 2 * np.mean(abs(found["size"] - LABELS["size"])))
    assert loss["loss"] == pytest.approx(wanted, rel=1e-5)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras", custom_objects={"Text": Text})
    np.testing.assert_array_equal(loaded.predict(x, verbose=0)["kind"], found["kind"])
    assert loaded.export(tmp_path / "n.onnx").inputs == receipt.inputs


@pytest.mark.parametrize(
    "signature",
    [
        {"tokens": keras.InputSpec("int32", (None, None)), "age": keras.InputSpec("float32", (None, 1))},
        [{"age": keras.Input((1,)), "tokens": keras.Input((None,), dtype="int32")}],
        [keras.InputSpec("float32", (None, 1)), keras.InputSpec("int32", (None, None))],  # in the order of their names
    ],
    ids=["specs by name", "symbols in a list", "in a list"],
)
@pytest.mark.parametrize("called", [True, False])
def test_a_subclass_is_exported_with_the_sizes_that_a_signature_leaves_free(
    signature: Any, called: bool, tmp_path: Path
) -> None:
    if not called and isinstance(signature, list) and len(signature) == 2:
        signature = signature[::-1]  # what it takes is what it is called on: a list of tokens and age
    model = Text()
    if called:
        model({"tokens": TOKENS, "age": AGE})
    receipt = model.export(tmp_path / "m.onnx", input_signature=signature, input_name=None)
    (free,) = (x.shape[1] for x in receipt.inputs if x.dtype == "int32")
    assert isinstance(free, str)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for rows, length in ((1, 2), (3, 7), (8, 5)):
        tokens, age = np.ones((rows, length), "int32") * 3, numbers(rows, 1)
        feeds = {x.name: tokens if "int" in x.dtype else age for x in receipt.inputs}
        given = [tokens, age] if isinstance(model._input_tree, list) else {"tokens": tokens, "age": age}
        wanted = model.predict(given, verbose=0)
        for name, found in zip([y.name for y in receipt.outputs], session.run(None, feeds), strict=True):
            np.testing.assert_allclose(found, wanted[name], atol=1e-5)


def test_a_subclass_that_is_built_for_free_lengths_is_exported_with_them(tmp_path: Path) -> None:
    class Steps(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="net")
            self.read = layers.LSTM(3)

        def call(self, steps: Any) -> Any:
            return self.read(steps)

    ways: list[Callable[[Any], Any]] = [
        lambda model: model.build((None, None, 2)),
        lambda model: model(keras.Input((None, 2))),
    ]
    for ready in ways:
        model = Steps()
        ready(model)
        receipt = model.export(tmp_path / "m.onnx")
        assert [(x.name, len({*x.shape})) for x in receipt.inputs] == [("steps", 3)]
        session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
        for x in (np.ones((1, 3, 2), "float32"), np.ones((2, 6, 2), "float32")):
            np.testing.assert_allclose(session.run(None, {"steps": x})[0], model.predict(x, verbose=0), atol=1e-5)


def test_a_signature_of_other_inputs_than_those_of_a_subclass_is_refused(tmp_path: Path) -> None:
    model = Text()
    model({"tokens": TOKENS, "age": AGE})
    with pytest.raises(ConfigError, match="Model 'text' takes 2 inputs, age, tokens; got 1"):
        model.export(tmp_path / "m.onnx", input_signature=[keras.InputSpec("float32", (None, 1))])
    narrow = {"tokens": keras.InputSpec("int32", (None, 4)), "age": keras.InputSpec("float32", (None, 2))}
    with pytest.raises(SeqcError, match="axis"):
        model.export(tmp_path / "m.onnx", input_signature=narrow)
