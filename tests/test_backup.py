"""A training that was interrupted anywhere ends as one that was not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import callbacks, layers
from seqc.callbacks.backup import METADATA, WEIGHTS
from seqc.errors import PathError, SavingError

rng = np.random.default_rng(0)
X = rng.normal(size=(22, 3)).astype("float32")
Y = (X.sum(1, keepdims=True) > 0).astype("float32")


def model(optimizer: Any = "adam") -> keras.Sequential:
    keras.utils.set_random_seed(7)
    made = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, "tanh"), layers.Dropout(0.3), layers.BatchNormalization(), layers.Dense(1)]
    )
    metrics = ["accuracy", keras.metrics.AUC(name="auc")]
    made.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), metrics=metrics)
    return made


class Rows:
    """Batches by number, as a Sequence of Keras's."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, i: int) -> Any:
        return X[i * 4 : i * 4 + 4], Y[i * 4 : i * 4 + 4]


def endless() -> Any:
    while True:
        for i in range(5):
            yield X[i * 4 : i * 4 + 4], Y[i * 4 : i * 4 + 4]


class EveryTime:
    def __iter__(self) -> Any:
        return (Rows()[i] for i in range(6))


DATA: dict[str, Callable[[], dict[str, Any]]] = {
    "shuffled": lambda: {"x": X, "y": Y, "batch_size": 4},
    "in order": lambda: {"x": X, "y": Y, "batch_size": 4, "shuffle": False},
    "steps across passes": lambda: {"x": X, "y": Y, "batch_size": 4, "steps_per_epoch": 4},
    "by number": lambda: {"x": Rows(), "shuffle": True},
    "generator": lambda: {"x": endless(), "steps_per_epoch": 3},
    "iterable": lambda: {"x": EveryTime()},
    "validated": lambda: {"x": X, "y": Y, "batch_size": 4, "validation_split": 0.3},
}


class Stop(callbacks.Callback):
    def __init__(self, at: int) -> None:
        self.left = at

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:The data ran out")  # of the data that end within an epoch
@pytest.mark.parametrize(
    "data", [pytest.param(name, marks=[pytest.mark.slow] * (i > 0)) for i, name in enumerate(DATA)]
)
def test_an_interrupted_training_ends_with_the_bits_of_one_that_was_not(tmp_path: Path, data: Any) -> None:
    whole = model()
    expected = whole.fit(**DATA[data](), epochs=3, verbose=0).history
    for at, frequency in ((4, 2), (4, "epoch"), (9, 2), (9, "epoch")):
        folder = tmp_path / f"{at} {frequency}"
        backup = callbacks.BackupAndRestore(folder, save_freq=frequency)
        with pytest.raises(KeyboardInterrupt):
            model().fit(**DATA[data](), epochs=3, verbose=0, callbacks=[backup, Stop(at)])
        resumed = model()
        if (folder / METADATA).exists():
            keras.utils.set_random_seed(99)  # whatever another process starts with
        history = resumed.fit(
            **DATA[data](), epochs=3, verbose=0, callbacks=callbacks.BackupAndRestore(folder, save_freq=frequency)
        ).history
        for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        for name, values in history.items():
            assert values == expected[name][-len(values) :], name


@pytest.mark.slow
def test_a_training_interrupted_twice_goes_on_twice(tmp_path: Path) -> None:
    whole = model()
    whole.fit(X, Y, batch_size=4, epochs=4, verbose=0)
    for at in (8, 7):
        keep = callbacks.BackupAndRestore(tmp_path / "b", save_freq=3)
        with pytest.raises(KeyboardInterrupt):
            model().fit(X, Y, batch_size=4, epochs=4, verbose=0, callbacks=[keep, Stop(at)])
    resumed = model()
    resumed.fit(X, Y, batch_size=4, epochs=4, verbose=0, callbacks=callbacks.BackupAndRestore(tmp_path / "b", 3))
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_training_whose_optimizer_keeps_averages_and_a_loss_scale_goes_on(tmp_path: Path) -> None:
    def optimizer() -> Any:
        inner = keras.optimizers.Muon(0.05, use_ema=True, ema_overwrite_frequency=4, gradient_accumulation_steps=2)
        return keras.optimizers.LossScaleOptimizer(inner, dynamic_growth_steps=3)

    given: dict[str, Any] = {"batch_size": 4, "epochs": 3, "verbose": 0}
    whole, resumed = model(optimizer()), model(optimizer())
    whole.fit(X, Y, **given)
    with pytest.raises(KeyboardInterrupt):
        model(optimizer()).fit(X, Y, callbacks=[callbacks.BackupAndRestore(tmp_path / "b", 2), Stop(9)], **given)
    resumed.fit(X, Y, callbacks=callbacks.BackupAndRestore(tmp_path / "b", 2), **given)
    for a, b in zip(whole.optimizer.variables, resumed.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.array, b.array)
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    folder = tmp_path / "backup"
    with pytest.raises(KeyboardInterrupt):
        model().fit(X, Y, batch_size=4, verbose=0, callbacks=[callbacks.BackupAndRestore(folder, 2), Stop(5)])
    return folder


def changed(**entries: Any) -> Any:
    return lambda text: json.dumps(json.loads(text) | entries)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "is not JSON"),
        (lambda text: text[:40], "is not JSON"),
        (lambda text: "[" * 100_000, "is not JSON"),
        (lambda text: "[]", "does not say which state counts"),
        (changed(state="../first"), "does not say which state counts"),
        (changed(state=3), "does not say which state counts"),
        (changed(epoch="x"), "epoch is 'x' instead of a number"),
        (changed(epoch=-5), "epoch is -5 instead of a number"),
        (changed(batch=None), "batch is None instead of a number"),
        (changed(batch=50), "batch or taken is wrong"),
        (changed(taken=50), "50 batches of the data were trained on, and there are 6 now"),
        (changed(seeds="s"), "the seeds are wrong"),
        pytest.param(changed(seeds={"model": -1, "generators": []}), "the seeds are wrong", marks=pytest.mark.slow),
        pytest.param(
            changed(seeds={"model": 1, "generators": [[1, 2]]}), "the seeds are wrong", marks=pytest.mark.slow
        ),
        (changed(totals=3), "totals are wrong"),
        (changed(totals=[[1, [2]]]), "totals are wrong"),
        (changed(totals=[[1.0]]), "totals are those of other metrics"),
        pytest.param(changed(logged=[1]), "logged are wrong", marks=pytest.mark.slow),
        pytest.param(
            changed(memories=[[1.0]]), "memories of stateful layers are those of other layers", marks=pytest.mark.slow
        ),
        (changed(random={}), "no state of a generator"),
        (changed(pass_began=[1]), "no state of a generator"),
        pytest.param(changed(callbacks=[1]), "state of callbacks is wrong", marks=pytest.mark.slow),
        pytest.param(
            changed(callbacks={"EarlyStopping.0": {"best_weights": {"arrays": "x"}}}),
            "state of callbacks is wrong",
            marks=pytest.mark.slow,
        ),
        (changed(callbacks={"EarlyStopping.0": {"best_weights": {"arrays": 2}}}), "second.callbacks.npz"),
    ],
)
def test_damaged_notes_on_a_backup_are_refused_with_what_to_do(kept: Path, change: Any, message: str) -> None:
    path = kept / METADATA
    path.write_text(change(path.read_text()))
    run = [callbacks.EarlyStopping("loss"), callbacks.BackupAndRestore(kept, 2)]
    with pytest.raises(SavingError, match=f"(?s)backup in .* is damaged.*{message}.*Remove the folder to start"):
        model().fit(X, Y, batch_size=4, verbose=0, callbacks=run)


@pytest.mark.slow
@pytest.mark.parametrize("change", ["missing", "truncated", "another model"])
def test_damaged_weights_of_a_backup_are_refused_with_what_to_do(kept: Path, change: str) -> None:
    path = kept / f"{json.loads((kept / METADATA).read_text())['state']}{WEIGHTS}"
    if change == "missing":
        path.unlink()
    elif change == "truncated":
        path.write_bytes(path.read_bytes()[:2000])
    other = model()
    if change == "another model":
        other = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
        other.compile("adam", "mse")
    with pytest.raises(SavingError, match="backup in .* is damaged, or of another model: .*Remove the folder"):
        other.fit(X, Y, batch_size=4, verbose=0, callbacks=callbacks.BackupAndRestore(kept, 2))


def test_a_folder_where_nothing_can_be_kept_is_found_out_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PathError, match="Cannot make folder"):
        model().fit(X, Y, verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path / "file"), Stop(1)])


@pytest.mark.slow
def test_what_else_lies_in_the_folder_stays_there(kept: Path) -> None:
    (kept / "mine.txt").touch()
    model().fit(X, Y, batch_size=4, verbose=0, callbacks=callbacks.BackupAndRestore(kept, 2))
    assert [p.name for p in kept.iterdir()] == ["mine.txt"]
