"""The same seed gives the same bits on any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.effort import THOROUGH
from kit.executor_runs import under_threads
from seqc import layers as L
from seqc.backends.numpy import machine
from seqc.backends.numpy.pieces import Partial, add_partial, piece_count

rng = np.random.default_rng(0)
IMAGES = rng.random((150, 16, 16, 3)).astype("float32")
WAVES = rng.random((150, 24, 6)).astype("float32")
WORDS = rng.integers(0, 500, (150, 12))
ROWS = rng.random((150, 40)).astype("float32")


def _normalized(*stack: Any) -> list[Any]:
    return [one for layer in stack for one in (layer, L.BatchNormalization(), L.ReLU())]


def _attention() -> Any:
    words = keras.Input((12,), dtype="int32")
    x = L.Embedding(500, 24)(words)
    x = L.LayerNormalization()(x + L.MultiHeadAttention(3, 8)(x, x))
    return keras.Model(words, L.Dense(3, "softmax")(L.GlobalAveragePooling1D()(x)))


class OwnStep(keras.Sequential):
    """A model with a step of its own."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with keras.GradientTape() as tape:
            loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        return {"loss": loss}


def _sequence(*stack: Any, kind: Any = keras.Sequential, data: Any, dtype: str = "float32") -> Any:
    return kind([keras.Input(data.shape[1:], dtype=dtype), *stack, L.Dense(3, "softmax")])


MODELS: dict[str, tuple[Any, Callable[[], Any]]] = {
    "dense": (ROWS, lambda: _sequence(L.Dense(600, "relu"), L.Dropout(0.3), L.Dense(300, "tanh"), data=ROWS)),
    "conv": (
        IMAGES,
        lambda: _sequence(
            L.Conv2D(12, 3, activation="relu"), L.MaxPooling2D(2), L.Conv2D(20, 3), L.Flatten(), data=IMAGES
        ),
    ),
    "normalized": (
        IMAGES,
        lambda: _sequence(
            *_normalized(L.Conv2D(12, 3), L.Conv2D(20, 3, strides=2)), L.GlobalAveragePooling2D(), data=IMAGES
        ),
    ),
    "lstm": (WAVES, lambda: _sequence(L.LSTM(20, return_sequences=True), L.LSTM(16), data=WAVES)),
    "gru": (WAVES, lambda: _sequence(L.Bidirectional(L.GRU(20, dropout=0.2)), data=WAVES)),
    "mobilenet": (
        IMAGES,
        lambda: _sequence(
            *_normalized(L.DepthwiseConv2D(3, padding="same"), L.Conv2D(24, 1), L.SeparableConv2D(16, 3)),
            L.GlobalMaxPooling2D(),
            data=IMAGES,
        ),
    ),
    "embedding": (
        WORDS,
        lambda: _sequence(L.Embedding(500, 30), L.GlobalAveragePooling1D(), data=WORDS, dtype="int32"),
    ),
    "attention": (WORDS, _attention),
    "own step": (
        IMAGES,
        lambda: _sequence(L.RandomFlip(), L.Conv2D(8, 3), L.Flatten(), L.Dropout(0.5), data=IMAGES, kind=OwnStep),
    ),
}


def outcome(name: str, threads: int, small: bool) -> dict[str, Any]:
    """Returns all that comes of training, evaluation and prediction on so many threads."""
    patch = under_threads(threads, small)
    count, batch = (80, 40) if small else (120, 70)  # small tiles and pieces take long to plan: one size has to do
    try:
        keras.utils.set_random_seed(3)
        x, make = MODELS[name]
        x, y = x[:count], np.arange(count) % 3
        model = make()
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, batch, 2, 0, validation_data=(x[:batch], y[:batch])).history
        return {
            "weights": [v.numpy() for v in model.weights],
            "optimizer": [v.numpy() for v in model.optimizer.variables],
            "history": [np.array(values) for _, values in sorted(history.items())],
            "predict": [model.predict(x, batch_size=batch, verbose=0)],
            "evaluate": [np.array(model.evaluate(x, y, batch_size=batch, verbose=0))],
        }
    finally:
        patch.undo()


CASES = [
    ("conv", True, False),
    *(pytest.param(name, small, True, marks=pytest.mark.slow) for name in MODELS for small in (True, False)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "small", "full"), CASES)
def test_any_number_of_threads_gives_the_same_bits(
    name: str, small: bool, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQC_VERIFY", "0")  # plans of this many tiles take long to check; smaller ones are elsewhere
    one = outcome(name, 1, small)
    for threads in ((2, 3, 4) if THOROUGH else (2, 3)) if full else (3,):
        for kind, arrays in outcome(name, threads, small).items():
            for a, b in zip(one[kind], arrays, strict=True):
                assert a.tobytes() == b.tobytes(), f"{kind} on {threads} threads"


def test_work_is_cut_into_more_pieces_where_two_threads_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores_of_cache", lambda level: 2)
    assert piece_count(64, 1e-5, lambda n: 0) == 1, "not worth a second thread"
    assert piece_count(1, 1.0, lambda n: 0) == 1
    assert piece_count(3, 1.0, lambda n: 0) == 2
    assert piece_count(64, 1e-3, lambda n: 0) == 16, "tiles are that small anyway"
    assert piece_count(64, 1e-3, lambda n: 1e-6) == 2, "pieces would be too short"
    assert piece_count(64, 9e-3, lambda n: 1e-6) == 8
    assert piece_count(64, 9e-3, lambda n: 5e-4) == 2, "cutting would take too long"
    monkeypatch.setattr(machine, "cores_of_cache", lambda level: 8)
    assert piece_count(64, 9e-3, lambda n: 5e-4) == 16, "more cores are worth a twentieth of the time of two"


@pytest.mark.parametrize("threads", [1, 2, 3, 5, 8])
def test_sums_are_added_in_one_tree_whoever_has_them(threads: int) -> None:
    added: list[tuple[str, str]] = []
    names: dict[int, str] = {}

    def add(total: Any, part: Any) -> None:
        added.append((names[id(total)], names[id(part)]))
        names[id(total)] += names[id(part)]

    leaves = [np.zeros(1) for _ in range(8)]
    names |= {id(leaf): str(i) for i, leaf in enumerate(leaves)}
    left: list[Partial] = []
    for worker in range(threads):
        own: list[Partial] = []
        for i in range(8 * worker // threads, 8 * (worker + 1) // threads):
            add_partial(own, Partial(0, i, leaves[i]), add)
        for one in own:
            add_partial(left, one, add)
    assert [names[id(one.array)] for one in left] == ["01234567"]
    assert sorted(map("+".join, added)) == sorted(["0+1", "01+23", "0123+4567", "2+3", "4+5", "45+67", "6+7"])
