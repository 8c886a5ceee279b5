"""Five epochs and five more are ten, bit for bit: in one process, through a file, and through a backup."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit import killed_training
from kit.effort import THOROUGH, effort
from seqc import callbacks, layers, optimizers, seeds
from seqc.optimizers import schedules
from seqc.training.model_seeds import seeds_of, set_seeds
from test_backup import Stop

rng = np.random.default_rng(0)
X = rng.normal(size=(45, 8)).astype("float32")
IMAGES = rng.normal(size=(45, 8, 8, 3)).astype("float32")
WORDS = rng.integers(0, 20, size=(45, 6))
Y = (X.sum(1, keepdims=True) > 0).astype("float32")
EPOCHS = 3


@keras.saving.register_keras_serializable("resume")
class Noisy(layers.Layer):
    """Draws from a generator of its own, which nobody gave a seed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.generator = keras.random.SeedGenerator()

    def call(self, x: Any, training: bool = False) -> Any:
        return x + 0.1 * keras.random.normal(keras.ops.shape(x), seed=self.generator) if training else x


@keras.saving.register_keras_serializable("resume")
class OwnStep(keras.Sequential):
    """A model with a step and a metric of its own."""

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self.seen = keras.metrics.Mean(name="seen")

    def train_step(self, data: Any) -> Any:
        x, y = data
        with keras.GradientTape() as tape:
            loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        self.seen.update_state(loss)
        return {"own": loss, "seen": self.seen.result()}


MODELS: dict[str, tuple[Any, Callable[[], list[Any]]]] = {
    "dropout": (X, lambda: [layers.Dense(8, "tanh"), layers.Dropout(0.3), layers.BatchNormalization()]),
    "generators": (X, lambda: [layers.Dense(8), layers.Dropout(0.3, seed=3), Noisy(), layers.GaussianNoise(0.1)]),
    "images": (
        IMAGES,
        lambda: [
            layers.RandomFlip(),
            layers.RandomRotation(0.2),
            layers.RandomZoom(0.2),
            layers.RandomContrast(0.2),
            layers.RandomCrop(6, 6),
            layers.Conv2D(4, 3),
            layers.GlobalAveragePooling2D(),
        ],
    ),
    "words": (
        WORDS,
        lambda: [
            layers.Embedding(20, 8),
            layers.SpatialDropout1D(0.2),
            layers.LSTM(8, dropout=0.2, recurrent_dropout=0.2, return_sequences=True),
            layers.GRU(5),
        ],
    ),
}
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "adam": lambda: optimizers.Adam(0.01),
    "momentum": lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "schedule": lambda: optimizers.AdamW(schedules.CosineDecay(0.01, 20), gradient_accumulation_steps=4),
    "loss scale": lambda: optimizers.LossScaleOptimizer(optimizers.RMSprop(0.01), dynamic_growth_steps=3),
    "averages": lambda: optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=4),
    "muon": lambda: optimizers.Muon(0.01, clipnorm=1.0),
}


def made(model: str, optimizer: str = "adam", own: bool = False) -> Any:
    keras.utils.set_random_seed(7)
    x, parts = MODELS[model]
    dtype = "int32" if model == "words" else "float32"
    kind = OwnStep if own else keras.Sequential
    built = kind([keras.Input(x.shape[1:], dtype=dtype), *parts(), layers.Dense(1, "sigmoid")])
    metrics = ["accuracy", keras.metrics.AUC(name="auc"), keras.metrics.F1Score("macro", 0.5, name="f1")]
    built.compile(OPTIMIZERS[optimizer](), "binary_crossentropy", metrics=None if own else metrics)
    return built


def assert_same(a: Any, b: Any) -> None:
    for one, other in ((a.weights, b.weights), (a.optimizer.variables, b.optimizer.variables)):
        assert [v.shape for v in one] == [v.shape for v in other]
        for v, w in zip(one, other, strict=True):
            np.testing.assert_array_equal(v.numpy(), w.numpy(), err_msg=v.path)


ROWS = [
    ("generators", "schedule"),
    *(("dropout", name) for name in OPTIMIZERS),
    *((name, "adam") for name in MODELS if name != "dropout"),
    ("words", "loss scale"),
]
# Each with data in one of both orders.
CASES = [
    pytest.param(*row, shuffle, marks=[pytest.mark.slow] if i or not shuffle else [])
    for i, row in enumerate(ROWS)
    for shuffle in (True, False)
    if THOROUGH or shuffle == (i % 2 == 0)
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "optimizer", "shuffle"), CASES)
def test_two_halves_of_a_training_are_the_whole(tmp_path: Path, name: str, optimizer: str, shuffle: bool) -> None:
    x = MODELS[name][0]
    given: dict[str, Any] = {"batch_size": 10, "verbose": 0, "shuffle": shuffle}
    whole = made(name, optimizer)
    whole.fit(x, Y, epochs=2 * EPOCHS, **given)
    if optimizer != "averages":  # `fit` ends by putting the averages in the place of the weights, as in Keras
        again = made(name, optimizer)
        again.fit(x, Y, epochs=EPOCHS, **given)
        again.save(tmp_path / "m.keras")
        loaded = keras.models.load_model(tmp_path / "m.keras")
        state = seeds.random_state()
        for model in (again, loaded):
            seeds.set_random_state(state)
            model.fit(x, Y, initial_epoch=EPOCHS, epochs=2 * EPOCHS, **given)
            assert_same(whole, model)
    kept = callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        made(name, optimizer).fit(x, Y, epochs=2 * EPOCHS, callbacks=[kept, Stop(5 * EPOCHS + 2)], **given)
    resumed = made(name, optimizer)
    keras.utils.set_random_seed(99)
    resumed.fit(x, Y, epochs=2 * EPOCHS, callbacks=callbacks.BackupAndRestore(tmp_path / "backup"), **given)
    assert_same(whole, resumed)


class Sampled(layers.Layer):
    """Draws in validation and prediction, too."""

    def call(self, x: Any) -> Any:
        return x + 0.1 * keras.random.normal(keras.ops.shape(x))


@pytest.mark.parametrize("at", [6, 8])
def test_what_validation_has_drawn_is_not_drawn_again(tmp_path: Path, at: int) -> None:
    def run(*more: Any) -> tuple[Any, Any]:
        keras.utils.set_random_seed(7)
        model = keras.Sequential([keras.Input((8,)), layers.Dense(4), Sampled(), layers.Dense(1, "sigmoid")])
        model.compile("adam", "binary_crossentropy")
        kept = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1)
        return model, model.fit(X, Y, 10, EPOCHS, 0, [kept, *more], validation_split=0.25).history

    whole, history = run()
    with pytest.raises(KeyboardInterrupt):
        run(Stop(at))
    resumed, later = run()
    assert_same(whole, resumed)
    assert later["val_loss"] == history["val_loss"][-len(later["val_loss"]) :]
    assert seeds_of(whole) == seeds_of(resumed)


def test_files_of_earlier_versions_go_on_by_the_steps_of_the_optimizer() -> None:
    model = made("dropout")
    model.fit(X, Y, 10, verbose=0)
    found = seeds_of(model)
    assert found["drawn"] == 5
    set_seeds(model, {name: value for name, value in found.items() if name != "drawn"} | {"model": 3})
    assert seeds_of(model) == found | {"model": 3}


def watchers(folder: Path) -> list[Any]:
    """Returns callbacks with a state, the backup not at the end."""
    folder.mkdir(exist_ok=True)
    return [
        callbacks.BackupAndRestore(folder / "backup", save_freq=3),
        callbacks.EarlyStopping("f1", patience=2, mode="max", restore_best_weights=True),
        callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.95),
        callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.05),
        callbacks.ModelCheckpoint(str(folder / "best.weights.h5"), "loss", save_best_only=True, save_weights_only=True),
        callbacks.CSVLogger(folder / "log.csv"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("at", [4, 10, 12, 17])
def test_callbacks_go_on_with_what_they_had_seen(tmp_path: Path, at: int) -> None:
    given: dict[str, Any] = {"batch_size": 10, "verbose": 0, "epochs": 8}
    whole = made("dropout")
    epochs = whole.fit(X, Y, callbacks=watchers(tmp_path / "whole"), **given).epoch
    assert len(epochs) < 8, "it is to be stopped early"
    with pytest.raises(KeyboardInterrupt):
        made("dropout").fit(X, Y, callbacks=[*watchers(tmp_path / "cut"), Stop(at)], **given)
    resumed = made("dropout")
    resumed.fit(X, Y, callbacks=watchers(tmp_path / "cut"), **given)
    assert_same(whole, resumed)
    assert (tmp_path / "cut/log.csv").read_text() == (tmp_path / "whole/log.csv").read_text()
    best = [made("dropout"), made("dropout")]
    for model, name in zip(best, ("whole", "cut"), strict=True):
        model.optimizer.build(model.trainable_variables)
        model.load_weights(tmp_path / name / "best.weights.h5")
    for v, w in zip(best[0].weights, best[1].weights, strict=True):
        np.testing.assert_array_equal(v.numpy(), w.numpy())


class StopAfter(callbacks.Callback):
    """Ends the process, as it were, once everything of an epoch is done and kept."""

    _is_last = True

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_training_that_was_to_stop_stays_stopped(tmp_path: Path) -> None:
    def run(*more: Any) -> Any:
        model = made("dropout")
        stop = callbacks.EarlyStopping("loss", patience=0, min_delta=10.0, restore_best_weights=True)
        kept = callbacks.BackupAndRestore(tmp_path / "backup")
        return model, model.fit(X, Y, epochs=9, verbose=0, callbacks=[kept, stop, *more])

    whole, history = run()
    assert history.epoch == [0, 1]
    with pytest.raises(KeyboardInterrupt):
        run(StopAfter(1))
    resumed, history = run()
    assert history.epoch == []
    assert_same(whole, resumed)


@pytest.mark.slow
@pytest.mark.parametrize("at", [7, 10, 12])
def test_a_step_of_its_own_logs_what_it_would_have_logged(tmp_path: Path, at: int) -> None:
    def run(*more: Any) -> Any:
        model = made("dropout", own=True)
        kept = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1)
        return model, model.fit(X, Y, batch_size=10, epochs=3, verbose=0, callbacks=[kept, *more]).history

    whole, expected = run()
    with pytest.raises(KeyboardInterrupt):
        run(Stop(at))
    resumed, history = run()
    assert_same(whole, resumed)
    for name in ("own", "seen"):
        assert history[name] == expected[name][-len(history[name]) :]


@pytest.mark.slow
@pytest.mark.parametrize("at", [7, 10])
def test_stateful_layers_go_on_with_what_they_remember(tmp_path: Path, at: int) -> None:
    def run(*more: Any) -> Any:
        keras.utils.set_random_seed(7)
        inner = layers.LSTM(4, stateful=True)
        model = keras.Sequential([keras.Input((6, 1), batch_size=9), layers.Bidirectional(inner), layers.Dense(1)])
        model.compile("adam", "mse")
        kept = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=5)
        given: dict[str, Any] = {"batch_size": 9, "epochs": 3, "shuffle": False, "verbose": 0}
        model.fit(WORDS[..., None] / 20.0, Y, callbacks=[kept, *more], **given)
        return model

    whole = run()
    with pytest.raises(KeyboardInterrupt):
        run(Stop(at))
    assert_same(whole, run())


class Drawn:
    """Batches that are drawn anew whenever they are asked for, from NumPy's and Python's global generators."""

    def __iter__(self) -> Any:
        for _ in range(4):
            shift = np.random.normal() + random.random()  # noqa: NPY002
            yield X[:8] + np.float32(shift), Y[:8]


@pytest.mark.slow
@pytest.mark.parametrize("once", [True, False])
def test_data_drawn_from_global_generators_are_drawn_again(tmp_path: Path, once: bool) -> None:
    def run(*more: Any) -> Any:
        model = made("dropout")
        data = (batch for _ in range(9) for batch in Drawn()) if once else Drawn()
        kept = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=3)
        model.fit(data, epochs=3, steps_per_epoch=4 if once else None, verbose=0, callbacks=[kept, *more])
        return model

    whole = run()
    for at in (5, 6):
        with pytest.raises(KeyboardInterrupt):
            run(Stop(at))
    assert_same(whole, run())


class Mixed(keras.utils.PyDataset):
    """Has another order in every epoch, which it draws from NumPy's global generator."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, number: int) -> Any:
        rows = self.order[number * 8 : number * 8 + 8]
        return X[rows], Y[rows]

    def on_epoch_begin(self) -> None:
        self.order = np.random.permutation(45)  # noqa: NPY002


class Told(Mixed):
    """Says what it is asked for, and when epochs begin and end."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []

    def __getitem__(self, number: int) -> Any:
        self.log.append(str(number))
        return super().__getitem__(number)

    def on_epoch_begin(self) -> None:
        super().on_epoch_begin()
        self.log.append("begin")

    def on_epoch_end(self) -> None:
        self.log.append("end")


@pytest.mark.parametrize("steps", [None, 2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 3, 4))])
@pytest.mark.parametrize("at", [5, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 6, 8))])
@pytest.mark.parametrize("save_freq", ["epoch", 1])
@pytest.mark.filterwarnings("ignore:The data ran out")
def test_what_numbered_data_draw_at_the_beginning_of_an_epoch_is_drawn_again(
    tmp_path: Path, steps: int | None, at: int, save_freq: Any
) -> None:
    """Also where something else draws between epochs."""

    def run(data: Any, *more: Any) -> Any:
        model = made("dropout")
        kept = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=save_freq)
        options = {"steps_per_epoch": steps, "shuffle": False, "verbose": 0}
        model.fit(data, epochs=9 if steps == 1 else 5, **options, callbacks=[drawing, kept, *more])
        return model

    drawing = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: np.random.rand(3))  # noqa: NPY002
    data, resumed = Told(), Told()
    whole = run(data)
    with pytest.raises(KeyboardInterrupt):
        run(Told(), Stop(at))
    assert_same(whole, run(resumed))
    # The first batch was looked at before anybody knew that the run was to go on.
    assert resumed.log[:2] == ["begin", "0"]
    assert " ".join(data.log).endswith(" ".join(resumed.log[2:]))


def test_loading_and_saving_draw_nothing(tmp_path: Path) -> None:
    model = made("generators")
    before = seeds.random_state()
    model.save(tmp_path / "m.keras")
    keras.models.load_model(tmp_path / "m.keras")
    assert seeds.random_state() == before


@pytest.mark.slow
def test_what_a_process_left_that_was_killed_is_cleared_away(tmp_path: Path) -> None:
    for name in (".first.weights.h5.0123456789ab.tmp", ".training_metadata.json.0123456789ab.tmp", "mine.tmp"):
        (tmp_path / name).touch()
    made("dropout").fit(X, Y, verbose=0, callbacks=callbacks.BackupAndRestore(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.tmp"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_script_that_is_killed_at_random_moments_ends_with_the_same_bits() -> None:
    kills = effort(4, 8)
    assert killed_training.check(kills, seed=random.randrange(10**6)) >= kills
