"""Layers that merge tensors, beside what Keras recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit import merge_runs
from seqc import layers
from seqc.errors import ConfigError, ShapeError


@pytest.mark.parametrize("case", merge_runs.parameters(merging=True))
def test_a_merge_computes_what_keras_does(case: dict[str, Any]) -> None:
    merge_runs.check(case)


@pytest.mark.parametrize(
    ("name", "shapes", "message"),
    [
        ("Add", [(None, 3), (None, 4)], "Inputs have incompatible shapes"),
        ("Multiply", [(2, 3), (4, 3)], "different batch sizes"),
        ("Subtract", [(None, 3)] * 3, "exactly 2 inputs"),
        ("Average", (None, 3), "called on a list of inputs"),
        ("Concatenate", [(None, 3, 4), (None, 2, 5)], "matching shapes except for the concatenation axis"),
        ("Concatenate", [(None, 3), (None, 3, 1)], "matching shapes"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(name: str, shapes: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        getattr(layers, name)().build(shapes)


def test_a_dot_says_which_axes_do_not_fit() -> None:
    with pytest.raises(ShapeError, match="axis values 3 .at axis 1. != 4 .at axis 1."):
        layers.Dot(1).build([(None, 3), (None, 4)])
    with pytest.raises(ShapeError, match="over axis 0"):
        layers.Dot(0).build([(None, 3), (None, 3)])
    with pytest.raises(ConfigError, match="two elements"):
        layers.Dot((1, 2, 3))


@pytest.mark.parametrize("name", ["add", "multiply", "average", "maximum", "minimum", "subtract", "concatenate", "dot"])
def test_the_function_is_the_layer(name: str) -> None:
    rng = np.random.default_rng(0)
    pair = [rng.normal(size=(2, 3)).astype("float32") for _ in range(2)]
    kind = getattr(layers, name.capitalize())
    layer = kind(axes=-1) if name == "dot" else kind()
    np.testing.assert_array_equal(np.asarray(getattr(layers, name)(pair)), np.asarray(layer(pair)))


def test_a_shortcut_in_a_model_adds() -> None:
    x = keras.Input((3,))
    model = keras.Model(x, layers.Concatenate()([layers.Add()([x, x]), x]))
    a = np.arange(6, dtype="float32").reshape(2, 3)
    np.testing.assert_array_equal(model.predict(a, verbose=0), np.concatenate([2 * a, a], 1))
