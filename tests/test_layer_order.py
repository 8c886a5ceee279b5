"""The order of layers and weights of functional models, against what real Keras lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from kit.layer_orders import BUILDERS, facts, made, nested

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
