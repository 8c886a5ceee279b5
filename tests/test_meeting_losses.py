"""Losses of odd rows and of one number, masks, weights without a gradient and metrics of layers, all in one model.

The numbers are those of Keras 3.15.1 on TensorFlow, of the same model on the same data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops


class Held(layers.Layer):
    """Keeps a metric behind a text."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = ("mean", [keras.metrics.Mean(name="held")])

    def call(self, x: Any) -> Any:
        self.kept[1][0].update_state(x)
        return x


def distance(true: Any, pred: Any) -> Any:
    """One number for all steps, masked ones among them."""
    return ops.mean(ops.abs(true - pred))


def model() -> keras.Model:
    """Rows of `kinds` are no shares, some are zero; no gradient goes through the choice; one branch drops the mask."""
    ids = keras.Input((4,), dtype="int32")
    embedded = layers.Embedding(5, 3, mask_zero=True)(ids)
    mean = layers.GlobalAveragePooling1D()(layers.RMSNormalization()(embedded))
    choice = ops.cast(ops.argmax(layers.Dense(2)(mean), -1, keepdims=True), "float32")
    kinds = layers.Dense(3, "relu", name="kinds")(Held()(ops.concatenate([mean, choice], -1)))
    made = keras.Model(ids, {"kinds": kinds, "steps": layers.Dense(1, name="steps")(embedded)})
    for k, weight in enumerate(made.weights):
        weight.assign((np.sin(np.arange(weight.array.size) * 1.7 + k) * 0.5).reshape(weight.shape))
    optimizer = keras.optimizers.AdamW(0.05, weight_decay=0.1, clipnorm=0.5, gradient_accumulation_steps=2)
    made.compile(optimizer, {"kinds": "sparse_categorical_crossentropy", "steps": distance})
    return made


HISTORY = {
    "held": [0.02527, 0.02794, 0.03114],
    "kinds_loss": [7.32025, 7.06208, 6.57504],
    "loss": [7.72932, 7.45769, 6.95876],
    "steps_loss": [0.40907, 0.39561, 0.38373],
}
# The first numbers of each weight; the third and fourth have no gradient, and stay as they were.
FIRST = [
    *([-0.09496, 0.36812, -0.26512], [0.53626, 0.35939, -0.59703], [0.45465, -0.26492, -0.38638], [0.07056, -0.49996]),
    *([-0.37275, -0.13147, 0.57669], [-0.47231, 0.20943, 0.28412], [-0.00208, 0.33823, 0.14375], [0.17725]),
]


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
@pytest.mark.parametrize("executor", ["tiled", "naive"])
def test_odd_rows_masks_and_weights_without_a_gradient_meet(executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_EXECUTOR", executor)
    monkeypatch.setenv("SEQC_VERIFY", "1")
    ids = (np.arange(32).reshape(8, 4) * 3 % 5).astype("int32")
    ids[::2, 2:] = 0
    y = {"kinds": np.arange(8) % 3, "steps": np.cos(np.arange(32)).reshape(8, 4, 1).astype("float32")}
    weights = {"kinds": np.linspace(0.5, 2, 8), "steps": np.linspace(1, 0.2, 8).reshape(8, 1)}
    trained = model()
    history = trained.fit(ids, y, sample_weight=weights, batch_size=4, epochs=3, shuffle=False, verbose=0).history
    assert set(history) == set(HISTORY)
    for name, values in HISTORY.items():
        np.testing.assert_allclose(history[name], values, atol=1e-4)
    for found, first in zip(trained.get_weights(), FIRST, strict=True):
        np.testing.assert_allclose(found.ravel()[:3], first, atol=1e-4)
    assert (trained.predict(ids, verbose=0)["kinds"] == 0).all(1).any()
