"""Activation functions: values against their formulas in float64, gradients, names."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from seqc import activations, ops
from seqc.errors import ConfigError
from seqc.graph.autodiff import gradients
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, input_value
from seqc.keras_places import NOT_IN_KERAS
from seqc.ops.arithmetic import Div
from seqc.ops.transcendental import Erf


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    result: Array = e / e.sum(-1, keepdims=True)
    return result


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def sparsemax(x: Array) -> Array:
    """The definition by sorting (Martins and Astudillo, 2016, algorithm 1)."""
    z = -np.sort(-x, -1)
    total, k = np.cumsum(z, -1), np.arange(1, x.shape[-1] + 1)
    size = (1 + k * z > total).sum(-1, keepdims=True)
    excess = (np.take_along_axis(total, size - 1, -1) - 1) / size
    result: Array = np.maximum(x - excess, 0)
    return result


def hard_sigmoid(x: Array) -> Array:
    return np.clip(x / 6 + 0.5, 0, 1)


def softplus(x: Array) -> Array:
    return np.log1p(np.exp(x))


def elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0)) - 1))


def gelu(x: Array) -> Array:
    result: Array = x * (1 + np.vectorize(math.erf)(x / np.sqrt(2))) / 2
    return result


FORMULAS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": elu,
    "selu": lambda x: 1.05070098 * elu(x, 1.67326324),
    "celu": elu,
    "gelu": gelu,
    "sigmoid": sigmoid,
    "hard_sigmoid": hard_sigmoid,
    "hard_sigmoid_keras2": lambda x: np.clip(x / 5 + 0.5, 0, 1),
    "log_sigmoid": lambda x: np.log(sigmoid(x)),
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
    "silu": lambda x: x * sigmoid(x),
    "hard_silu": lambda x: x * hard_sigmoid(x),
    "tanh": np.tanh,
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "tanh_shrink": lambda x: x - np.tanh(x),
    "soft_shrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "hard_shrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "exponential": np.exp,
    "mish": lambda x: x * np.tanh(softplus(x)),
    "squareplus": lambda x: (x + np.sqrt(x * x + 4)) / 2,
    "sparse_plus": lambda x: np.where(x <= -1, 0, np.where(x >= 1, x, (x + 1) ** 2 / 4)),
    "glu": lambda x: x[..., :3] * sigmoid(x[..., 3:]),
    "softmax": softmax,
    "log_softmax": lambda x: np.log(softmax(x)),
    "sparsemax": sparsemax,
}
# Other arguments than the defaults.
VARIANTS: list[tuple[str, dict[str, Any], Callable[[Array], Array]]] = [
    ("relu", {"negative_slope": 0.1}, lambda x: np.where(x > 0, x, 0.1 * x)),
    ("relu", {"max_value": 1.0}, lambda x: np.clip(x, 0, 1)),
    ("relu", {"threshold": 0.7}, lambda x: np.where(x > 0.7, x, 0)),
    ("relu", {"negative_slope": 0.1, "max_value": 1.0}, lambda x: np.where(x > 0, np.minimum(x, 1), 0.1 * x)),
    ("relu", {"negative_slope": 0.1, "threshold": 0.7}, lambda x: np.where(x > 0.7, x, 0.1 * (x - 0.7))),
    ("relu", {"max_value": 1.0, "threshold": 0.7}, lambda x: np.where(x > 0.7, np.minimum(x, 1), 0)),
    ("relu", {"negative_slope": 0.1, "max_value": 1.0, "threshold": 0.7},
     lambda x: np.where(x > 0.7, np.minimum(x, 1), 0.1 * (x - 0.7))),
    ("leaky_relu", {"negative_slope": 0.3}, lambda x: np.where(x > 0, x, 0.3 * x)),
    ("elu", {"alpha": 2.0}, lambda x: elu(x, 2.0)),
    ("celu", {"alpha": 2.0}, lambda x: np.where(x > 0, x, 2 * (np.exp(x / 2) - 1))),
    ("gelu", {"approximate": True},
     lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))),
    ("soft_shrink", {"threshold": 1.0}, lambda x: np.sign(x) * np.maximum(np.abs(x) - 1, 0)),
    ("hard_shrink", {"threshold": 1.0}, lambda x: np.where(np.abs(x) > 1, x, 0)),
    ("threshold", {"threshold": 0.3, "default_value": 9.0}, lambda x: np.where(x > 0.3, x, 9)),
    ("squareplus", {"b": 1.0}, lambda x: (x + np.sqrt(x * x + 1)) / 2),
    ("softmax", {"axis": 0}, lambda x: softmax(x.T).T),
    ("sparsemax", {"axis": 0}, lambda x: sparsemax(x.T).T),
    ("log_softmax", {"axis": 0}, lambda x: np.log(softmax(x.T).T)),
    ("glu", {"axis": 0}, lambda x: x[:2] * sigmoid(x[2:])),
]  # fmt: skip
ALL: list[tuple[str, dict[str, Any], Any]]
ALL = [(name, {}, formula) for name, formula in FORMULAS.items()] + VARIANTS
IDS = [f"{name}-{'_'.join(f'{k}={v}' for k, v in arguments.items()) or 'default'}" for name, arguments, _ in ALL]


def run(function: Callable[[Any], Any], x: Array) -> tuple[Array, Array]:
    """The result and the gradient of its weighted sum."""
    value = input_value("x", x.dtype.name, x.shape)
    y = function(value)
    weights = np.cos(np.arange(np.prod([d for d in y.shape if d]), dtype=x.dtype)).reshape(y.shape)
    (gradient,) = gradients(ops.sum(y * weights), [value])
    result, slope = Interpreter(Graph((value,), (y, gradient), ("y", "g"))).run([x])
    return result, slope


@pytest.mark.parametrize(("name", "arguments", "formula"), ALL, ids=IDS)
def test_activation_follows_its_formula(
    name: str, arguments: dict[str, Any], formula: Callable[[Array], Array], rng: np.random.Generator
) -> None:
    x = rng.normal(size=(4, 6)) * 2
    function = getattr(activations, name)
    y, gradient = run(lambda v: function(v, **arguments), x)
    np.testing.assert_allclose(y, formula(x), rtol=1e-7, atol=1e-8)
    weights = np.cos(np.arange(y.size)).reshape(y.shape)
    step = 1e-6
    for at in np.ndindex(x.shape):
        moved = [x.copy(), x.copy()]
        moved[0][at] += step
        moved[1][at] -= step
        slope = float(((formula(moved[0]) - formula(moved[1])) * weights).sum() / (2 * step))
        assert gradient[at] == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_activation_stays_finite_and_keeps_float32(name: str) -> None:
    x = np.array([[-80, -20, -1, 0, 1, 20], [80, 20, 1, 0, -1, -20]], "float32")
    y, gradient = run(getattr(activations, name), x)
    assert y.dtype == gradient.dtype == np.float32
    assert np.isfinite(y).all()
    assert np.isfinite(gradient).all()


def test_every_activation_has_a_formula() -> None:
    assert {f.__name__ for f in activations.FUNCTIONS.values()} == {name for name, *_ in ALL}


def test_gelu_divides_before_erf_and_multiplies_after() -> None:
    """The order in which onnxruntime recognizes it; a multiplication by 1 / sqrt(2) is not fused."""
    x = input_value("x", "float32", (3,))
    order = Graph((x,), (activations.gelu(x),), ("y",)).walk()
    assert [v.op.name for v in order if v.inputs] == ["Div", "Erf", "Add", "Mul", "Mul"]
    erf = next(v for v in order if isinstance(v.op, Erf))
    assert isinstance(erf.inputs[0].op, Div)
    assert float(erf.inputs[0].inputs[1]) == pytest.approx(math.sqrt(2))


def test_names_stand_for_functions() -> None:
    assert activations.get(None) is activations.linear
    assert activations.get("swish") is activations.get("silu") is activations.silu
    assert activations.get("hard_swish") is activations.hard_silu
    assert activations.get(np.tanh) is np.tanh
    assert activations.get({"class_name": "function", "config": "relu", "module": "builtins"}) is activations.relu


@pytest.mark.parametrize("identifier", ["foo", 3, "Relu"])
def test_unknown_name_is_refused(identifier: Any) -> None:
    with pytest.raises(ConfigError, match=f"Could not interpret activation function identifier: {identifier}"):
        activations.get(identifier)


def test_functions_are_saved_by_name() -> None:
    names = {"swish": "silu", "hard_swish": "hard_silu"}
    for name, function in activations.FUNCTIONS.items():
        saved = activations.serialize(function)
        if name in NOT_IN_KERAS:  # as a function of a user's is
            assert saved["class_name"] == "function"
            saved = saved["config"]
        assert saved == names.get(name, name)
        assert activations.deserialize(activations.serialize(function)) is function


def test_activations_work_on_arrays_at_once() -> None:
    np.testing.assert_array_equal(np.asarray(activations.relu(np.array([-1.0, 2.0]))), [0, 2])
    assert activations.softmax([[1.0, 1.0]]).numpy().tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("module", ["activations", "initializers", "regularizers", "constraints"])
def test_identifiers_of_keras_are_known(module: str, shared_dir: Path) -> None:
    known = json.loads((shared_dir / "oracle" / "identifiers.json").read_text())[module]
    left_out = {"stft", "STFT", "STFTInitializer"}
    for identifier, name in known.items():
        if identifier not in left_out:
            found = getattr(seqc, module).get(identifier)
            assert getattr(found, "__name__", type(found).__name__) == name


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "silu", "tanh", "softmax", "sin", "square", "absolute"])
def test_functions_of_ops_are_saved_and_loaded_as_activations(name: str, tmp_path: Path) -> None:
    function = getattr(seqc.ops, name)
    model = seqc.Sequential([seqc.Input((2,)), seqc.layers.Dense(3, activation=function)])
    model.save(tmp_path / "m.keras")
    again = seqc.models.load_model(tmp_path / "m.keras")
    assert again.get_config()["layers"][1]["config"]["activation"] == name  # as Keras writes its own
    x = np.array([[0.5, -1.0], [2.0, 0.1]], "float32")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
