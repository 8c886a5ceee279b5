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
RECORDED = json.loads((Path(__file__).parent / "cases" / "training_modes.json").read_text())


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
