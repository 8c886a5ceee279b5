"""The order of layers and weights of functional models, against what real Keras lists."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from kit.layer_orders import BUILDERS, SEEDS, facts, made, nested, order_at_random
from seqc import layers, ops

CASES = Path(__file__).parent / "cases"
RECORDED: dict[str, Any] = json.loads((CASES / "layer_orders.json").read_text())


def _check_predictions(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for key, y in expected.items():
        np.testing.assert_allclose(found[key], y, atol=1e-5)


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_layers_and_weights_are_in_keras_order(builder: Any) -> None:
    found, expected = facts(*made(seqc, builder)), RECORDED[builder.__name__]
    assert found["layers"] == expected["layers"]
    assert found["weights"] == expected["weights"]
    assert found["trainable"] == expected["trainable"]
    _check_predictions(found["predictions"], expected["predictions"])


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_order_lives_through_configuration(builder: Any) -> None:
    model, data = made(seqc, builder)
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    assert facts(again, data) == facts(model, data)


def test_file_of_keras_with_layers_of_one_shape_in_branches_predicts_the_same() -> None:
    data = made(seqc, nested)[1]
    model = seqc.models.load_model(CASES / "layer_orders.keras")
    _check_predictions(facts(model, data)["predictions"], RECORDED["nested"]["predictions"])


def test_weights_go_through_a_file_of_layers_of_one_shape(tmp_path: Path) -> None:
    model, data = made(seqc, nested)
    model.save(tmp_path / "model.keras")
    assert facts(seqc.models.load_model(tmp_path / "model.keras"), data) == facts(model, data)


MASKED = json.loads((CASES / "masked_orders.json").read_text())


@pytest.mark.one_in(3)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_masks_deepen_layers_as_in_keras(seed: int) -> None:
    assert order_at_random(seqc, seed) == MASKED[seed]


def test_the_operations_of_a_mask_of_ones_own_count() -> None:
    class Reversed(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.supports_masking = True

        def call(self, x: Any) -> Any:
            return x

        def compute_mask(self, x: Any, mask: Any = None) -> Any:
            return None if mask is None else ops.logical_and(mask[:, ::-1], ops.any(ops.not_equal(x, 0.0), axis=-1))

    x = layers.Input((4, 3))
    masked = layers.LSTM(2, name="b3")(Reversed()(layers.Masking()(layers.Dense(3, name="b1")(x))))
    deep = x
    for i in range(4):
        deep = layers.Dense(3, name=f"a{i}")(deep)
    model = seqc.Model(x, layers.Add()([layers.LSTM(2, name="a4")(deep), masked]))
    names = [layer.name for layer in model.layers if layer.name[0] in "ab" and layer.name[1:].isdigit()]
    assert names == ["b1", "a0", "a1", "a2", "a3", "a4", "b3"]  # as Keras 3.15.1 lists them


def test_long_chains_of_operations_take_no_time_that_grows_with_their_square() -> None:
    x = seqc.Input((4,))
    y = x
    for _ in range(3000):
        y = y + 1.0
    start = time.process_time()
    assert seqc.Model(x, y).get_config()["output_layers"] == ["add_2999", 0, 0]
    assert time.process_time() - start < 10  # a minute, when each operation went through all those before it
