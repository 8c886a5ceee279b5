"""Callbacks that change the learning rate, swap weights and write files. Numbers are those of Keras 3.15."""

from __future__ import annotations

import csv
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.callback_runs import Fake, X, Y, model
from seqc import callbacks
from seqc.errors import ConfigError

# -- learning rates ----------------------------------------------------------------------------------------------------


def test_a_scheduler_sets_the_rate_of_every_epoch_and_logs_it(capsys: pytest.CaptureFixture[str]) -> None:
    def schedule(epoch: int, rate: float) -> float:
        return rate if epoch < 2 else rate * math.exp(-0.1)

    watch = callbacks.LearningRateScheduler(schedule, verbose=1)
    history = model().fit(X, Y, epochs=4, verbose=0, callbacks=[watch])
    assert np.allclose(history.history["learning_rate"], [0.01, 0.01, 0.009048374, 0.008187308], rtol=1e-6)
    assert "Epoch 1: LearningRateScheduler setting learning rate to 0.00999" in capsys.readouterr().out


def test_a_scheduler_may_take_the_epoch_alone() -> None:
    watch = callbacks.LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1))
    assert model().fit(X, Y, epochs=2, verbose=0, callbacks=[watch]).history["learning_rate"] == [0.5, 0.25]


# Recorded from Keras: the rates of an "ad" that begins at 0.01 and of an "s" that begins at 0.1.
@pytest.mark.parametrize(
    ("watch", "ad", "s"),
    [
        (
            callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1, min_delta=10.0),
            [0.01, 0.01, 0.005, 0.0025],
            [0.1, 0.1, 0.05, 0.025],
        ),
        (
            callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5),
            [0.005, 0.0025, 0.00125, 0.000625],
            [0.05, 0.025, 0.0125, 0.00625],
        ),
        (callbacks.LearningRateScheduler(lambda epoch: 0.05 / (epoch + 1)), *[[0.05, 0.025, 0.016667, 0.0125]] * 2),
    ],
)
def test_rates_of_several_optimizers_are_set_and_logged_by_their_names(watch: Any, ad: Any, s: Any) -> None:
    several = keras.optimizers.OptimizerMap(
        keras.optimizers.SGD(0.1, name="s"), {".*bias": keras.optimizers.Adam(0.01, name="ad")}
    )
    trained = model()
    trained.compile(keras.optimizers.MultiOptimizer(several), "mse")
    found = trained.fit(X, Y, epochs=4, verbose=0, callbacks=[watch]).history
    np.testing.assert_allclose(found["learning_rate_ad"], ad, rtol=1e-4)
    np.testing.assert_allclose(found["learning_rate_s"], s, rtol=1e-4)
    assert "learning_rate" not in found


def test_the_rate_that_a_scheduler_sets_is_the_one_trained_with() -> None:
    still = model()
    before = still.get_weights()
    still.fit(X, Y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: 0.0)])
    assert all(np.array_equal(a, b) for a, b in zip(before, still.get_weights(), strict=True))


def test_a_scheduler_that_returns_no_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="`schedule` function should be a float. Got: None for epoch 0"):
        model().fit(X, Y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: None)])  # type: ignore[arg-type,return-value]


def test_a_plateau_lowers_the_rate_after_patience_and_rests_in_the_cooldown() -> None:
    watch = callbacks.ReduceLROnPlateau(monitor="m", mode="min", factor=0.5, patience=2, cooldown=2, min_lr=0.002)
    values = Fake(m=[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5])
    history = model().fit(X, Y, epochs=10, verbose=0, callbacks=[values, watch])
    # Each epoch with the rate it was trained at.
    wanted = [0.01, 0.01, 0.01, 0.005, 0.005, 0.005, 0.0025, 0.0025, 0.0025, 0.0025]
    assert np.allclose(history.history["learning_rate"], wanted, rtol=1e-6)


def test_a_plateau_stops_at_the_lowest_rate(capsys: pytest.CaptureFixture[str]) -> None:
    watch = callbacks.ReduceLROnPlateau(monitor="m", mode="min", factor=0.1, patience=1, min_lr=0.005, verbose=1)
    trained = model()
    trained.fit(X, Y, epochs=4, verbose=0, callbacks=[Fake(m=[1.0] * 4), watch])
    assert float(trained.optimizer.learning_rate) == np.float32(0.005)
    assert capsys.readouterr().out == "\nEpoch 2: ReduceLROnPlateau reducing learning rate to 0.005.\n"


def test_a_plateau_factor_of_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="factor >= 1.0"):
        callbacks.ReduceLROnPlateau(factor=1.0)


def test_averages_of_the_weights_are_evaluated_and_the_weights_come_back() -> None:
    trained = model(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9))
    trained.fit(X, Y, batch_size=4, verbose=0)
    trained.set_weights([w + 1 for w in trained.get_weights()])
    before = trained.get_weights()
    average = [trained.optimizer.slot(v, "average").numpy() for v in trained.trainable_weights]
    swap = callbacks.SwapEMAWeights()
    found = trained.evaluate(X, Y, verbose=0, callbacks=[swap])
    np.testing.assert_allclose(found, np.mean((X @ average[0] + average[1] - Y) ** 2), rtol=1e-5)
    np.testing.assert_allclose(trained.predict(X, verbose=0, callbacks=[swap]), X @ average[0] + average[1], rtol=1e-5)
    for kept, now in zip(before, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)


def test_averages_can_stay_in_the_model_between_epochs() -> None:
    trained = model(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9))
    trained.fit(X, Y, epochs=2, verbose=0, callbacks=[callbacks.SwapEMAWeights(swap_on_epoch=True)])
    for weight in trained.trainable_weights:
        np.testing.assert_array_equal(weight, trained.optimizer.slot(weight, "average"))


def test_an_optimizer_without_averages_has_none_to_swap() -> None:
    with pytest.raises(ConfigError, match="SwapEMAWeights must be used when `use_ema=True`"):
        model().evaluate(X, Y, verbose=0, callbacks=[callbacks.SwapEMAWeights()])


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_checkpoint_keeps_the_best_model_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "best.keras"
    trained = model(metrics=["accuracy"])
    seen: list[Any] = []
    note = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(trained.get_weights()))
    keep = callbacks.ModelCheckpoint(path, monitor="val_accuracy", save_best_only=True, verbose=1)
    trained.fit(X, Y, epochs=3, verbose=0, callbacks=[Fake(val_accuracy=[0.1, 0.3, 0.2]), note, keep])
    assert np.array_equal(keras.models.load_model(path).get_weights()[0], seen[1][0])
    said = capsys.readouterr().out
    assert "Epoch 2: val_accuracy improved from 0.10000 to 0.30000, saving model to" in said
    assert "Epoch 3: val_accuracy did not improve from 0.30000" in said


def test_a_checkpoint_fills_epoch_and_metrics_into_the_name(tmp_path: Path) -> None:
    keep = callbacks.ModelCheckpoint(tmp_path / "{epoch:02d}-{m:.1f}.weights.h5", save_weights_only=True)
    model().fit(X, Y, epochs=2, verbose=0, callbacks=[Fake(m=[0.5, 0.25]), keep])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["01-0.5.weights.h5", "02-0.2.weights.h5"]


def test_a_checkpoint_counts_batches_across_epochs(tmp_path: Path) -> None:
    keep = callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}.keras", save_freq=3)
    model().fit(X, Y, epochs=2, batch_size=4, verbose=0, callbacks=keep)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1-3.keras", "2-2.keras"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filepath": "m.hdf"}, "must end in `.keras`"),
        ({"filepath": "m.keras", "save_weights_only": True}, "must end in `.weights.h5`"),
        (
            {"filepath": "m.keras", "save_freq": 0},
            "Unrecognized save_freq: 0. Expected .* 'epoch' or a number of batches",
        ),
        ({"filepath": "m.keras", "save_freq": "batch"}, "Unrecognized save_freq: 'batch'"),
    ],
)
def test_a_checkpoint_refuses_what_it_cannot_do(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        callbacks.ModelCheckpoint(**options)


def test_a_checkpoint_names_the_metrics_it_knows(tmp_path: Path) -> None:
    keep = callbacks.ModelCheckpoint(tmp_path / "{acc}.keras")
    with pytest.raises(ConfigError, match=r"Failed to format .*\{acc\}.keras\". There is no 'acc'; known: epoch, loss"):
        model().fit(X, Y, verbose=0, callbacks=keep)


def test_a_checkpoint_of_a_metric_that_is_not_there_is_refused_before_training(tmp_path: Path) -> None:
    trained = model()
    before = trained.get_weights()
    keep = callbacks.ModelCheckpoint(tmp_path / "m.keras", monitor="val_acc", mode="max", save_best_only=True)
    with pytest.raises(
        ConfigError, match="watches monitor='val_acc', .* no such metric in this run: there are loss, val_"
    ):
        trained.fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=keep)
    in_batches = callbacks.ModelCheckpoint(tmp_path / "m.keras", save_best_only=True, save_freq=2)
    with pytest.raises(ConfigError, match="'val_loss', .* no such metric in the middle of an epoch: there is loss"):
        trained.fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=in_batches)
    with pytest.raises(ConfigError, match="no 'acc'; known: epoch, loss\\."):
        trained.fit(X, Y, verbose=0, callbacks=callbacks.ModelCheckpoint(tmp_path / "{epoch}-{acc:.1f}.keras"))
    assert all(np.array_equal(a, b) for a, b in zip(before, trained.get_weights(), strict=True))
    assert not list(tmp_path.iterdir())


def test_a_best_model_is_not_overwritten_in_epochs_without_its_metric(tmp_path: Path) -> None:
    path, trained = tmp_path / "m.keras", model(keras.optimizers.SGD(1.0))
    kept: list[float] = []

    class Watch(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if path.exists():
                kept.append(float(keras.models.load_model(path).get_weights()[0][0, 0]))

    keep = callbacks.ModelCheckpoint(path, save_best_only=True)
    data: dict[str, Any] = {"validation_data": (X, Y), "validation_freq": [2, 4]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = [keep, Fake(val_loss=[9.0, 1.0, 1.0, 2.0]), Watch()]
        trained.fit(X, Y, epochs=4, verbose=0, callbacks=values, **data)
    assert len(kept) == 3
    assert kept[0] == kept[1]


def test_a_checkpoint_in_an_epoch_whose_metric_is_missing_saves_nothing(tmp_path: Path) -> None:
    keep = callbacks.ModelCheckpoint(tmp_path / "m.keras", monitor="m", mode="min", save_best_only=True)
    with pytest.warns(UserWarning, match="conditioned on metric `m` which is not available"):
        model().fit(X, Y, verbose=0, callbacks=[Fake(other=[1.0]), keep])
    assert not list(tmp_path.iterdir())


def test_a_log_holds_one_line_per_epoch_and_goes_on(tmp_path: Path) -> None:
    path, trained = tmp_path / "log.csv", model()
    for append in (False, True):
        log = callbacks.CSVLogger(path, append=append)
        trained.fit(X, Y, epochs=2, verbose=0, validation_data=(X, Y), callbacks=log)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "0", "1"]
    assert list(rows[0]) == ["epoch", "loss", "val_loss"]
    assert float(rows[0]["loss"]) > float(rows[3]["loss"])


def test_a_log_has_columns_for_a_validation_that_comes_later(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    log = callbacks.CSVLogger(path, separator=";")
    model().fit(X, Y, epochs=2, verbose=0, validation_data=(X, Y), validation_freq=2, callbacks=log)
    head, first, second = path.read_text().splitlines()
    assert head == "epoch;loss;val_loss"
    assert first.endswith(";NA")
    assert float(second.split(";")[2]) > 0


def test_a_log_without_validation_has_no_columns_for_one(tmp_path: Path) -> None:
    model(metrics=["mae"]).fit(X, Y, epochs=2, verbose=0, callbacks=callbacks.CSVLogger(tmp_path / "log.csv"))
    assert (tmp_path / "log.csv").read_text().splitlines()[0] == "epoch,loss,mae"


class Interrupt(callbacks.Callback):
    def __init__(self, epoch: int) -> None:
        self.at = epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.at:
            raise KeyboardInterrupt


def test_an_interrupted_training_goes_on_from_its_backup(tmp_path: Path) -> None:
    whole = model("adam")
    expected = whole.fit(X, Y, epochs=4, shuffle=False, verbose=0)
    folder = tmp_path / "backup"
    with pytest.raises(KeyboardInterrupt):
        model("adam").fit(
            X, Y, epochs=4, shuffle=False, verbose=0, callbacks=[callbacks.BackupAndRestore(folder), Interrupt(2)]
        )
    assert len(list(folder.iterdir())) == 3  # the last two states, and which one counts
    resumed = model("adam")
    history = resumed.fit(X, Y, epochs=4, shuffle=False, verbose=0, callbacks=[callbacks.BackupAndRestore(folder)])
    assert history.epoch == [2, 3]
    np.testing.assert_allclose(history.history["loss"], expected.history["loss"][2:], rtol=1e-6)
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not folder.exists()


def test_a_backup_needs_a_folder_and_a_frequency() -> None:
    with pytest.raises(ConfigError, match="Empty `backup_dir`"):
        callbacks.BackupAndRestore("")
    with pytest.raises(ConfigError, match="Unrecognized save_freq: 'day'"):
        callbacks.BackupAndRestore("x", save_freq="day")
