"""What programs of their own rely on in callbacks and optimizers. Numbers are those of Keras 3.15, or of float64."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import callbacks, ops, optimizers

X = np.cos(np.arange(12.0)).reshape(6, 2)
Y = np.sin(np.arange(6.0)).reshape(6, 1)


def small(optimizer: Any = "sgd") -> keras.Sequential:
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones", name="d")])
    made.compile(optimizer, "mse")
    return made


@pytest.fixture
def double() -> Iterator[None]:
    policy = keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy(policy)


# -- callbacks ---------------------------------------------------------------------------------------------------------


class Stops(callbacks.Callback):
    def __init__(self, where: str) -> None:
        self.where = where
        self.met: list[str] = []

    def _meet(self, moment: str) -> None:
        self.met.append(moment)
        if moment == self.where:
            self.model.stop_training = True

    def on_train_begin(self, logs: Any = None) -> None:
        self._meet("begin")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._meet("epoch")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._meet("batch")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._meet("end")


@pytest.mark.parametrize("where", ["begin", "epoch", "batch"])
def test_training_that_is_stopped_ends_its_first_batch_and_epoch(where: str) -> None:
    watch = Stops(where)
    found = small().fit(X, Y, batch_size=2, epochs=3, verbose=0, callbacks=[watch])
    assert watch.met == ["begin", "epoch", "batch", "end"]
    assert len(found.history["loss"]) == 1


def test_logs_of_a_loop_of_ones_own_are_numbers(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    watching = [
        callbacks.CSVLogger(tmp_path / "log.csv"),
        callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(dict(logs))),
    ]
    told = callbacks.CallbackList(watching, model=small(), add_history=True)
    told.on_train_begin()
    extra = {"p": np.float32(0.5), "q": ops.convert_to_tensor(2)}
    told.on_epoch_end(0, {"loss": ops.convert_to_tensor(1.25), "extra": extra, "each": np.array([1.0, 2.0])})
    told.on_train_end()
    each = seen[0].pop("each")
    assert each.tolist() == [1.0, 2.0]
    assert seen[0] == {"loss": 1.25, "p": 0.5, "q": 2.0}
    assert {type(value) for value in seen[0].values()} == {float}
    header, line = (tmp_path / "log.csv").read_text().splitlines()
    assert header.split(",")[:5] == ["epoch", "each", "loss", "p", "q"]
    assert line.split(",")[-7:] == ["1.25", "0.5", "2.0", *["NA"] * 4]


def test_what_a_subclass_saves_instead_is_called() -> None:
    class Own(callbacks.ModelCheckpoint):
        def _save_model(self, epoch: int, batch: int | None, logs: Any) -> None:
            saved.append((epoch, batch, sorted(logs)))

    saved: list[Any] = []
    small().fit(X, Y, epochs=2, verbose=0, callbacks=[Own("never.keras")])
    small().fit(X, Y, epochs=1, batch_size=2, verbose=0, callbacks=[Own("never.keras", save_freq=2)])
    assert saved == [(0, None, ["loss"]), (1, None, ["loss"]), (0, 1, ["loss"])]


@pytest.mark.parametrize(
    ("mode", "monitor", "values", "better"),
    [
        ("auto", "loss", [3.0, 2.8, 2.0, 1.9], [True, False, True, False]),
        ("max", "score", [3.0, 3.2, 4.0, 4.1], [True, False, True, False]),
        ("min", "score", [3.0, 2.8, 2.0, 1.9], [True, False, True, False]),
    ],
)
def test_a_subclass_compares_as_keras_does(mode: str, monitor: str, values: list[float], better: list[bool]) -> None:
    class Own(callbacks.EarlyStopping):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if self.monitor_op is None:
                self._set_monitor_op()
            value = logs[self.monitor]
            found.append(self.best is None or bool(self.monitor_op(value - self.min_delta, self.best)))
            super().on_epoch_end(epoch, logs)

    found: list[bool] = []
    watch = Own(monitor, mode=mode, min_delta=0.5, patience=9)
    watch.set_model(small())
    watch.on_train_begin()
    for epoch, value in enumerate(values):
        watch.on_epoch_end(epoch, {monitor: value})
    assert found == better


def test_a_model_that_is_not_compiled_may_be_given_an_optimizer() -> None:
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    made.optimizer = optimizers.SGD(0.5)
    watch = callbacks.ReduceLROnPlateau("loss", patience=0, factor=0.5, mode="min")
    watch.set_model(made)
    watch.on_train_begin()
    for epoch in range(3):
        watch.on_epoch_end(epoch, {"loss": 3.0})
    assert float(made.optimizer.learning_rate) == 0.125
    made.compile("adam", "mse")
    assert isinstance(made.optimizer, optimizers.Adam)


def test_runs_that_begin_in_one_second_keep_what_each_wrote_for_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    made = small()
    for first in (0, 2):
        board = callbacks.TensorBoard(tmp_path, write_graph=False)
        made.fit(X, Y, initial_epoch=first, epochs=first + 2, verbose=0, validation_data=(X, Y), callbacks=[board])
        made.evaluate(X, Y, verbose=0, callbacks=[board])
    for part in ("train", "validation"):
        data = [path.read_bytes() for path in sorted((tmp_path / part).iterdir())]
        assert len(data) >= 2
        assert b"".join(data).count(b"epoch_loss") == 4


# -- optimizers --------------------------------------------------------------------------------------------------------

# What the gradients are; what the weights are afterwards.
HUGE = [([np.inf, 1.0], np.nan), ([1e25, 1.0], np.nan), ([np.nan, 1.0], np.nan), ([1e-30, 0.0], 1.0)]


@pytest.mark.parametrize(("gradient", "first"), HUGE)
def test_a_norm_of_all_that_is_no_number_shows_in_all_weights(gradient: list[float], first: float) -> None:
    a, b = keras.Variable([1.0, 2.0]), keras.Variable([3.0, 4.0])
    optimizers.SGD(0.1, global_clipnorm=1.0).apply([np.array(gradient, "float32"), np.array([0.5, 0.25], "f")], [a, b])
    found = np.concatenate([a.numpy(), b.numpy()])
    wanted = np.full(4, np.nan) if np.isnan(first) else [1.0, 2.0, 2.95, 3.975]
    assert np.allclose(found, wanted, equal_nan=True)


@pytest.mark.parametrize("scheduled", [False, True])
def test_adam_in_double_precision(double: None, scheduled: bool) -> None:
    """Against NumPy in float64: a rate of 0.1, labels or weights rounded to single would differ by 1e-8."""
    weights = np.linspace(0.1, 1.3, 6)
    rate: Any = optimizers.schedules.ExponentialDecay(0.1, 3, 0.9) if scheduled else 0.1
    made = small(optimizers.Adam(rate))
    made.fit(X, Y, sample_weight=weights, batch_size=6, epochs=5, shuffle=False, verbose=0)
    k, b = np.ones((2, 1)), np.zeros(1)
    means, squares = [0.0, 0.0], [0.0, 0.0]
    for step in range(1, 6):
        size = 0.1 * (0.9 ** ((step - 1) / 3) if scheduled else 1.0)
        error = 2 * weights[:, None] * (X @ k + b - Y) / 6
        gradients = [X.T @ error, error.sum(0)]
        for i, (p, g) in enumerate(zip((k, b), gradients, strict=True)):
            means[i] = 0.9 * means[i] + 0.1 * g
            squares[i] = 0.999 * squares[i] + 0.001 * g * g
            p -= size * np.sqrt(1 - 0.999**step) / (1 - 0.9**step) * means[i] / (np.sqrt(squares[i]) + 1e-7)
    for found, wanted in zip(made.get_weights(), (k, b), strict=True):
        assert np.allclose(found, wanted, rtol=0, atol=1e-13)
    assert made.optimizer.add_variable((), name="z").dtype == "float64"


def test_class_weights_and_own_steps_in_double_precision(double: None) -> None:
    class Sums(keras.Model):
        def train_step(self, data: Any) -> Any:
            x, y = data
            return {"x": ops.sum(x), "y": ops.sum(y)}

    asked = keras.Input((2,))
    own = Sums(asked, keras.layers.Dense(1)(asked))
    own.compile("sgd", "mse")
    found = own.fit(X / 3, Y, batch_size=6, verbose=0).history
    assert abs(found["x"][0] - (X / 3).sum()) < 1e-14
    assert abs(found["y"][0] - Y.sum()) < 1e-14
    binary = np.array([[0.0], [1.0]] * 3)
    made = small(optimizers.SGD(0.1))
    loss = made.fit(X, binary, class_weight={0: 0.1, 1: 0.7}, batch_size=6, verbose=0).history["loss"][0]
    each = ((X.sum(1) - binary[:, 0]) ** 2) * np.where(binary[:, 0] == 1, 0.7, 0.1)
    assert abs(loss - each.mean()) < 1e-14
