"""A user's own losses and metrics, written with seqc.ops or NumPy, and the mistakes one can make."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, losses, ops
from seqc.errors import ConfigError, DataError, ShapeError, TraceError

RNG = np.random.default_rng(5)
X = RNG.standard_normal((12, 4)).astype("float32")
Y = RNG.standard_normal((12, 3)).astype("float32")


def build(*stack: Any, **options: Any) -> keras.Sequential:
    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input((4,)), *stack])
    model.compile(**({"optimizer": "sgd", "loss": "mse"} | options))
    return model


# -- losses and metrics ------------------------------------------------------------------------------------------------


def own_loss(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.square(y_true - y_pred) * 2.0, axis=-1)


def own_number(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.abs(y_true - y_pred))


def own_metric(y_true: Any, y_pred: Any) -> Any:
    return ops.max(ops.abs(y_true - y_pred), axis=-1)


class OwnLoss(keras.losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.abs(y_true - y_pred), axis=-1)


class Largest(keras.metrics.Metric):
    """The largest error so far."""

    def __init__(self, name: str = "largest", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.found = self.add_weight(name="found", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.found.assign(ops.maximum(self.found, ops.max(ops.abs(y_true - y_pred))))

    def result(self) -> Any:
        return self.found


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (own_loss, lambda e: np.mean(2 * e**2)),
        (lambda y, p: ops.mean((y - p) ** 2), lambda e: np.mean(e**2)),
        (lambda y, p: (y - p) ** 2, lambda e: np.mean(e**2)),
        (OwnLoss(), lambda e: np.mean(abs(e))),
        ([own_loss], lambda e: np.mean(2 * e**2)),
        ({"any": own_loss}, lambda e: np.mean(2 * e**2)),
    ],
)
def test_own_losses_train(loss: Any, expected: Any) -> None:
    model = build(layers.Dense(3), loss=loss)
    error = model.predict(X, verbose=0) - Y
    np.testing.assert_allclose(model.evaluate(X, Y, batch_size=4, verbose=0), expected(error), rtol=1e-5)
    history = model.fit(X, Y, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]


class Doubling(keras.losses.Loss):
    """Says what becomes of the labels before they are called labels, in the form that Keras's guides have."""

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # type: ignore[override]
        return super().__call__(y_true * 2.0, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.square(y_true - y_pred), axis=-1)


class Whole(keras.losses.Loss):
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # type: ignore[override]
        return ops.mean(ops.square(y_true - y_pred))


def test_a_loss_may_say_itself_what_calling_it_means() -> None:
    model, weights = build(layers.Dense(3), loss=Doubling()), np.arange(12.0)
    squares = np.mean((model.predict(X, verbose=0) - 2 * Y) ** 2, -1)
    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0), squares.mean(), rtol=1e-5)
    expected = np.mean(squares * weights)
    np.testing.assert_allclose(model.evaluate(X, Y, sample_weight=weights, verbose=0), expected, rtol=1e-5)
    history = model.fit(X, Y, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]


@pytest.mark.parametrize(("loss", "expected"), [(Doubling(), 2 / 3), (Whole(), 4 / 3)])  # as Keras 3.15.1 has them
def test_a_loss_that_says_so_itself_may_look_at_the_mask_or_not(loss: Any, expected: float) -> None:
    dense = layers.Dense(1, kernel_initializer="ones", use_bias=False)
    model = keras.Sequential([keras.Input((3, 1)), layers.Masking(), dense])
    model.compile("sgd", loss)
    x = np.array([[[1.0], [2.0], [0.0]], [[3.0], [0.0], [0.0]]])
    assert model.evaluate(x, np.ones((2, 3, 1)), verbose=0) == pytest.approx(expected)


def masked() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            layers.Embedding(9, 2, mask_zero=True, embeddings_initializer="ones"),
            layers.SimpleRNN(2, kernel_initializer="ones", recurrent_initializer="ones", return_sequences=True),
            layers.Dense(1, "sigmoid", kernel_initializer="ones"),
        ]
    )


IDS = np.array([[1, 2, 3, 0], [4, 0, 0, 0], [5, 6, 0, 0], [1, 2, 3, 4], [7, 0, 0, 0]])
WEIGHTS = np.array([[1], [2], [3], [0.5], [4]])


@pytest.mark.parametrize(
    ("loss", "weights", "trained", "evaluated", "total"),
    [
        (own_number, None, [0.12086, 0.11146], 0.1053, 28.2104),
        (own_number, WEIGHTS, [0.21921, 0.18418], 0.13932, 28.4521),
        (losses.Tversky(), None, [0.06496, 0.06183], 0.05969, 28.1219),
        (losses.Dice(), WEIGHTS, [0.11876, 0.10669], 0.08433, 28.2671),
        (losses.Dice(), np.repeat(WEIGHTS, 4, 1), [0.11876, 0.10669], 0.08433, 28.2671),
        (losses.Dice(reduction="sum"), WEIGHTS, [0.36611, 0.28444], 0.36623, 28.5823),
        (losses.Tversky(reduction="mean_with_sample_weight"), WEIGHTS, [0.06496, 0.06183], 0.05969, 28.1219),
    ],
)
def test_a_loss_of_one_number_is_weighed_by_the_mask_as_in_keras(
    loss: Any, weights: Any, trained: list[float], evaluated: float, total: float
) -> None:
    """The numbers of Keras 3.15.1, with last batches of one and of two samples."""
    model, y = masked(), np.ones((5, 4, 1))
    model.compile(keras.optimizers.SGD(0.1), loss)
    history = model.fit(IDS, y, sample_weight=weights, epochs=2, batch_size=2, shuffle=False, verbose=0).history
    assert history["loss"] == pytest.approx(trained, abs=1e-5)
    assert model.evaluate(IDS, y, sample_weight=weights, batch_size=3, verbose=0) == pytest.approx(evaluated, abs=1e-5)
    assert sum(float(w.sum()) for w in model.get_weights()) == pytest.approx(total, abs=1e-4)


def test_labels_without_the_last_axis_of_a_masked_output_are_told_to_get_it() -> None:
    model, y = masked(), np.ones((5, 4))
    model.compile("sgd", "mse")
    with pytest.raises(DataError, match=r"carries a mask .* the last axis that the output has, y\[..., None\]"):
        model.fit(IDS, y, verbose=0)
    model.fit(IDS, y[..., None], verbose=0)


def test_own_metrics_are_reported_under_their_names() -> None:
    model = build(layers.Dense(3), metrics=[own_metric, Largest()])
    error = np.abs(model.predict(X, verbose=0) - Y)
    logs = model.evaluate(X, Y, batch_size=5, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["own_metric"], error.max(1).mean(), rtol=1e-5)
    np.testing.assert_allclose(logs["largest"], error.max(), rtol=1e-5)
    assert model.metrics_names == ["loss", "own_metric", "largest"]


def test_the_result_of_a_metric_may_be_computed_with_numpy() -> None:
    class InNumPy(Largest):
        def result(self) -> Any:
            return np.sqrt(self.found.numpy())

    model = build(layers.Dense(3), metrics=[InNumPy()])
    for scale in (1, 2):
        largest = np.abs(model.predict(scale * X, verbose=0) - Y).max()
        assert model.evaluate(scale * X, Y, verbose=0)[1] == pytest.approx(largest**0.5, rel=1e-5)


def test_penalties_that_layers_add_are_part_of_the_loss() -> None:
    class Penalty(keras.Layer):
        def call(self, x: Any) -> Any:
            self.add_loss(0.5 * ops.sum(x * x))
            return x

    model = build(Penalty(), loss=None)
    assert model.evaluate(X, verbose=0, batch_size=12) == pytest.approx(0.5 * (X * X).sum(), rel=1e-5)
    both = build(Penalty(), layers.Dense(3))
    alone = np.mean((both.predict(X, verbose=0) - Y) ** 2)
    assert both.evaluate(X, Y, verbose=0, batch_size=12) == pytest.approx(alone + 0.5 * (X * X).sum(), rel=1e-5)


SMALL = (np.arange(12).reshape(6, 2) / 10).astype("float32")


class OfEachSample(keras.Layer):
    """A penalty per sample, and one of whole numbers."""

    def call(self, x: Any) -> Any:
        self.add_loss([ops.sum(x * x, axis=-1), ops.cast(ops.shape(x)[1], "int32") * 3])
        return x


def small(*stack: Any) -> Any:
    last = layers.Dense(1, kernel_initializer="ones", use_bias=False)
    model = keras.Sequential([keras.Input((2,)), *stack, last])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def test_penalties_of_several_numbers_count_as_their_sum() -> None:
    """The losses are those of Keras 3.15.1."""
    model, y = small(OfEachSample()), SMALL.sum(1, keepdims=True)
    assert model.evaluate(SMALL, y, verbose=0) == pytest.approx(11.06)
    assert model.fit(SMALL, y, batch_size=3, shuffle=False, verbose=0).history["loss"] == pytest.approx([8.53])
    model(SMALL)
    each, whole = model.losses
    np.testing.assert_allclose(np.asarray(each), (SMALL**2).sum(1), rtol=1e-6)
    assert float(whole) == 6


def test_regularizers_may_give_several_numbers() -> None:
    """The losses are those of Keras 3.15.1."""
    regularizers: dict[str, Any] = {
        "activity_regularizer": lambda x: ops.sum(ops.square(x), axis=-1),
        "kernel_regularizer": lambda w: ops.sum(w, axis=0),
    }
    model = small(layers.Dense(2, kernel_initializer="ones", use_bias=False, **regularizers))
    y = SMALL.sum(1, keepdims=True)
    assert model.evaluate(SMALL, y, verbose=0) == pytest.approx(9.03)
    history = model.fit(SMALL, y, batch_size=3, shuffle=False, epochs=2, verbose=0).history["loss"]
    assert history == pytest.approx([8.75206, 7.12639], abs=1e-5)


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "error", "text"),
    [
        (keras.losses.MeanSquaredError(reduction=None), ShapeError, "training needs one number. Give it a reduction"),
        (lambda y, p: np.mean((y - p) ** 2), TraceError, "Use seqc.ops functions instead of NumPy"),
        (lambda y, p: None, TraceError, "does not depend on the predictions"),
        (lambda y, p: ops.mean(y), TraceError, "does not depend on the predictions"),
    ],
)
def test_losses_that_are_no_tensor_of_numbers_are_refused(loss: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        build(layers.Dense(3), loss=loss).fit(X, Y, verbose=0)


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": lambda y, p: np.mean((y - p) ** 2)},
        {"metrics": [lambda y, p: np.mean(np.abs(y - p))]},
    ],
)
def test_a_loss_in_numpy_is_an_error_whether_or_not_it_is_to_run_eagerly(settings: dict[str, Any]) -> None:
    said = r"compile\(run_eagerly=True\) does not change that: in seqc a step is always traced"
    with pytest.raises(TraceError, match=f"Use seqc.ops functions instead of NumPy .*{said}"):
        build(layers.Dense(3), run_eagerly=True, **settings).fit(X, Y, verbose=0)
    with pytest.raises(TraceError, match=r"on tensors\.$"):
        build(layers.Dense(3), **settings).fit(X, Y, verbose=0)


def test_nothing_to_minimize_is_an_error() -> None:
    with pytest.raises(ConfigError, match="There is nothing to minimize"):
        build(layers.Dense(3), loss=None).fit(X, verbose=0)


def test_nothing_to_train_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="has nothing to train: no layer with trainable weights"):
        build(layers.Activation("relu")).fit(X, X, verbose=0)


class Twice(keras.Model):
    """Calls one layer, with a penalty on what it gives, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(3, activity_regularizer=keras.regularizers.L2(0.1), kernel_initializer="ones")

    def call(self, x: Any) -> Any:
        return self.dense(self.dense(x))


class OwnStep(Twice):
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


@pytest.mark.parametrize("kind", [Twice, OwnStep])
def test_the_penalties_of_both_calls_of_a_shared_layer_count(kind: type[Twice]) -> None:
    model = kind()
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x = np.ones((1, 3), "float32")
    once, twice = np.full(3, 3.0), np.full(3, 9.0)
    expected = 0.1 * (np.sum(once**2) + np.sum(twice**2)) + np.mean(twice**2)
    assert model.train_on_batch(x, np.zeros((1, 3), "float32")) == pytest.approx(expected)


class Adds(layers.Layer):
    """Adds its number to the losses, has a penalty on its weight, and may have a layer inside that does the same."""

    def __init__(self, number: float, inner: Any = None) -> None:
        super().__init__()
        self.number, self.inner = number, inner

    def build(self, input_shape: Any) -> None:
        self.k = self.add_weight((), initializer="ones", regularizer=keras.regularizers.L2(self.number / 10))

    def call(self, x: Any) -> Any:
        if self.inner is not None:
            x = self.inner(x)
        self.add_loss(ops.mean(x) * 0 + self.number)
        return x * self.k


def losses_of(layer: Any) -> list[float]:
    return [round(float(loss), 4) for loss in layer.losses]


def test_each_layer_has_what_it_added_in_the_last_call_on_arrays_before_penalties() -> None:
    shared = Adds(2)
    outer, other = Adds(3, Adds(5, shared)), Adds(7, shared)
    x = np.ones((2, 4), "float32")
    for _ in range(2):
        outer(x)
        assert losses_of(outer) == [3, 5, 2, 0.3, 0.5, 0.2]
        assert losses_of(outer.inner) == [5, 2, 0.5, 0.2]
        assert losses_of(shared) == [2, 0.2]
    other(x)
    assert losses_of(other) == [7, 2, 0.7, 0.2]
    assert losses_of(shared) == [2, 0.2]
    twice = keras.Sequential([keras.Input((4,)), shared, layers.Dense(2, activity_regularizer="l1"), shared])
    twice(x)
    assert len(twice.losses) == 4
    assert losses_of(shared) == [2, 2, 0.2]
    assert len(twice.layers[1].losses) == 1


def test_losses_of_layers_inside_train_as_they_are_shown() -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = keras.Sequential([Adds(2), Adds(3)])

        def call(self, x: Any) -> Any:
            return self.encoder(x)

        def train_step(self, data: Any) -> Any:
            x, _ = data
            self(x, training=True)
            return {"inner": sum(self.encoder.losses[:2]), "first": self.encoder.layers[0].losses[0]}

    model, x = Own(), np.ones((4, 2), "float32")
    model.compile("sgd")
    history = model.fit(x, x, verbose=0).history
    assert (history["inner"], history["first"]) == ([5.0], [2.0])
    model(x)
    assert losses_of(model.encoder) == [2, 3, 0.2, 0.3]
    assert losses_of(model) == losses_of(model.encoder)
