"""Inputs and outputs in dictionaries: their order, what they are called in logs, and how data are given for them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import ConfigError


def numbers(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=(12, *shape)).astype("float32")


A, Z = numbers(1, 2), numbers(2, 3)


def by_name(zeta: Any, alpha: Any) -> Any:
    return {"zeta": zeta, "alpha": alpha}


def model(outputs: Any = by_name, inputs: Any = dict) -> Any:
    z, a = keras.Input((3,), name="zin"), keras.Input((2,), name="ain")
    both = layers.Concatenate()([z, a])
    zeta, alpha = layers.Dense(2, name="zeta")(both), layers.Dense(3, name="alpha")(both)
    return keras.Model(inputs([("zin", z), ("ain", a)]), outputs(zeta, alpha))


def test_dictionaries_are_in_the_order_of_their_sorted_keys_as_in_keras() -> None:
    made = model()
    assert [x.shape for x in made.inputs] == [(None, 2), (None, 3)]
    assert [y.shape for y in made.outputs] == [(None, 3), (None, 2)]
    assert (made.input_shape, made.output_shape) == ([(None, 2), (None, 3)], [(None, 3), (None, 2)])
    assert made.output_names == ["alpha", "zeta"]
    np.testing.assert_array_equal(
        made.predict([A, Z], verbose=0)["zeta"], made.predict({"zin": Z, "ain": A}, verbose=0)["zeta"]
    )
    ordered = model(inputs=OrderedDict)
    assert [x.shape for x in ordered.inputs] == [(None, 3), (None, 2)]


# What Keras 3.15.1 has in `evaluate(return_dict=True)`, `evaluate()` on JAX, and in the History.
def test_logs_are_in_the_order_of_keras() -> None:
    made = model()
    made.compile("sgd", "mse", metrics={"zeta": ["mae"], "alpha": ["mae", "mse"]}, weighted_metrics={"alpha": ["mae"]})
    y = {"zeta": numbers(3, 2), "alpha": numbers(4, 3)}
    found = made.evaluate({"zin": Z, "ain": A}, y, verbose=0, return_dict=True)
    metrics = ["alpha_mae", "alpha_mse", "alpha_weighted_mae"]
    assert list(found) == ["alpha_loss", *metrics, "loss", "zeta_loss", "zeta_mae"]
    listed = made.evaluate({"zin": Z, "ain": A}, y, verbose=0)
    assert listed == [found[name] for name in ("loss", "alpha_loss", "zeta_loss", *metrics, "zeta_mae")]
    assert made.metrics_names == ["loss", "alpha_loss", "zeta_loss", *metrics, "zeta_mae"]
    history = made.fit({"zin": Z, "ain": A}, y, verbose=0, validation_split=0.25).history
    assert list(history) == sorted([*found, *(f"val_{name}" for name in found)])
    assert list(made.train_on_batch({"zin": Z, "ain": A}, y, return_dict=True)) == list(found)


@pytest.mark.parametrize(
    ("form", "names"),
    [
        (lambda p, q: {"u": [p, q]}, ["u/zeta", "u/alpha"]),
        (lambda p, q: [{"m": p}, q], ["0/m", "alpha"]),
        (lambda p, q: {"b": {"y": p}, "a": q}, ["a", "b/y"]),
        (lambda p, q: (p, q), ["zeta", "alpha"]),
    ],
)
def test_nested_outputs_train_and_are_named_as_in_keras(form: Any, names: list[str]) -> None:
    made, flat = model(form), model(lambda p, q: [p, q])
    for name in ("zeta", "alpha"):
        flat.get_layer(name).set_weights(made.get_layer(name).get_weights())
    y, x = (numbers(3, 2), numbers(4, 3)), {"zin": Z, "ain": A}
    for one in (made, flat):
        one.compile("sgd", "mse", metrics=None)
    history = made.fit(x, form(*y), verbose=0, shuffle=False, sample_weight=form(A[:, 0] ** 2, A[:, 1] ** 2)).history
    expected = flat.fit(x, list(y), verbose=0, shuffle=False, sample_weight=[A[:, 0] ** 2, A[:, 1] ** 2]).history
    assert (sorted(history), history["loss"]) == (
        sorted(["loss", *(f"{n}_loss" for n in names)]),
        pytest.approx(expected["loss"]),
    )
    assert made.output_names == names
    predicted = made.predict(x, verbose=0)
    for found, wanted in zip(leaves(form(0, 1), predicted), flat.predict(x, verbose=0), strict=True):
        np.testing.assert_array_equal(found, wanted)


def leaves(form: Any, given: Any) -> list[Any]:
    """Returns what is given for 0 and for 1 of a form."""
    found: dict[int, Any] = {}

    def walk(part: Any, node: Any) -> None:
        if isinstance(part, int):
            found[part] = node
        else:
            for key in part if isinstance(part, dict) else range(len(part)):
                walk(part[key], node[key])

    walk(form, given)
    return [found[0], found[1]]


class Own(keras.Model):
    """Gives its results in another order than that of their names."""

    def __init__(self) -> None:
        super().__init__()
        self.zeta, self.alpha = layers.Dense(2, name="zeta"), layers.Dense(2, name="alpha")

    def call(self, inputs: Any) -> Any:
        return {"zeta": self.zeta(inputs["zin"]), "alpha": self.alpha(inputs["ain"])}


def test_results_of_a_models_own_meet_the_labels_of_their_names() -> None:
    made = Own()
    made.compile("sgd", {"zeta": "mse", "alpha": "mae"})
    y = {"zeta": numbers(3, 2), "alpha": numbers(4, 2)}
    found = made.evaluate({"zin": Z, "ain": A}, y, verbose=0, return_dict=True)
    given = made.predict({"zin": Z, "ain": A}, verbose=0)
    assert found["zeta_loss"] == pytest.approx(float(np.mean((given["zeta"] - y["zeta"]) ** 2)), rel=1e-5)
    assert found["alpha_loss"] == pytest.approx(float(np.mean(abs(given["alpha"] - y["alpha"]))), rel=1e-5)


# As in Keras 3.15.1, which refuses the same of a model that gives a list.
@pytest.mark.parametrize("make", [model, Own])
@pytest.mark.parametrize("partly", [False, True], ids=["all labels", "labels of one"])
def test_losses_may_leave_out_outputs_of_a_dictionary(make: Any, partly: bool) -> None:
    made, x, zeta = make(), {"zin": Z, "ain": A}, numbers(3, 2)
    made.compile("sgd", {"zeta": "mse"}, loss_weights={"zeta": 2.0}, metrics={"zeta": ["mae"]})
    given = made.predict(x, verbose=0)
    y, weight = {"zeta": zeta} | ({} if partly else {"alpha": given["alpha"]}), A[:, 0] ** 2
    found = made.evaluate(x, y, sample_weight={"zeta": weight}, verbose=0, return_dict=True)
    assert found == {
        "loss": pytest.approx(2 * np.mean(np.mean((given["zeta"] - zeta) ** 2, 1) * weight), rel=1e-5),
        "zeta_mae": pytest.approx(np.mean(abs(given["zeta"] - zeta)), rel=1e-5),
    }
    before = [w.copy() for name in ("zeta", "alpha") for w in layer_of(made, name).get_weights()]
    history = made.fit(x, y, verbose=0, validation_data=(x, y)).history
    assert list(history) == ["loss", "val_loss", "val_zeta_mae", "zeta_mae"]
    after = [w for name in ("zeta", "alpha") for w in layer_of(made, name).get_weights()]
    moved = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert moved == [True, True, False, False]


def layer_of(made: Any, name: str) -> Any:
    return getattr(made, name) if isinstance(made, Own) else made.get_layer(name)


class Pair(layers.Layer):
    def call(self, x: Any) -> Any:
        return {"b": x * 2.0, "a": x + 1.0}


def test_results_of_a_layer_in_a_dictionary_are_numbered_by_their_sorted_keys() -> None:
    x = keras.Input((2,), name="x")
    pair = Pair(name="pair")(x)
    made = keras.Model(x, ops.subtract(pair["b"], pair["a"]))
    np.testing.assert_allclose(made.predict(A, verbose=0), A - 1, rtol=1e-6)
    operation = made.get_config()["layers"][-1]
    histories = [part["config"]["keras_history"] for part in operation["inbound_nodes"][0]["args"]]
    assert histories == [["pair", 0, 1], ["pair", 0, 0]]


def test_a_second_array_in_the_place_of_the_batch_size_is_shown_the_way() -> None:
    made = model()
    made.compile("sgd", "mse")
    calls: list[Callable[[], Any]] = [
        lambda: made.predict(A, Z),
        lambda: made.fit(A, Z, A),
        lambda: made.predict(A, [A, Z]),
    ]
    for call in calls:
        with pytest.raises(
            ConfigError, match=r"(?s)batch_size must be a positive integer; .*predict\(\[a, b\]\)"
        ) as caught:
            call()
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("given", [{"metrics": []}, {"weighted_metrics": ()}, {"metrics": [], "weighted_metrics": []}])
def test_no_metrics_are_no_metrics_of_several_outputs(given: Any) -> None:
    x = keras.Input((2,))
    model = keras.Model(x, [layers.Dense(1, name="a")(x), layers.Dense(1, name="b")(x)])
    model.compile("sgd", "mse", **given)
    history = model.fit(np.ones((4, 2)), [np.ones((4, 1))] * 2, verbose=0).history
    assert sorted(history) == ["a_loss", "b_loss", "loss"]
    with pytest.raises(ConfigError, match="`loss` has 0 entries"):
        model.compile("sgd", [])
