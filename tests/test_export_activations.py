"""Activations with options, in the file."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from kit import onnx_models
from seqc import Input, Sequential, layers
from seqc.export.model import inference_graph

EDGES = np.array([-8, -1, -0.5, -1e-6, 0, 1e-6, 0.2, 0.25, 0.5, 0.9, 1, 1.5, 5.99, 6, 6.01, 40])


def of_keras(x: np.ndarray, max_value: float | None, slope: float, threshold: float) -> np.ndarray:
    """The definition in Keras's documentation."""
    high = np.inf if max_value is None else max_value
    return np.where(x >= high, high, np.where(x >= threshold, x, slope * (x - threshold)))


@pytest.mark.parametrize(
    ("max_value", "slope", "threshold"), list(itertools.product((None, 0.5, 1.0, 6.0), (0.0, 0.1, 1.0), (0.0, 0.25)))
)
def test_relu_with_options_is_right_in_the_file(
    max_value: float | None, slope: float, threshold: float, tmp_path: Path
) -> None:
    model = Sequential([Input((1,)), layers.ReLU(max_value, slope, threshold)])
    model.export(tmp_path / "m.onnx")
    x = np.setdiff1d(EDGES, [threshold]).astype("float32")[:, None]
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(result, of_keras(x, max_value, slope, threshold), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(result, model.predict(x, verbose=0))


def nodes(*stack: Any) -> list[str]:
    return onnx_models.node_types(onnx_models.compiled(inference_graph(Sequential([Input((4, 4, 2)), *stack]))))


def test_relu_up_to_a_value_is_one_clip() -> None:
    assert nodes(layers.ReLU(max_value=6)) == ["Clip"]
    assert nodes(layers.Activation("relu6")) == ["Clip"]
    assert nodes(layers.Conv2D(2, 4), layers.ReLU(6), layers.Flatten()) == ["Transpose", "Conv", "Clip", "Flatten"]


def test_a_relu_that_is_read_elsewhere_too_stays(tmp_path: Path) -> None:
    class Both(layers.Layer):
        def call(self, x: Any) -> Any:
            from seqc import ops

            y = ops.relu(x)
            return ops.clip(y, 0.0, 0.5) + y

    model = Sequential([Input((3,)), Both()])
    model.export(tmp_path / "m.onnx")
    x = np.array([[-1, 0.25, 2]], "float32")
    np.testing.assert_array_equal(model.predict(x, verbose=0), [[0, 0.5, 2.5]])
