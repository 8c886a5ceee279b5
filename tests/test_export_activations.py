"""Activations with options, in the file."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from kit import onnx_models
from seqc import Input, Sequential, activations, layers, ops
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


def hard_swish(x: np.ndarray) -> np.ndarray:
    return x * np.clip(x / 6 + 0.5, 0, 1)


def gelu(x: np.ndarray) -> np.ndarray:
    result: np.ndarray = x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2
    return result


def tanh_gelu(x: np.ndarray) -> np.ndarray:
    result: np.ndarray = x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    return result


# What is called, what it gives, and its operators at opset 13, 18 and 20.
ONE_NODE: dict[str, tuple[Callable[[Any], Any], Callable[..., np.ndarray], Sequence[Sequence[str]]]] = {
    "hard_sigmoid": (activations.hard_sigmoid, lambda x: np.clip(x / 6 + 0.5, 0, 1), [["HardSigmoid"]] * 3),
    "hard_silu": (activations.hard_silu, hard_swish, [["HardSigmoid", "Mul"]] + [["HardSwish"]] * 2),
    "of_relu6": (
        lambda x: x * ops.relu6(x + 3) / 6,
        hard_swish,
        [["HardSigmoid", "Mul"]] + [["HardSwish"]] * 2,
    ),
    "gelu": (lambda x: ops.gelu(x, False), gelu, [["Div", "Erf", "Add", "Mul", "Mul"]] * 2 + [["Gelu"]]),
    "tanh_gelu": (ops.gelu, tanh_gelu, [["Mul"] * 4 + ["Add", "Mul", "Tanh", "Add", "Mul"]] * 2 + [["Gelu"]]),
}


@pytest.mark.parametrize(("at", "opset"), list(enumerate((13, 18, 20))))
@pytest.mark.parametrize("name", ONE_NODE)
def test_an_activation_is_one_operator_where_the_opset_has_it(name: str, at: int, opset: int, tmp_path: Path) -> None:
    function, truth, operators = ONE_NODE[name]
    model = Sequential([Input((1,)), layers.Activation(function)])
    model.export(tmp_path / "m.onnx", opset=opset)
    assert onnx_models.node_types(onnx.load(tmp_path / "m.onnx")) == operators[at]
    x = np.concatenate([EDGES, [-3.01, -3, -2.99, 2.99, 3, 3.01]]).astype("float32")[:, None]
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(result, truth(x.astype("float64")), rtol=1e-6, atol=5e-7)


@pytest.mark.parametrize("opset", [18, 20])
@pytest.mark.parametrize("stack", [(layers.Dense(5), layers.Dense(3)), (layers.Conv2D(5, 3), layers.Conv2D(3, 2))])
def test_gelu_between_products_costs_little(stack: tuple[Any, Any], opset: int, tmp_path: Path) -> None:
    first, second = (layers.deserialize(layers.serialize(layer)) for layer in stack)
    image = isinstance(first, layers.Conv2D)
    model = Sequential([Input((6, 6, 2) if image else (4,)), first, layers.Activation("gelu"), second])
    model.set_weights([np.random.default_rng(i).normal(size=w.shape) for i, w in enumerate(model.get_weights())])
    model.export(tmp_path / "m.onnx", opset=opset)  # and compared with double precision
    found = onnx_models.node_types(onnx.load(tmp_path / "m.onnx"))
    product = "Conv" if image else "Gemm"
    inner = ["Gelu"] if opset == 20 else ["Erf", "Add", "Mul"]
    assert [n for n in found if n != "Transpose"] == [product, *inner, product]


def test_a_relu_that_is_read_elsewhere_too_stays(tmp_path: Path) -> None:
    class Both(layers.Layer):
        def call(self, x: Any) -> Any:
            y = ops.relu(x)
            return ops.clip(y, 0.0, 0.5) + y

    model = Sequential([Input((3,)), Both()])
    model.export(tmp_path / "m.onnx")
    x = np.array([[-1, 0.25, 2]], "float32")
    np.testing.assert_array_equal(model.predict(x, verbose=0), [[0, 0.5, 2.5]])


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.ELU(0.3, dtype="float64"),
        lambda: layers.LeakyReLU(0.3, dtype="float64"),
        lambda: layers.Activation("selu", dtype="float64"),
        lambda: layers.Activation("softplus", dtype="float64"),
        lambda: layers.BatchNormalization(dtype="float64"),
        lambda: layers.LayerNormalization(dtype="float64"),
    ],
)
def test_constants_are_double_where_the_layer_is(layer: Callable[[], layers.Layer], tmp_path: Path) -> None:
    """Attributes of operators are in single precision, which 0.3 or an epsilon of 0.001 is not."""
    model = Sequential([Input((4,), dtype="float64"), layer()])
    model.export(tmp_path / "m.onnx")
    x = np.random.default_rng(3).normal(0, 9, (5, 4))
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(result, model.predict(x, verbose=0), rtol=1e-13, atol=1e-14)


# What stays finite, at -100, -1, 0, 1 and 100: limits just inside 0 and 1 are none of 0 and 1.
GUARDS: dict[str, Callable[[Any], Any]] = {
    "logarithm": lambda x: ops.log(ops.clip((ops.tanh(x) + 1.0) / 2.0, 1e-7, 1 - 1e-7)),
    "of what is left": lambda x: ops.log(1.0 - ops.clip(x / 6.0 + 0.5, 0.0, 1 - 6e-8)),
    "inverse": lambda x: 1.0 / ops.clip(x * 0.2 + 0.5, 1e-7, 1.0),
    "scaled": lambda x: ops.log(ops.clip(x + 3.0, 6e-8, 6.0) / 6.0),
    "shifted": lambda x: ops.log(ops.clip(x / 6.0, -0.4999999, 0.5) + 0.5),
    "gate": lambda x: ops.log(ops.abs(x * ops.clip(x / 6.0 + 0.5, 1e-7, 1.0)) + 1e-30),
}


# float16 has no numbers as small as the gate's, and the export says so.
@pytest.mark.parametrize(
    ("name", "precision"), [(name, p) for name in GUARDS for p in ("float32", "float16")[: 1 + (name != "gate")]]
)
def test_limits_just_inside_of_a_hard_sigmoids_stay(name: str, precision: str, tmp_path: Path) -> None:
    model = Sequential([Input((1,)), layers.Dense(1), layers.Lambda(GUARDS[name])])
    model.layers[0].kernel.assign(np.ones((1, 1), "f"))
    model.export(tmp_path / "m.onnx", precision=precision)
    x = np.array([[-100], [-1], [0], [1], [100]], "float32")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: x})
    wanted = model.predict(x, verbose=0)
    assert np.isfinite(wanted).all()
    np.testing.assert_allclose(result, wanted, rtol=1e-6 if precision == "float32" else 0.02, atol=2e-3)
