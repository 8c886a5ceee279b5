"""Attention and EinsumDense, beside what Keras recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import merge_runs
import seqc as keras
from seqc import layers
from seqc.errors import ConfigError, ShapeError


@pytest.mark.parametrize("case", merge_runs.parameters(merging=False))
def test_attention_computes_what_keras_does(case: dict[str, Any]) -> None:
    merge_runs.check(case)


@pytest.mark.parametrize("case", merge_runs.parameters(merging=False))
def test_weights_are_called_as_in_keras(case: dict[str, Any]) -> None:
    assert [w.path.split("/", 1)[1] for w in merge_runs.built(case).weights] == case["names"]


def test_a_model_with_attention_exports_and_computes_the_same(tmp_path: Path) -> None:
    x = keras.Input((None, 6), name="x")
    h = layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)
    model = keras.Model(x, layers.GroupQueryAttention(3, 4, 2)(h, h) + x)
    model.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for batch, steps in ((1, 1), (3, 5)):
        a = np.random.default_rng(0).normal(size=(batch, steps, 6)).astype("float32")
        np.testing.assert_allclose(session.run(None, {"x": a})[0], model.predict(a, verbose=0), atol=1e-5)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="`num_heads`, expected a positive integer"):
        layers.MultiHeadAttention(0, 2)
    with pytest.raises(ConfigError, match="divisible"):
        layers.GroupQueryAttention(2, 3, 2)
    with pytest.raises(ConfigError, match="score_mode"):
        layers.Attention(score_mode="sum")
    with pytest.raises(ConfigError, match="Dropout is not supported when flash attention"):
        layers.MultiHeadAttention(1, 2, dropout=0.1, flash_attention=True)
    with pytest.raises(ShapeError, match="list of length 2 or 3"):
        layers.Attention().build([(None, 3, 4)])
    with pytest.raises(ShapeError, match="must be equal"):
        layers.MultiHeadAttention(1, 2).build((None, 3, 4), (None, 3, 4), (None, 5, 4))
    with pytest.raises(ConfigError, match="Invalid einsum equation"):
        layers.EinsumDense("ab->ba", 3).build((None, 3))
