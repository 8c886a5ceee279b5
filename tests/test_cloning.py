"""Clones of functional models: the same calls of new layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import ConfigError, SavingError


def model() -> Any:
    """Two inputs by name, operations, a shared layer, and a nested model that is called twice."""
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    z = keras.Input((4,))
    inner = keras.Model(z, ops.relu(layers.Dense(4, name="deep")(z)) + 0.5, name="inner")
    shared = layers.Dense(4, name="shared")
    first, second = ops.split(inner(shared(a)) * shared(b)[:, ::-1], 2, axis=1)
    return keras.Model({"a": a, "b": b}, [layers.Dense(1, name="end")(ops.concatenate([second, first])), inner(a)])


def data(size: int = 4) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(3, size)).astype("float32") for name in "ab"}


@pytest.mark.parametrize("recursive", [False, True])
def test_a_clone_has_the_same_calls_and_weights_of_its_own(recursive: bool) -> None:
    one = model()
    one.compile("adam", "mse")
    clone = keras.models.clone_model(one, recursive=recursive)
    assert clone.compiled
    assert [layer.name for layer in clone.layers] == [layer.name for layer in one.layers]
    assert not {id(w) for w in clone.weights} & {id(w) for w in one.weights}
    before = [y.copy() for y in one.predict(data(), verbose=0)]
    clone.set_weights(one.get_weights())
    for p, q in zip(clone.predict(data(), verbose=0), before, strict=True):
        np.testing.assert_array_equal(p, q)
    clone.set_weights([w * 0 for w in clone.get_weights()])
    np.testing.assert_array_equal(one.predict(data(), verbose=0)[0], before[0])


def test_a_clone_takes_other_inputs_and_other_layers() -> None:
    x = keras.Input((4,), name="x")
    one = keras.Model(x, layers.Dense(2, name="top")(ops.mean(layers.Dense(3, name="low")(x), axis=1, keepdims=True)))

    def wider(layer: Any) -> Any:
        return layers.Dense(2 * layer.units, name=layer.name)

    clone = keras.models.clone_model(one, keras.Input((7,)), wider)
    assert [w.shape for w in clone.weights] == [(7, 6), (6,), (1, 4), (4,)]
    called: list[str] = []

    def noted(layer: Any, *arguments: Any, **named: Any) -> Any:
        called.append(layer.name)
        return layer(*arguments, **named) * 2.0

    doubled = keras.models.clone_model(one, clone_function=lambda layer: layer, call_function=noted)
    assert called == ["low", "top"]
    assert doubled.get_layer("low") is one.get_layer("low")
    given = data()["a"]
    low, top = one.get_layer("low"), one.get_layer("top")
    hidden = (given @ low.kernel.numpy() * 2).mean(1, keepdims=True)
    np.testing.assert_allclose(doubled.predict(given, verbose=0), 2 * (hidden @ top.kernel.numpy()), rtol=1e-4)


@pytest.mark.parametrize("form", [lambda x: x, lambda x: [x], lambda x: (x,)], ids=["alone", "list", "tuple"])
@pytest.mark.parametrize("between", [False, True], ids=["input", "layer"])
@pytest.mark.parametrize("kind", ["sequential", "alone", "list"])
def test_a_clone_of_one_input_takes_any_symbol_alone_or_in_a_list(kind: str, between: bool, form: Any) -> None:
    stack = keras.Sequential([keras.Input((4,), name="x", dtype="float16"), layers.Dense(3), layers.Dense(2)])
    models = {"sequential": stack, "alone": keras.Model(stack.inputs[0], stack.outputs[0])}
    one = models[kind] if kind in models else keras.Model(stack.inputs, stack.outputs)
    given = layers.Dense(4)(keras.Input((6,), name="far")) if between else keras.Input((4,), name="given")
    clone: Any = keras.models.clone_model(one, form(given))
    clone.set_weights(one.get_weights())
    assert (clone.input_shape, clone.inputs[0].dtype) == ((None, 4), "float32")
    if kind == "sequential":
        assert clone.inputs[0].name == ("x" if between else "given")
    x = data()["a"]
    np.testing.assert_allclose(clone.predict(x, verbose=0), one.predict(x, verbose=0), atol=2e-3)


def test_nested_models_are_cloned_inside_when_asked() -> None:
    seen: list[str] = []

    def kept(layer: Any) -> Any:
        seen.append(layer.name)
        return layer

    one = model()
    assert keras.models.clone_model(one, clone_function=kept).get_layer("inner") is one.get_layer("inner")
    assert sorted(seen) == ["end", "inner", "shared"]
    seen.clear()
    clone = keras.models.clone_model(one, clone_function=kept, recursive=True)
    assert sorted(seen) == ["deep", "end", "shared"]
    assert clone.get_layer("inner") is not one.get_layer("inner")
    assert clone.get_layer("inner").get_layer("deep") is one.get_layer("inner").get_layer("deep")


def test_what_cannot_be_cloned_is_refused() -> None:
    with pytest.raises(ConfigError, match="in the structure of the model's own input"):
        keras.models.clone_model(model(), keras.Input((4,)))
    with pytest.raises(ConfigError, match="in the structure of the model's own input"):
        keras.models.clone_model(model(), data())
    with pytest.raises(ConfigError, match="call_function must be a function"):
        keras.models.clone_model(model(), call_function=3)
    with pytest.raises(ConfigError, match="clones Sequential and functional models"):
        keras.models.clone_model(keras.Model())


@pytest.mark.parametrize("depth", [500, 5_000, 100_000])
def test_json_that_nests_too_deep_is_refused(depth: int) -> None:
    for text in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth):
        with pytest.raises(SavingError):
            keras.models.model_from_json(text)
