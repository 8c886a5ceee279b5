"""Whether layers behave as in training: what calls say, what the calls around them say, and the defaults of `call`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.effort import turn
from kit.training_modes import cases, seen
from seqc import layers

# By case of kit/training_modes.py: the factor in each way of calling, as Keras 3.15.1 gives it on TensorFlow.
RECORDED = json.loads((Path(__file__).parent / "cases" / "modes_of_calls.json").read_text())


def check(case: tuple[str, str, str]) -> None:
    assert "".join(str(round(factor)) for factor in seen(keras, *case)) == RECORDED[" | ".join(case)]


@pytest.mark.parametrize("case", turn(cases(), 0, 6), ids=" | ".join)
def test_layers_are_in_the_mode_that_keras_has_them_in(case: tuple[str, str, str]) -> None:
    check(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for i, case in enumerate(cases()) if i % 6], ids=" | ".join)
def test_other_layers_are_in_the_mode_that_keras_has_them_in(case: tuple[str, str, str]) -> None:
    check(case)


def test_a_model_that_passes_no_mode_on_trains_its_normalization() -> None:
    class Normalized(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.normalize, self.dense = layers.BatchNormalization(), layers.Dense(1, kernel_initializer="ones")

        def call(self, x: Any, training: bool | None = None) -> Any:
            return self.dense(self.normalize(x))

    x = np.random.default_rng(1).normal(3, 2, size=(20, 5)).astype("float32")
    model = Normalized()
    model.compile("sgd", "mse")
    model.fit(x, x[:, :1], batch_size=20, verbose=0)
    np.testing.assert_allclose(model.normalize.moving_mean.numpy(), 0.01 * x.mean(0), rtol=1e-5)


def test_what_a_call_says_of_one_layer_holds_for_no_other() -> None:
    class Tuned(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.base, self.drop = layers.BatchNormalization(), layers.Dropout(0.5)

        def call(self, x: Any, training: bool | None = None) -> Any:
            return self.drop(self.base(x, training=False))

    # In Keras 3.15 nothing would be dropped: what `base` was told stays for `drop`.
    assert (Tuned()(np.ones((1, 100), "float32"), training=True).numpy() == 0).any()


class Judge(keras.Model):
    """Normalizes, takes masks, and makes the labels of its step for batches of four."""

    def __init__(self) -> None:
        super().__init__()
        self.normalize, self.last = layers.BatchNormalization(), layers.LSTM(3)
        self.score, self.seen = layers.Dense(1), keras.metrics.Mean(name="seen")

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.score(self.last(layers.Masking()(self.normalize(x))))

    @property
    def metrics(self) -> list[Any]:
        return [self.seen]

    def train_step(self, data: Any) -> Any:
        with keras.GradientTape() as tape:
            loss = keras.losses.BinaryCrossentropy(from_logits=True)(keras.ops.ones((4, 1)), self(data, training=True))
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.seen.update_state(loss)
        return {"seen": self.seen.result()}


def test_modes_masks_and_labels_for_one_size_meet_in_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_VERIFY", "1")
    x = np.random.default_rng(2).normal(1, 2, size=(12, 5, 2)).astype("float32")
    x[::3, 3:] = 0
    found: dict[str, list[Any]] = {}
    weights: list[Any] = []
    for executor in ("tiled", "naive"):
        monkeypatch.setenv("SEQC_EXECUTOR", executor)
        model = Judge()
        model(x[:1])
        weights = weights or model.get_weights()
        model.set_weights(weights)
        model.compile(keras.optimizers.Adam(0.01), metrics=["mae"])
        history = model.fit(x, batch_size=4, epochs=2, shuffle=False, verbose=0).history["seen"]
        found[executor] = [np.asarray(history), *model.get_weights()]
    for tiled, naive in zip(found["tiled"], found["naive"], strict=True):
        np.testing.assert_allclose(tiled, naive, rtol=1e-5, atol=1e-6)
    mean = np.zeros(2)
    for i in (0, 4, 8) * 2:
        mean = 0.99 * mean + 0.01 * x[i : i + 4].mean((0, 1), dtype=np.float64)
    np.testing.assert_allclose(model.normalize.moving_mean.numpy(), mean, rtol=1e-5)
