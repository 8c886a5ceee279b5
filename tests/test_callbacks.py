"""Callbacks: the moments they are called at, and those that stop a training, as Keras 3.15 does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.callback_runs import Fake, X, Y, model
from seqc import callbacks
from seqc.callbacks.monitor import higher_is_better
from seqc.errors import ConfigError, NonFiniteError
from seqc.losses.named import FUNCTIONS


class Spy(callbacks.Callback):
    """Writes down every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, list[str]]] = []


def _spying(hook: str) -> Any:
    def method(self: Spy, *arguments: Any, logs: Any = None) -> None:
        *number, given = (*arguments, logs) if logs is not None else arguments
        self.calls.append((hook.removeprefix("on_"), number[0] if number else None, list(given)))

    return method


for _name in dir(callbacks.Callback):
    if _name.startswith("on_") and not _name.startswith("on_batch"):
        setattr(Spy, _name, _spying(_name))


# -- moments -----------------------------------------------------------------------------------------------------------


def test_fit_calls_every_moment_in_order_with_sorted_logs() -> None:
    spy = Spy()
    model(metrics=["mae"]).fit(X, Y, batch_size=8, verbose=0, validation_data=(X, Y), callbacks=[spy])
    logs = ["loss", "mae"]
    assert spy.calls == [
        ("train_begin", None, []),
        ("epoch_begin", 0, []),
        ("train_batch_begin", 0, []),
        ("train_batch_end", 0, logs),
        ("train_batch_begin", 1, []),
        ("train_batch_end", 1, logs),
        ("test_begin", None, []),
        ("test_batch_begin", 0, []),
        ("test_batch_end", 0, logs),
        ("test_batch_begin", 1, []),
        ("test_batch_end", 1, logs),
        ("test_end", None, logs),
        ("epoch_end", 0, [*logs, "val_loss", "val_mae"]),
        ("train_end", None, [*logs, "val_loss", "val_mae"]),
    ]


def test_evaluate_and_predict_call_theirs() -> None:
    spy = Spy()
    trained = model()
    trained.evaluate(X, Y, batch_size=10, verbose=0, callbacks=[spy])
    trained.predict(X, batch_size=10, verbose=0, callbacks=spy)
    assert [(hook, number) for hook, number, _ in spy.calls if "batch" in hook] == [
        (f"{kind}_batch_{end}", i) for kind in ("test", "predict") for i in (0, 1) for end in ("begin", "end")
    ]
    assert spy.calls[-2] == ("predict_batch_end", 1, ["outputs"])
    assert spy.calls[-1] == ("predict_end", None, [])


def test_batch_logs_are_the_running_means_of_the_epoch() -> None:
    seen: list[float] = []
    spy = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    still = model(keras.optimizers.SGD(0.0))
    history = still.fit(X, Y, batch_size=4, shuffle=False, verbose=0, callbacks=[spy]).history
    each = (still.predict(X, verbose=0) - Y) ** 2
    np.testing.assert_allclose(seen, [each[: 4 * (i + 1)].mean() for i in range(4)], rtol=1e-5)
    assert seen[-1] == history["loss"][0]


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_batch_end"])
def test_the_older_name_of_a_moment_is_called_once_too(hook: str) -> None:
    seen: list[int] = []
    kind = type("Old", (callbacks.Callback,), {hook: lambda self, batch, logs=None: seen.append(batch)})
    model().fit(X, Y, batch_size=8, verbose=0, callbacks=[kind()])
    assert seen == [0, 1]


def test_a_moment_that_is_overridden_is_called_in_place_of_its_older_name() -> None:
    seen: list[str] = []

    class Both(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append("new")

        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append("old")

    model().fit(X, Y, batch_size=16, verbose=0, callbacks=[Both()])
    assert seen == ["new"]


def test_callbacks_know_the_model_and_the_parameters_of_the_run() -> None:
    spy = callbacks.Callback()
    trained = model()
    history = trained.fit(X, Y, batch_size=5, epochs=2, verbose=0, callbacks=[spy])
    assert spy.model is trained
    assert spy.params == history.params == {"verbose": 0, "epochs": 2, "steps": 4}
    assert trained.history is history


def test_what_a_callback_adds_to_the_logs_is_recorded() -> None:
    history = model().fit(X, Y, epochs=2, verbose=0, callbacks=[Fake(extra=[1.5, 2.5])]).history
    assert history["extra"] == [1.5, 2.5]


def test_a_given_history_is_the_one_returned_and_goes_on() -> None:
    mine, trained = callbacks.History(), model()
    assert trained.fit(X, Y, epochs=2, verbose=0, callbacks=[mine]) is mine
    trained.fit(X, Y, epochs=4, initial_epoch=2, verbose=0, callbacks=[mine])
    assert mine.epoch == [2, 3]
    assert len(mine.history["loss"]) == 4


def test_callbacks_come_in_lists_of_lists() -> None:
    spies = [callbacks.Callback() for _ in range(3)]
    several = callbacks.CallbackList([spies[0], [spies[1]]])
    several.append(spies[2])
    trained = model()
    trained.fit(X, Y, verbose=0, callbacks=several)
    assert all(spy.model is trained for spy in spies)


@pytest.mark.parametrize("given", [callbacks.Callback, "history", 3, [callbacks.Callback(), None, object()]])
def test_what_is_no_callback_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="callbacks must be instances of seqc.callbacks.Callback; got"):
        model().fit(X, Y, verbose=0, callbacks=given)


def test_a_lambda_for_an_unknown_moment_is_refused() -> None:
    with pytest.raises(ConfigError, match="knows no moment 'on_epoch_over'"):
        callbacks.LambdaCallback(on_epoch_over=print)


# -- stopping ----------------------------------------------------------------------------------------------------------


class StopAt(callbacks.Callback):
    def __init__(self, hook: str, number: int) -> None:
        def stop(at: int, logs: Any = None) -> None:
            if at == number:
                self.model.stop_training = True

        setattr(self, hook, stop)


@pytest.mark.parametrize(
    ("hook", "number", "steps", "epochs"),
    [
        ("on_train_batch_end", 1, 2, [0]),
        ("on_train_batch_begin", 1, 2, [0]),
        ("on_epoch_begin", 0, 1, [0]),
        ("on_epoch_begin", 1, 5, [0, 1]),
        ("on_epoch_end", 1, 8, [0, 1]),
    ],
)
def test_stop_training_ends_after_the_batch_and_still_validates(
    hook: str, number: int, steps: int, epochs: list[int]
) -> None:
    trained = model()
    history = trained.fit(
        X, Y, batch_size=4, epochs=5, verbose=0, validation_data=(X, Y), callbacks=[StopAt(hook, number)]
    )
    assert int(trained.optimizer.iterations) == steps
    assert history.epoch == epochs
    assert len(history.history["val_loss"]) == len(epochs)


class StopsOthers(callbacks.Callback):
    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.model.stop_evaluating = batch == 1

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self.model.stop_predicting = batch == 1


def test_evaluations_and_predictions_are_stopped_too() -> None:
    trained, stop = model(), StopsOthers()
    size = len(X) // 4
    whole = trained.evaluate(X[: 2 * size], Y[: 2 * size], batch_size=size, verbose=0)
    assert trained.evaluate(X, Y, batch_size=size, verbose=0, callbacks=[stop]) == whole
    assert trained.predict(X, batch_size=size, verbose=0, callbacks=[stop]).shape[0] == 2 * size
    assert (trained.stop_evaluating, trained.stop_predicting) == (True, True)
    assert trained.predict(X, batch_size=size, verbose=0).shape[0] == len(X)
    assert trained.evaluate(X, Y, batch_size=size, verbose=0) != whole


class ByOwnValue(callbacks.EarlyStopping):
    def __init__(self) -> None:
        super().__init__(monitor="loss", patience=1, mode="min")
        self.asked: list[float] = []  # not there yet where __init__ called a hook of this class

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        self.asked.clear()

    def get_monitor_value(self, logs: Any) -> float:
        self.asked.append(1.0)
        return float(len(self.asked))  # always worse


class NeverBetter(callbacks.ReduceLROnPlateau):
    def __init__(self) -> None:
        super().__init__(monitor="loss", patience=1, factor=0.5)
        self.begun = False

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        self.begun = self.model is not None

    def _is_improvement(self, monitor_value: float, reference_value: float | None) -> bool:
        return reference_value is None


def test_callbacks_are_overridden_by_keras_names() -> None:
    assert len(model().fit(X, Y, epochs=8, verbose=0, callbacks=[ByOwnValue()]).history["loss"]) == 2
    rates = model().fit(X, Y, epochs=3, verbose=0, callbacks=[own := NeverBetter()]).history["learning_rate"]
    assert own.begun
    np.testing.assert_allclose(rates, [rates[0], rates[0], rates[0] / 2])


def test_callbacks_read_the_history_of_their_run() -> None:
    seen: list[Any] = []
    trained: Any = model()
    watch = callbacks.LambdaCallback(
        on_train_begin=lambda logs: seen.append(dict(trained.history.history)),
        on_epoch_begin=lambda epoch, logs: seen.append(len(trained.history.history.get("loss", []))),
        note="kept",
    )
    assert watch.note == "kept"  # type: ignore[attr-defined]
    for _ in range(2):
        seen.clear()
        history = trained.fit(X, Y, epochs=2, verbose=0, callbacks=[watch])
        assert seen == [{}, 0, 1]
        assert trained.history is history


def test_options_of_older_plateaus_are_ignored_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="ReduceLROnPlateau ignores epsilon"):
        callbacks.ReduceLROnPlateau(epsilon=0.1)


def test_stop_training_is_forgotten_by_the_next_fit() -> None:
    trained = model()
    trained.stop_training = True
    assert trained.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]


@pytest.mark.parametrize(
    ("options", "values", "epochs", "best"),
    [
        ({"patience": 0}, [3.0, 2.0, 2.0, 1.0], 3, 1),
        ({"patience": 1}, [3.0, 2.0, 2.5, 1.0, 1.0, 1.0], 3, 1),
        ({"patience": 2}, [3.0, 2.0, 2.5, 1.0, 1.0, 1.0], 6, 3),
        ({"patience": 2}, [1.0, 2.0, 2.0, 2.0, 2.0], 3, 0),
        ({"patience": 0}, [1.0, 2.0, 3.0], 2, 0),
        ({"patience": 1, "min_delta": 0.5}, [3.0, 2.8, 2.6, 2.4], 2, 0),
        ({"patience": 1, "mode": "max"}, [1.0, 2.0, 1.5, 1.5, 3.0], 3, 1),
        # A best value that does not beat the baseline does not reset the patience.
        ({"patience": 2, "baseline": 1.0}, [3.0, 2.0, 2.5, 0.5, 0.4], 3, 1),
        ({"patience": 0, "start_from_epoch": 2}, [1.0, 2.0, 3.0, 4.0, 5.0], 4, 2),
    ],
)
def test_early_stopping_counts_as_keras_does(
    options: dict[str, Any], values: list[float], epochs: int, best: int
) -> None:
    stop = callbacks.EarlyStopping("m", **({"mode": "min"} | options))
    history = model().fit(X, Y, epochs=len(values), verbose=0, callbacks=[Fake(m=values), stop])
    assert len(history.epoch) == epochs
    assert stop.stopped_epoch == epochs - 1
    assert (stop.best_epoch, stop.best) == (best, values[best])


def test_early_stopping_restores_the_best_weights_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    trained, seen = model(), []
    keep = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(trained.get_weights()))
    stop = callbacks.EarlyStopping("m", mode="min", patience=1, restore_best_weights=True, verbose=1)
    trained.fit(X, Y, epochs=4, verbose=0, callbacks=[Fake(m=[2.0, 1.0, 3.0, 3.0]), keep, stop])
    for restored, best in zip(trained.get_weights(), seen[1], strict=True):
        np.testing.assert_array_equal(restored, best)
    assert capsys.readouterr().out == (
        "Epoch 3: early stopping\nRestoring model weights from the end of the best epoch: 2.\n"
    )


@pytest.mark.parametrize(
    ("metric", "monitor", "values", "stops"),
    [
        (None, "loss", [1.0, 2.0], True),
        ("mae", "mae", [1.0, 2.0], True),
        ("accuracy", "val_accuracy", [1.0, 2.0, 1.5], True),
        ("accuracy", "accuracy", [1.0, 2.0], False),
        (keras.losses.mean_squared_error, "mean_squared_error", [1.0, 2.0], True),
    ],
)
def test_a_known_metric_tells_which_way_is_better(metric: Any, monitor: str, values: list[float], stops: bool) -> None:
    trained = model(metrics=[metric] if metric else None)
    stop = callbacks.EarlyStopping(monitor)
    trained.fit(X, Y, epochs=len(values), verbose=0, callbacks=[Fake(**{monitor: values}), stop])
    assert trained.stop_training is stops


def test_an_own_metric_may_say_which_way_is_better() -> None:
    class Rising(keras.metrics.MeanAbsoluteError):
        _direction = "up"

    trained = model(metrics=[Rising(name="rising")])
    trained.fit(X, Y, epochs=2, verbose=0, callbacks=[Fake(rising=[1.0, 2.0]), callbacks.EarlyStopping("rising")])
    assert not trained.stop_training


@pytest.mark.parametrize(
    "watch", [callbacks.EarlyStopping, callbacks.ReduceLROnPlateau], ids=lambda kind: str(kind.__name__)
)
def test_watching_what_there_is_not_says_what_there_is(watch: Any) -> None:
    for mode in ("auto", "min"):
        with pytest.raises(ConfigError, match="watches monitor='val_los', .* no such metric .* there are loss, mae"):
            model(metrics=["mae"]).fit(X, Y, verbose=0, callbacks=watch(monitor="val_los", mode=mode))
    with pytest.raises(ConfigError, match="'val_loss', .* there is loss. Give fit\\(\\) validation_data"):
        model().fit(X, Y, verbose=0, callbacks=watch())


def test_a_metric_that_a_callback_before_logs_may_be_watched() -> None:
    stop = callbacks.EarlyStopping("m", mode="min")
    model().fit(X, Y, epochs=2, verbose=0, callbacks=[Fake(m=[2.0, 1.0]), stop])
    with pytest.raises(ConfigError, match="A callback of your own that adds it to the logs must come before"):
        model().fit(X, Y, epochs=2, verbose=0, callbacks=[stop, Fake(m=[2.0, 1.0])])
    rate = callbacks.LearningRateScheduler(lambda epoch: 0.1)
    model().fit(X, Y, verbose=0, callbacks=[rate, callbacks.EarlyStopping("learning_rate", mode="min")])


def test_a_run_without_epochs_asks_for_no_validation() -> None:
    stop = callbacks.EarlyStopping()
    trained = model()
    trained.fit(X, Y, epochs=2, initial_epoch=2, validation_data=(X, Y), verbose=0, callbacks=stop)
    with pytest.raises(ConfigError, match="watches monitor='val_loss'"):
        trained.fit(X, Y, epochs=2, validation_data=(X, Y), validation_freq=[5], verbose=0, callbacks=stop)


def test_a_metric_that_does_not_say_which_way_is_better_is_refused_before_training() -> None:
    trained = model(metrics=[keras.metrics.TruePositives(name="true_positives")])
    before = trained.get_weights()
    with pytest.raises(ConfigError, match="monitor=true_positives, .* Pass `mode='max'`"):
        trained.fit(X, Y, verbose=0, callbacks=callbacks.EarlyStopping("true_positives"))
    assert all(np.array_equal(a, b) for a, b in zip(before, trained.get_weights(), strict=True))


def test_a_metric_that_is_an_array_of_one_number_can_be_watched(tmp_path: Path) -> None:
    """The numbers are those of Keras 3.15.1."""
    x = (np.arange(12).reshape(6, 2) / 10).astype("float32")
    y = (x.sum(1, keepdims=True) > 1).astype("float32")
    trained = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, "sigmoid", kernel_initializer="ones")])
    score = keras.metrics.F1Score(threshold=0.5)
    trained.compile(keras.optimizers.SGD(0.1), "binary_crossentropy", metrics=[score])
    watching = [
        callbacks.EarlyStopping("val_f1_score", patience=1),
        callbacks.ReduceLROnPlateau("f1_score", factor=0.5, patience=1, mode="max"),
        callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", "val_f1_score", save_best_only=True),
    ]
    history = trained.fit(x, y, epochs=9, verbose=0, validation_data=(x, y), callbacks=watching).history
    np.testing.assert_allclose(history["f1_score"], [[0.6666666]] * 2)
    np.testing.assert_allclose(history["learning_rate"], [0.1, 0.1])
    assert float(trained.optimizer.learning_rate) == pytest.approx(0.05)
    assert [file.name for file in tmp_path.iterdir()] == ["1.keras"]


def test_a_metric_of_several_numbers_cannot_be_watched() -> None:
    trained = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    trained.compile("sgd", "mse", metrics=[keras.metrics.F1Score(name="f1")])
    with pytest.raises(ConfigError, match="watches monitor='f1', which is 2 numbers and not one. Give .* an average"):
        trained.fit(X, X, verbose=0, callbacks=callbacks.EarlyStopping("f1"))


@pytest.mark.parametrize("prefix", ["", "val_"])
def test_of_every_loss_and_error_less_is_better_and_of_every_score_more(prefix: str) -> None:
    unsure = {"Mean", "MeanMetricWrapper", "Metric", "Sum", "TrueNegatives", "TruePositives"}
    unsure |= {"FalseNegatives", "FalsePositives"}
    scores = "AUC Accuracy Concordance CosineSimilarity F1Score FBeta IoU Pearson Precision R2Score Recall S.*yAtS.*y"
    arguments = {"IoU": (2, [0]), "MeanIoU": (2,), "OneHotIoU": (2, [0]), "OneHotMeanIoU": (2,)}
    for name in keras.metrics.__all__:
        if name[0].isupper() and name not in unsure:
            needs_rate = re.search("At", name) is not None
            metric = getattr(keras.metrics, name)(*arguments.get(name, (0.5,) if needs_rate else ()))
            expected = any(re.search(score, name) for score in scores.split())
            assert higher_is_better(prefix + metric.name, {metric.name: metric}) is expected, name
    for name, function in FUNCTIONS.items():
        wrapped = keras.metrics.resolve(function, (None, 2), (None, 2))
        assert higher_is_better(prefix + wrapped.name, {wrapped.name: wrapped}) is False, name
    for name in ("mse", "MSE", "mae", "mape", "msle", "bce", "loss", "crossentropy", "ce"):
        metric = keras.metrics.Mean() if name == "loss" else keras.metrics.resolve(name, (None, 2), (None, 2))
        assert higher_is_better(prefix + name, {name: metric}) is False, name
    for name in ("acc", "accuracy", "binary_accuracy", "top_k_categorical_accuracy", "cosine_similarity"):
        assert higher_is_better(prefix + name, {name: keras.metrics.resolve(name, (None, 2), (None, 2))}) is True, name
    for name in keras.metrics.__all__:
        if name.endswith("accuracy"):
            wrapped = keras.metrics.resolve(getattr(keras.metrics, name), (None, 2), (None, 2))
            assert higher_is_better(prefix + wrapped.name, {wrapped.name: wrapped}) is True, name


def test_an_unknown_mode_falls_back_to_auto() -> None:
    with pytest.warns(UserWarning, match="EarlyStopping mode 'best' is unknown, fallback to auto mode"):
        assert callbacks.EarlyStopping(mode="best").mode == "auto"


# -- losses that are no numbers ----------------------------------------------------------------------------------------


def with_nan() -> np.ndarray[Any, Any]:
    x = X.copy()
    x[9] = np.nan
    return x


def test_terminate_on_nan_stops_at_once_and_says_the_batch(capsys: pytest.CaptureFixture[str]) -> None:
    trained = model()
    with pytest.warns(UserWarning, match="loss became nan"):
        history = trained.fit(
            with_nan(), Y, batch_size=4, shuffle=False, epochs=3, verbose=0, callbacks=[callbacks.TerminateOnNaN()]
        )
    assert int(trained.optimizer.iterations) == 3
    assert history.epoch == [0]
    assert capsys.readouterr().out == "Epoch 1, batch 2: the loss is nan, terminating training.\n"


def test_terminate_on_nan_can_raise() -> None:
    with (
        pytest.warns(UserWarning, match="loss became nan"),
        pytest.raises(NonFiniteError, match="Epoch 1, batch 0: the loss is nan"),
    ):
        model().fit(with_nan(), Y, verbose=0, callbacks=[callbacks.TerminateOnNaN(raise_error=True)])
