"""What the logs hold, and under which names: metrics of several numbers, of layers, and of outputs without names.

The numbers are those of Keras 3.15.1 on TensorFlow, of the same models on the same data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops

X = (np.arange(12).reshape(6, 2) / 10).astype("float32")
Y = X.sum(1, keepdims=True)


def dense(weight: float = 1.0) -> layers.Dense:
    return layers.Dense(1, kernel_initializer=keras.initializers.Constant(weight), use_bias=False)


def compiled(model: Any, rate: float = 0.1, loss: Any = "mse", **settings: Any) -> Any:
    model.compile(keras.optimizers.SGD(rate), loss, **settings)
    return model


def fitted(model: Any, x: Any = X, y: Any = Y, **settings: Any) -> dict[str, Any]:
    history = model.fit(x, y, batch_size=3, shuffle=False, verbose=0, **settings).history
    return {name: [round(float(value), 5) for value in values] for name, values in history.items()}


# -- metrics that give arrays ------------------------------------------------------------------------------------------


class Totals(keras.metrics.Metric):
    """The sums of predictions and labels: its result is its state."""

    def __init__(self, name: str = "totals") -> None:
        super().__init__(name=name)
        self.sums = self.add_variable((2,), "zeros", name="sums")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.sums.assign_add(ops.stack([ops.sum(y_pred), ops.sum(y_true)]))

    def result(self) -> Any:
        return self.sums


class Kept(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.logs: list[Any] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.logs.append(logs["totals"])


@pytest.mark.parametrize("executor", ["tiled", "naive"])
def test_arrays_in_logs_stay_as_they_were_logged(executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_EXECUTOR", executor)
    positives = keras.metrics.TruePositives([0.2, 0.7], name="positives")
    model = compiled(keras.Sequential([keras.Input((2,)), dense()]), rate=0.0, metrics=[Totals(), positives])
    kept = Kept()
    settings: dict[str, Any] = {"batch_size": 3, "shuffle": False, "verbose": 0}
    history = model.fit(X, Y, epochs=2, validation_data=(X[:3], Y[:3]), callbacks=[kept], **settings).history
    whole, part = [Y.sum()] * 2, [Y[:3].sum()] * 2
    np.testing.assert_allclose(history["totals"], [whole] * 2, rtol=1e-5)
    np.testing.assert_allclose(history["val_totals"], [part] * 2, rtol=1e-5)
    np.testing.assert_allclose(history["positives"], [[5, 4]] * 2)
    np.testing.assert_allclose(kept.logs, [part, whole] * 2, rtol=1e-5)
    first, second = (model.evaluate(X[:n], Y[:n], verbose=0, return_dict=True)["totals"] for n in (6, 3))
    np.testing.assert_allclose([first, second], [whole, part], rtol=1e-5)


class Vectors(keras.Model):
    """Logs an array that its step makes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = dense()

    def call(self, inputs: Any) -> Any:
        return self.layer(inputs)

    def train_step(self, data: Any) -> Any:
        x, y = data
        with keras.GradientTape() as tape:
            loss = ops.mean(ops.square(y - self(x, training=True)))
        self.optimizer.apply_gradients(
            zip(tape.gradient(loss, self.trainable_variables), self.trainable_variables, strict=True)
        )
        return {"loss": loss, "vector": ops.stack([self.layer.kernel[0, 0], ops.sum(y)])}


def test_arrays_that_a_step_of_ones_own_logs_stay_as_they_were() -> None:
    model = compiled(Vectors(), loss=None)
    history = model.fit(X, 2 * Y, epochs=3, batch_size=6, shuffle=False, verbose=0).history
    weights = [w for w, _ in history["vector"]]
    assert weights == sorted(weights)
    assert len(set(weights)) == 3


# -- metrics that give a dictionary ------------------------------------------------------------------------------------


class Errors(keras.metrics.Metric):
    """The mean error, and the sum of all."""

    def __init__(self, name: str = "errors", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.sum = self.add_variable((), "zeros", name="sum")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        weight = 1.0 if sample_weight is None else ops.reshape(ops.cast(sample_weight, "float32"), (-1, 1))
        self.sum.assign_add(ops.sum(ops.abs(y_true - y_pred) * weight))
        self.count.assign_add(ops.cast(ops.size(y_true), "float32"))

    def result(self) -> Any:
        return {"mean_of": self.sum / self.count, "all_of": self.sum + 0.0}


class InNumPy(Errors):
    def result(self) -> Any:
        return {"mean_of": self.sum.numpy() / self.count.numpy(), "all_of": float(self.sum.numpy())}


def stack(**settings: Any) -> Any:
    model = compiled(keras.Sequential([keras.Input((2,)), dense()]), **settings)
    model.set_weights([np.array([[0.5], [0.25]], "float32")])
    return model


@pytest.mark.parametrize("kind", [Errors, InNumPy])
def test_each_entry_of_a_metrics_dictionary_is_logged_under_its_own_name(kind: type[Errors]) -> None:
    model = stack(metrics=[kind(), "mae"])
    assert model.evaluate(X, Y, verbose=0) == pytest.approx([0.67229, 0.7, 4.2, 0.7], abs=1e-5)
    assert model.evaluate(X, Y, verbose=0, return_dict=True) == pytest.approx(
        {"all_of": 4.2, "loss": 0.67229, "mae": 0.7, "mean_of": 0.7}, abs=1e-5
    )
    history = fitted(model, epochs=2, validation_data=(X, Y))
    assert history == {
        "loss": [0.62933, 0.28599],
        "mae": [0.68036, 0.45938],
        "mean_of": [0.68036, 0.45938],
        "all_of": [4.08215, 2.7563],  # six times the mean
        "val_loss": [0.30559, 0.13894],
        "val_mae": [0.47269, 0.31946],
        "val_mean_of": [0.47269, 0.31946],
        "val_all_of": [2.83612, 1.91675],
    }
    np.testing.assert_allclose(model.train_on_batch(X, Y), [0.13894, 0.31946, 1.91675, 0.31946], atol=1e-5)
    assert model.test_on_batch(X, Y, return_dict=True)["all_of"] == pytest.approx(1.59632, abs=1e-5)


def test_weighted_metrics_and_several_outputs_may_give_dictionaries() -> None:
    weights = np.arange(1.0, 7.0)
    model = stack(metrics=["mae"], weighted_metrics=[Errors()])
    found = model.evaluate(X, Y, sample_weight=weights, verbose=0)
    assert found == pytest.approx([3.37385, 0.7, 19.075, 3.17917], abs=1e-4)
    x = keras.Input((2,))
    a, b = (layers.Dense(1, name=name, use_bias=False, kernel_initializer="ones")(x) for name in "ab")
    model = compiled(keras.Model(x, [a, b]), metrics=[[Errors()], ["mae"]])
    model.trainable_weights[0].assign([[0.5], [0.25]])
    found = model.evaluate(X, [Y, Y], verbose=0)
    assert found == pytest.approx([0.67229, 0.67229, 0.0, 4.2, 0.0, 0.7], abs=1e-4)


class Keeping(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense, self.kept = dense(), Errors()

    def call(self, x: Any) -> Any:
        return self.dense(x)


class Computing(Keeping):
    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        self.kept.update_state(y, y_pred + 1.0)
        return super().compute_metrics(x, y, y_pred, sample_weight)


class Stepping(Keeping):
    def train_step(self, data: Any) -> Any:
        x, y = data
        self.kept.update_state(y, self(x) + 1.0)
        return {metric.name: metric.result() for metric in self.metrics}

    test_step = train_step


@pytest.mark.parametrize(("kind", "more"), [(Computing, {"mae": [0.0], "val_mae": [0.0]}), (Stepping, {})])
def test_a_model_may_keep_a_metric_that_gives_a_dictionary(kind: type[Keeping], more: dict[str, Any]) -> None:
    model = compiled(kind(), 0.0, metrics=["mae"] if more else None)
    expected = {"loss": [0.0], "mean_of": [1.0], "all_of": [6.0]}
    expected |= {f"val_{name}": value for name, value in expected.items()} | more
    assert fitted(model, validation_data=(X, Y)) == expected
    assert model.evaluate(X, Y, verbose=0) == [0.0, *([0.0] if more else []), 6.0, 1.0]


def test_callbacks_may_watch_an_entry_of_a_metrics_dictionary() -> None:
    stop = keras.callbacks.EarlyStopping("val_mean_of", mode="max", patience=1)  # it falls
    assert len(fitted(stack(metrics=[Errors()]), epochs=9, validation_data=(X, Y), callbacks=[stop])["loss"]) == 2


# -- metrics that layers keep ------------------------------------------------------------------------------------------


class End(layers.Layer):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.mean, self.more = keras.metrics.Mean(name="act"), [keras.metrics.Sum(name="total")]

    def call(self, x: Any) -> Any:
        self.mean.update_state(x)
        self.more[0].update_state(x)
        self.add_loss(ops.mean(x) * 0.1)
        return x


class Block(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.end, self.twice = End(), keras.metrics.Mean(name="twice")

    def call(self, x: Any) -> Any:
        self.twice.update_state(x * 2.0)
        return self.end(x)


class Whole(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense, self.own, self.block = dense(), keras.metrics.Mean(name="own"), Block()
        self.table = {"key": keras.metrics.Mean(name="in_table")}

    def call(self, x: Any) -> Any:
        h = self.dense(x)
        self.own.update_state(h * 3.0)
        self.table["key"].update_state(h * 4.0)
        return self.block(h)


def functional(inside: Any) -> Any:
    x = keras.Input((2,))
    return keras.Model(x, inside(x))


LAYERS: dict[str, tuple[Any, list[str]]] = {
    "stack": (lambda: keras.Sequential([keras.Input((2,)), dense(), End()]), []),
    "graph": (lambda: functional(lambda x: End()(dense()(x))), []),
    "own call": (Whole, ["own", "in_table", "twice"]),
    # What a model inside another keeps itself is its own business.
    "own call inside": (lambda: functional(Whole()), ["twice"]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_metrics_of_layers_are_logged_and_start_anew_in_every_epoch(name: str) -> None:
    make, more = LAYERS[name]
    model = compiled(make(), metrics=["mae"])
    history = fitted(model, epochs=2, validation_data=(X[:4], Y[:4]))
    expected = {
        "loss": ([0.10979, 0.10893], [0.06935, 0.06899]),
        "mae": ([0.00215, 0.0132], [0.00727, 0.01217]),
        "act": ([1.09785, 1.0868], [0.69273, 0.68783]),
        "total": ([6.5871, 6.52083], [2.77094, 2.75133]),
        "own": ([3.29355, 3.26041], [2.0782, 2.0635]),
        "in_table": ([4.3914, 4.34722], [2.77094, 2.75133]),
        "twice": ([2.1957, 2.17361], [1.38547, 1.37566]),
    }
    names = ["loss", "mae", *more, "act", "total"]
    assert set(history) == {*names, *(f"val_{name}" for name in names)}
    for metric in names:
        np.testing.assert_allclose(history[metric], expected[metric][0], atol=2e-5)
        np.testing.assert_allclose(history[f"val_{metric}"], expected[metric][1], atol=2e-5)
    after = {"loss": 0.1086, "mae": 0.01902, "own": 3.24293, "in_table": 4.3239, "twice": 2.16195}
    after |= {"act": 1.08098, "total": 6.48586}
    assert model.evaluate(X, Y, verbose=0) == pytest.approx([after[metric] for metric in names], abs=2e-5)
    assert [metric.name for metric in model.metrics] == model.metrics_names == names
    assert model.train_on_batch(X, Y, return_dict=True) == pytest.approx({n: after[n] for n in names}, abs=2e-5)


def test_metrics_that_a_model_keeps_are_there_before_it_is_compiled() -> None:
    assert [metric.name for metric in Whole().metrics] == ["own", "in_table", "twice", "act", "total"]


class Held(layers.Layer):
    """Keeps what it is given in an attribute, and more where one of `PLACES` puts it later."""

    def __init__(self, kept: Any) -> None:
        super().__init__()
        self.kept = kept

    def call(self, x: Any) -> Any:
        for metric in self.metrics:
            metric.update_state(x)
        return x


# What a layer keeps at first, and what is done to it before the model trains.
PLACES: dict[str, tuple[Any, Any]] = {
    "in tuples": (lambda new: ("a", 1, (new,)), None),
    "among texts": (lambda new: ["a", 1, {"b": "c", "d": new}], None),
    "appended later": (lambda new: [], lambda layer, new: layer.kept.append(new)),
    "in a list of a tuple": (lambda new: (1, []), lambda layer, new: layer.kept[1].append(new)),
    "entered later": (lambda new: {}, lambda layer, new: layer.kept.update(key=[new])),
    "set from outside": (lambda new: 0, lambda layer, new: setattr(layer, "other", new)),
    "in the place of a text": (lambda new: "text", lambda layer, new: setattr(layer, "kept", new)),
    "once, though kept twice": (lambda new: [new], lambda layer, new: setattr(layer, "other", layer.kept[0])),
}


@pytest.mark.parametrize("place", PLACES)
def test_metrics_are_found_wherever_layers_keep_them(place: str) -> None:
    kept, later = PLACES[place]
    layer = Held(kept(keras.metrics.Mean(name="mean")))
    model = compiled(keras.Sequential([keras.Input((2,)), layer, dense()]))
    if later is not None:
        later(layer, keras.metrics.Mean(name="mean"))
    assert fitted(model)["mean"] == [round(float(X.mean()), 5)]
    assert [metric.name for metric in model.metrics] == ["loss", "mean"]
    layer.kept, layer.other = None, None
    assert [metric.name for metric in model.metrics] == ["loss"]


class Endpoint(layers.Layer):
    """Keras's example of a layer that has the loss and a metric of the labels it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
        self.accuracy = keras.metrics.BinaryAccuracy(name="accuracy")

    def call(self, logits: Any, targets: Any) -> Any:
        self.add_loss(self.loss_fn(targets, logits))
        self.accuracy.update_state(targets, ops.sigmoid(logits))
        return ops.sigmoid(logits)


def test_an_endpoint_logs_its_metric_and_may_be_watched() -> None:
    x, targets = keras.Input((2,), name="x"), keras.Input((1,), name="targets")
    model = compiled(keras.Model([x, targets], Endpoint()(dense()(x) - 0.9, targets)), loss=None)
    data = {"x": X, "targets": (Y > 1).astype("float32")}
    stop = keras.callbacks.EarlyStopping("accuracy", patience=0)
    assert fitted(model, data, None, epochs=9, callbacks=[stop]) == {
        "accuracy": [1.0, 0.83333],
        "loss": [0.45707, 0.455],
    }
    assert model.evaluate(data, verbose=0) == pytest.approx([0.45017, 0.83333], abs=1e-5)


# -- outputs that have no names ----------------------------------------------------------------------------------------


class Two(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = dense(1.1), dense(0.5)

    def call(self, x: Any) -> Any:
        return self.a(x), self.b(x)


class Listed(Two):
    def call(self, x: Any) -> Any:
        return [self.a(x), self.b(x)]


class Nested(Two):
    def call(self, x: Any) -> Any:
        return self.a(x), (self.b(x), self.a(x) + 1.0)


class InDicts(Two):
    def call(self, x: Any) -> Any:
        return {"q": self.a(x)}, {"p": self.b(x)}


class ByName(Two):
    def call(self, x: Any) -> Any:
        return {"q": self.a(x), "p": self.b(x)}


def mean(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


BOTH = {"loss": ["mse", "mae"]}
LOGGED = {"loss": 1.56677, "mse_loss": 0.01677, "mae_loss": 1.55}
# Settings; the logs; and what `evaluate` lists, by name.
NAMES: dict[str, tuple[Any, Any, dict[str, Any], dict[str, float], list[str]]] = {
    "two": (
        Two,
        (Y, Y + 1),
        BOTH | {"metrics": [["mae"], ["mse"]]},
        LOGGED | {"mae": 0.11, "mse": 2.51917},
        ["loss", "mae", "mse", "mse_loss", "mae_loss"],
    ),
    "a list": (
        Listed,
        [Y, Y + 1],
        BOTH | {"metrics": ["mae", "mse"]},
        LOGGED | {"mae": 0.11, "mse": 2.51917},
        ["loss", "mae", "mse", "mse_loss", "mae_loss"],
    ),
    # Of losses with one name Keras shows the last.
    "one loss": (Two, (Y, Y + 1), {"loss": "mse"}, {"loss": 2.53593, "mse_loss": 2.51917}, ["loss", "mse_loss"]),
    "none": (
        Two,
        (Y, Y + 1),
        BOTH | {"metrics": [None, ["mse"]]},
        LOGGED | {"mse": 2.51917},
        ["loss", "mse", "mse_loss", "mae_loss"],
    ),
    "no loss": (
        Two,
        (Y, Y + 1),
        {"loss": ["mse", None], "metrics": [["mae"], ["mse"]]},
        {"loss": 0.01677, "mae": 0.11, "mse": 2.51917},
        ["loss", "mae", "mse"],
    ),
    "one name": (
        Two,
        (Y, Y + 1),
        BOTH | {"metrics": [["mae", "mse"], ["mae", "mae"]]},
        LOGGED | {"mae": 0.11, "mse": 0.01677, "mae_1": 1.55, "mae_2": 1.55},
        ["loss", "mae", "mse", "mse_loss", "mae_loss", "mae_1", "mae_2"],
    ),
    "weighted": (
        Two,
        (Y, Y + 1),
        BOTH | {"metrics": [["mae"], ["mse"]], "weighted_metrics": [["mae", "mae"], ["mse", "mae"]]},
        LOGGED
        | {"mae": 0.11, "mse": 2.51917, "weighted_mae": 0.11, "weighted_mae_1": 0.11, "weighted_mae_2": 1.55}
        | {"weighted_mse": 2.51917},
        ["loss", "mae", "mse", "mse_loss", "mae_loss", *(f"weighted_{n}" for n in ("mae", "mae_1", "mae_2", "mse"))],
    ),
    "objects": (
        Two,
        (Y, Y + 1),
        {"loss": [keras.losses.MeanSquaredError(), keras.losses.MeanAbsoluteError(name="hugo")], "metrics": [mean, []]},
        {"loss": 1.56677, "mean_squared_error_loss": 0.01677, "hugo_loss": 1.55, "mean": 0.11},
        ["loss", "mean", "mean_squared_error_loss", "hugo_loss"],
    ),
    "lists in lists": (
        Nested,
        (Y, (Y, Y)),
        {"loss": ["mse", "mae", "mse"]},
        {"loss": 1.80353, "mse_loss": 0.01677, "1/mae_loss": 0.55, "1/mse_loss": 1.23677},
        ["loss", "mse_loss", "1/mae_loss", "1/mse_loss"],
    ),
    "dictionaries in lists": (
        InDicts,
        ({"q": Y}, {"p": Y}),
        {"loss": "mse"},
        {"loss": 0.43593, "0/q_loss": 0.01677, "1/p_loss": 0.41917},
        ["loss", "0/q_loss", "1/p_loss"],
    ),
    "keys": (
        ByName,
        {"p": Y, "q": Y},
        {"loss": {"p": "mse", "q": "mae"}, "metrics": ["mae", "mse"]},
        {"loss": 0.52917, "p_loss": 0.41917, "q_loss": 0.11, "p_mae": 0.55, "q_mse": 0.01677},
        ["loss", "p_loss", "q_loss", "p_mae", "q_mse"],
    ),
}


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_outputs_without_names_are_logged_as_keras_does(name: str, again: bool) -> None:
    kind, y, settings, expected, listed = NAMES[name]
    model = compiled(kind(), 0.0, **settings)
    if again:  # compiled when it is known what the model gives
        model.fit(X, y, verbose=0)
        compiled(model, 0.0, **settings)
    history = fitted(model, X, y, validation_data=(X, y))
    expected = {**expected, **{f"val_{key}": value for key, value in expected.items()}}
    assert {key: values[0] for key, values in history.items()} == pytest.approx(expected, abs=2e-5)
    found = model.evaluate(X, y, verbose=0)
    assert found == pytest.approx([expected[key] for key in listed], abs=2e-5)
    assert model.metrics_names == listed


def test_callbacks_may_watch_what_outputs_without_names_log() -> None:
    model = compiled(Two(), 0.0, loss=["mse", "mae"], metrics=[["mae"], ["mse"]])
    watched = [keras.callbacks.EarlyStopping(name, mode="min", patience=1) for name in ("val_mae", "mse_loss")]
    assert len(fitted(model, X, (Y, Y + 1), epochs=9, validation_data=(X, (Y, Y + 1)), callbacks=watched)["mae"]) == 2
