"""A model is freed with the last reference to it: nothing waits for the garbage collector."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import Sequential, layers
from seqc.backends.numpy.executor import Executor

X = np.random.default_rng(0).random((16, 6), dtype="float32")
Y = X[:, :2] * 2


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def make() -> Sequential:
    model = Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, "relu", kernel_regularizer="l2"),
            layers.Dropout(0.3),
            layers.BatchNormalization(),
            layers.Dense(2, kernel_constraint="max_norm"),
        ]
    )
    model.compile("adam", "mse", metrics=["mae"])
    return model


def fit(model: Sequential, **options: Any) -> None:
    model.fit(X, Y, batch_size=4, verbose=0, validation_split=0.25, **options)


def with_callbacks(model: Sequential, folder: Path) -> None:
    callbacks = keras.callbacks
    listed = [
        callbacks.EarlyStopping("loss", restore_best_weights=True),
        callbacks.ModelCheckpoint(folder / "best.keras"),
        callbacks.ReduceLROnPlateau("loss"),
        callbacks.CSVLogger(folder / "log.csv"),
    ]
    fit(model, epochs=2, callbacks=listed)


def interrupted(model: Sequential) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=stop)])


def fitted_and_looked_at(model: Sequential, folder: Path) -> Any:
    fit(model)
    return model.history


def fitted_and_saved(model: Sequential, folder: Path) -> None:
    fit(model)
    model.save(folder / "model.keras")


USES: dict[str, Callable[[Sequential, Path], Any]] = {
    "build": lambda model, folder: model.summary(print_fn=lambda _: None),
    "call": lambda model, folder: model(X),
    "predict": lambda model, folder: model.predict(X, verbose=0),
    "fit": lambda model, folder: fit(model),
    "fit with callbacks": with_callbacks,
    "shown": lambda model, folder: model.fit(X, Y),
    "history": fitted_and_looked_at,
    "evaluate": lambda model, folder: model.evaluate(X, Y, verbose=0),
    "train_on_batch": lambda model, folder: model.train_on_batch(X, Y),
    "interrupted": lambda model, folder: interrupted(model),
    "save": fitted_and_saved,
    "export": lambda model, folder: model.export(folder / "model.onnx"),
    "clone": lambda model, folder: keras.models.clone_model(model),
}


@pytest.mark.parametrize("name", USES)
def test_del_frees_a_model_after(name: str, tmp_path: Path) -> None:
    model = make()
    USES[name](model, tmp_path)
    parts: list[Any] = [model, *model.layers, *model.weights, model.optimizer]
    for step in model._trainer._steps.values():
        executor = vars(step).get("executor")
        if isinstance(executor, Executor):
            parts += [executor, step.graph, *(bound.program for bound in executor._programs.values())]
            parts += [a for bound in executor._programs.values() for a in bound.program.results]
    alive = [weakref.ref(part) for part in parts]
    step = executor = None  # type: ignore[assignment]
    parts.clear()
    del model
    assert [ref() for ref in alive if ref() is not None] == []


@pytest.mark.slow
def test_models_made_and_dropped_in_a_loop_take_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_VERIFY", "0")

    def once() -> None:
        model = make()
        fit(model)

    def size() -> int:
        gc.collect()  # which empties Python's own lists of free tuples, too
        return tracemalloc.get_traced_memory()[0]

    once()
    tracemalloc.start()
    once()
    before = size()
    for _ in range(5):
        once()
    grown = size() - before
    tracemalloc.stop()
    assert grown < 60_000


def test_a_program_keeps_no_more_memory_than_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_VERIFY", "0")
    model = Sequential([keras.Input((32, 32, 3)), layers.Conv2D(8, 3, activation="tanh"), layers.Flatten()])
    model.predict_on_batch(np.ones((1, 32, 32, 3), "float32"))
    x = np.ones((100, 32, 32, 3), "float32")
    tracemalloc.start()
    y = model.predict_on_batch(x)
    kept = tracemalloc.get_traced_memory()[0] - y.nbytes
    tracemalloc.stop()
    executors = [s.executor for s in model._trainer._steps.values() if isinstance(s.executor, Executor)]
    counted = max(bound.memory.size for executor in executors for bound in executor._programs.values())
    assert counted > y.nbytes
    assert counted < kept < counted + 300_000


def test_a_history_has_its_model_as_long_as_it_lives() -> None:
    history = make().fit(X, Y, verbose=0)
    assert history.model.predict(X, verbose=0).shape == (16, 2)
    assert history.model.history is history
    freed = weakref.ref(history.model)
    del history
    assert freed() is None


@pytest.mark.slow
def test_a_model_has_its_history_as_long_as_it_lives() -> None:
    model = make()
    fit(model, epochs=2)
    assert model.history is not None
    assert len(model.history.history["val_loss"]) == 2
    assert model.history.epoch == [0, 1]
    assert model.history.model is model
    assert model.history.params is not None
    fit(model, epochs=3, initial_epoch=2)
    assert model.history.epoch == [2]
