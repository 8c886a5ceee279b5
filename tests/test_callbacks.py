"""Callbacks, held to the numbers that Keras gives for the same training."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

import seqc as keras
from seqc import layers
from seqc.errors import ConfigError

X = np.linspace(-1, 1, 32, dtype="float32").reshape(16, 2)
Y = X.sum(1, keepdims=True)


def model(optimizer: object = "sgd") -> keras.Sequential:
    made = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    made.set_weights([np.array([[0.5], [-1.0]], "float32"), np.zeros(1, "float32")])
    made.compile(optimizer, "mse")
    return made


class Fake(keras.callbacks.Callback):
    """Puts made-up values into the logs, before the callbacks that come after it."""

    def __init__(self, **values: list[float]) -> None:
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        logs.update({name: numbers[epoch] for name, numbers in self.values.items()})


def test_a_scheduler_sets_the_rate_of_every_epoch_and_logs_it(capsys):
    def schedule(epoch, rate):
        return rate if epoch < 2 else rate * math.exp(-0.1)

    history = model().fit(
        X, Y, epochs=4, verbose=0, callbacks=[keras.callbacks.LearningRateScheduler(schedule, verbose=1)]
    )
    assert np.allclose(history.history["learning_rate"], [0.01, 0.01, 0.009048374, 0.008187308], rtol=1e-6)
    assert "Epoch 1: LearningRateScheduler setting learning rate to 0.00999" in capsys.readouterr().out


def test_a_scheduler_may_take_the_epoch_alone():
    history = model().fit(
        X, Y, epochs=2, verbose=0, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1))]
    )
    assert history.history["learning_rate"] == [0.5, 0.25]


def test_the_rate_that_a_scheduler_sets_is_the_one_trained_with():
    still = model()
    before = still.get_weights()
    still.fit(X, Y, verbose=0, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.0)])
    assert all(np.array_equal(a, b) for a, b in zip(before, still.get_weights(), strict=True))


def test_a_scheduler_that_returns_no_number_is_refused():
    with pytest.raises(ConfigError, match="must return a number; got None for epoch 0"):
        model().fit(X, Y, verbose=0, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: None)])


def test_a_plateau_lowers_the_rate_after_patience_and_rests_in_the_cooldown():
    watch = keras.callbacks.ReduceLROnPlateau(monitor="m", factor=0.5, patience=2, cooldown=2, min_lr=0.002)
    values = Fake(m=[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5])
    history = model().fit(X, Y, epochs=10, verbose=0, callbacks=[values, watch])
    # As Keras 3.15 logs it: each epoch with the rate it was trained at.
    wanted = [0.01, 0.01, 0.01, 0.005, 0.005, 0.005, 0.0025, 0.0025, 0.0025, 0.0025]
    assert np.allclose(history.history["learning_rate"], wanted, rtol=1e-6)


def test_a_plateau_factor_of_one_is_refused():
    with pytest.raises(ConfigError, match="factor >= 1.0"):
        keras.callbacks.ReduceLROnPlateau(factor=1.0)


def test_a_checkpoint_keeps_the_best_model_only(tmp_path: Path, capsys):
    path = tmp_path / "new" / "best.keras"
    trained = model()
    seen = []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(trained.get_weights()))
    keep = keras.callbacks.ModelCheckpoint(path, monitor="val_accuracy", save_best_only=True, verbose=1)
    trained.fit(X, Y, epochs=3, verbose=0, callbacks=[Fake(val_accuracy=[0.1, 0.3, 0.2]), note, keep])
    assert np.array_equal(keras.models.load_model(path).get_weights()[0], seen[1][0])
    said = capsys.readouterr().out
    assert "Epoch 2: val_accuracy improved from 0.10000 to 0.30000, saving model to" in said
    assert "Epoch 3: val_accuracy did not improve from 0.30000" in said


def test_a_checkpoint_fills_epoch_and_metrics_into_the_name(tmp_path: Path):
    keep = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch:02d}-{m:.1f}.weights.h5", save_weights_only=True)
    model().fit(X, Y, epochs=2, verbose=0, callbacks=[Fake(m=[0.5, 0.25]), keep])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["01-0.5.weights.h5", "02-0.2.weights.h5"]


def test_a_checkpoint_counts_batches_across_epochs(tmp_path: Path):
    keep = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}.keras", save_freq=3)
    model().fit(X, Y, epochs=2, batch_size=4, verbose=0, callbacks=keep)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1-3.keras", "2-2.keras"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filepath": "m.h5"}, "must end in .keras"),
        ({"filepath": "m.keras", "save_weights_only": True}, "must end in .weights.h5"),
        ({"filepath": "m.keras", "save_freq": 0}, "number of batches; got 0"),
        ({"filepath": "m.keras", "mode": "best"}, "ModelCheckpoint mode must be"),
    ],
)
def test_a_checkpoint_refuses_what_it_cannot_do(options, message):
    with pytest.raises(ConfigError, match=message):
        keras.callbacks.ModelCheckpoint(**options)


def test_a_checkpoint_names_the_metrics_it_knows(tmp_path: Path):
    keep = keras.callbacks.ModelCheckpoint(tmp_path / "{acc}.keras")
    with pytest.raises(ConfigError, match=r"cannot fill 'acc' .* It knows: epoch, loss"):
        model().fit(X, Y, verbose=0, callbacks=keep)


def test_a_log_holds_one_line_per_epoch_and_goes_on(tmp_path: Path):
    path = tmp_path / "log.csv"
    trained = model()
    for append in (False, True):
        trained.fit(
            X, Y, epochs=2, verbose=0, validation_data=(X, Y), callbacks=keras.callbacks.CSVLogger(path, append=append)
        )
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "0", "1"]
    assert list(rows[0]) == ["epoch", "loss", "val_loss"]
    assert float(rows[0]["loss"]) > float(rows[3]["loss"])


def test_watching_what_there_is_not_says_what_there_is():
    stop = keras.callbacks.EarlyStopping(monitor="val_los")
    with pytest.warns(UserWarning, match="EarlyStopping watches 'val_los', which is not available. Available: loss"):
        model().fit(X, Y, epochs=2, verbose=0, callbacks=stop)
