"""What is added up over batches, and models that compute their loss and metrics themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import callbacks, layers, metrics, ops
from seqc.errors import ConfigError, ShapeError

X = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
Y = X[:, :1] ** 2


def made(kind: type = keras.Sequential, rate: float = 0.0, **options: Any) -> Any:
    model = kind([keras.Input((3,)), layers.Dense(1, kernel_initializer="ones", kernel_regularizer="l2")])
    model.compile(keras.optimizers.SGD(rate), "mse", **({"metrics": ["mae"]} | options))
    return model


class Uses(callbacks.Callback):
    """Uses the model in the middle of its training."""

    def __init__(self, use: Any, moment: str) -> None:
        setattr(self, moment, lambda *arguments, **named: use(self.model))


@pytest.mark.slow
@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.evaluate(X * 100, Y, verbose=0),
        lambda model: model.test_on_batch(X * 100, Y),
        lambda model: model.predict(X, verbose=0),
    ],
    ids=["evaluate", "test_on_batch", "predict"],
)
@pytest.mark.parametrize("moment", ["on_train_batch_end", "on_train_batch_begin", "on_epoch_end", "on_test_batch_end"])
def test_using_the_model_in_a_callback_leaves_the_epochs_totals_alone(use: Any, moment: str) -> None:
    options = {"batch_size": 3, "epochs": 2, "shuffle": False, "verbose": 0, "validation_data": (X, Y)}
    listed = [metrics.AUC(name="auc"), metrics.F1Score("macro", 0.5, name="f1"), "mae"]
    expected = made(metrics=listed[2:], rate=0.1).fit(X, Y, **options).history
    model = made(metrics=listed, rate=0.1)
    found = model.fit(X, Y, **options, callbacks=Uses(use, moment)).history
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6)
    alone = made(metrics=[metrics.AUC(name="auc"), metrics.F1Score("macro", 0.5, name="f1")], rate=0.1)
    expected = alone.fit(X, Y, **options).history
    np.testing.assert_allclose(found["auc"], expected["auc"], rtol=1e-6)
    np.testing.assert_allclose(found["val_f1"], expected["val_f1"], rtol=1e-6)


def test_an_evaluation_in_a_callback_gives_what_it_gives_elsewhere() -> None:
    seen: list[Any] = []
    model = made()
    expected = model.evaluate(X, Y, verbose=0)
    use = Uses(lambda inner: seen.append(inner.evaluate(X, Y, verbose=0)), "on_train_batch_end")
    model.fit(X, Y, batch_size=3, verbose=0, callbacks=use)
    np.testing.assert_allclose(seen, [expected] * 3, rtol=1e-6)


def test_one_metric_given_twice_has_two_rows_with_one_number() -> None:
    metric = metrics.TruePositives(0.1, name="hits")
    hits = float(np.sum((Y[:, 0] != 0) & (X.sum(1) > 0.1)))
    history = made(metrics=[metric, metric, "mae", "mae"]).fit(X, Y, verbose=0).history
    assert sorted(history) == ["hits", "hits_1", "loss", "mae", "mae_1"]
    assert history["hits"] == history["hits_1"] == [hits]
    assert metric.name == "hits"


def test_one_metric_cannot_be_weighted_and_not() -> None:
    metric = metrics.MeanAbsoluteError()
    with pytest.raises(ConfigError, match="'mean_absolute_error' is given in `metrics` and in `weighted_metrics`"):
        made(metrics=[metric], weighted_metrics=[metric]).fit(X, Y, verbose=0)


class Doubled(keras.Sequential):
    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        return super().compute_loss(x, y, y_pred, sample_weight, training) * (2.0 if training else 3.0)


def test_a_model_may_compute_its_loss() -> None:
    plain, model = made(rate=0.1), made(Doubled, rate=0.05)
    expected = plain.evaluate(X, Y, verbose=0)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx([3 * expected[0], expected[1]])
    np.testing.assert_allclose(
        np.asarray(plain.compute_loss(X, Y, plain.predict(X, verbose=0))), expected[0], rtol=1e-6
    )
    loss = plain.fit(X, Y, epochs=3, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(
        model.fit(X, Y, epochs=3, shuffle=False, verbose=0).history["loss"], 2 * np.array(loss), rtol=1e-5
    )
    np.testing.assert_allclose(model.get_weights()[0], plain.get_weights()[0], rtol=1e-5)


def test_a_model_may_compute_a_loss_of_its_own_as_older_ones_do() -> None:
    class Own(keras.Sequential):
        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # type: ignore[override]
            penalties: Any = self.losses
            return ops.mean(ops.absolute(y - y_pred)) + sum(penalties)

    expected = float(np.abs(Y - X.sum(1, keepdims=True)).mean()) + 0.03
    assert made(Own).fit(X, Y, verbose=0).history["loss"] == pytest.approx([expected])

    class Wide(keras.Sequential):
        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # type: ignore[override]
            return ops.absolute(y - y_pred)

    with pytest.raises(ShapeError, match="The loss of a batch must be a single number; got .* Use ops.mean"):
        made(Wide).fit(X, Y, verbose=0)


class Extra(keras.Sequential):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.largest = metrics.Mean(name="largest")

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        found = super().compute_metrics(x, y, y_pred, sample_weight)
        self.largest.update_state(ops.max(y_pred, -1))
        return found | {"twice": found["mae"] * 2.0, "largest": self.largest.result()}


@pytest.mark.slow
def test_a_model_may_compute_and_log_metrics_of_its_own() -> None:
    model, plain = made(Extra), made()
    loss, mae = plain.evaluate(X, Y, verbose=0)
    mean = float(X.sum(1).mean())
    use = Uses(lambda inner: inner.evaluate(X * 100, Y, verbose=0), "on_train_batch_end")
    history = model.fit(X, Y, batch_size=3, validation_data=(X, Y), verbose=0, callbacks=use).history
    expected = {"loss": loss, "mae": mae, "twice": 2 * mae, "largest": mean}
    for name, value in expected.items():
        np.testing.assert_allclose(history[name] + history[f"val_{name}"], [value] * 2, rtol=1e-5, atol=1e-7)
    assert model.evaluate(X, Y, verbose=0, return_dict=True) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert model.train_on_batch(X, Y, return_dict=True) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    stop = callbacks.EarlyStopping("twice", mode="min")
    model.fit(X, Y, verbose=0, callbacks=stop)


def test_a_function_of_steps_of_the_models_own_is_refused_and_not_passed_over() -> None:
    kind = type("Mine", (keras.Sequential,), {"make_train_function": lambda self, *arguments: {}})
    with pytest.raises(ConfigError, match="Mine defines make_train_function, which seqc would not call.*train_step"):
        made(kind).train_on_batch(X, Y)


class FromElsewhere:
    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        return np.mean(np.asarray(y_true))


@pytest.mark.parametrize("package", ["keras.src.metrics", "sklearn.metrics", "torch.nn"])
def test_an_object_of_another_library_is_named_as_such(package: str) -> None:
    kind = type("MeanAbsoluteError", (FromElsewhere,), {"__module__": package})
    for options in ({"metrics": [kind()]}, {"loss": kind()}, {"metrics": [kind]}, {"optimizer": kind()}):
        with pytest.raises(ConfigError, match=f"belongs to {package.split('.')[0]}, .* seqc.*MeanAbs"):
            keras.Sequential().compile(**({"loss": "mse"} | options))
    with pytest.raises(ConfigError, match=f"The layer 'MeanAbsoluteError' belongs to {package.split('.')[0]}"):
        keras.Sequential([kind()])


def test_masked_steps_count_in_no_metric_in_training_as_in_evaluation() -> None:
    x = np.array([[1, 2, 3, 0], [2, 0, 0, 0], [3, 1, 0, 0]])
    y = (x % 2)[..., None].astype("float32")
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            layers.Embedding(4, 3, mask_zero=True, embeddings_initializer=keras.initializers.RandomNormal(seed=1)),
            layers.Dense(1, activation="sigmoid", kernel_initializer=keras.initializers.RandomNormal(seed=2)),
        ]
    )
    listed = [
        metrics.BinaryAccuracy(name="accuracy"),
        metrics.TruePositives(0.0, name="hits"),
        metrics.Precision(0.0, name="precision"),
    ]
    model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy", metrics=listed)
    found = model.fit(x, y, validation_data=(x, y), verbose=0).history
    predicted, kept = model.predict(x, verbose=0), x > 0
    assert found["accuracy"] == found["val_accuracy"]
    assert found["accuracy"] == pytest.approx([((predicted > 0.5) == y)[kept].mean()])
    assert found["hits"] == found["val_hits"] == [y[kept].sum()]
    assert found["precision"] == found["val_precision"] == pytest.approx([y[kept].mean()])
