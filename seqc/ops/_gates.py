"""Activation functions inside recurrent cells: the value, the derivative said by the value, and ONNX's name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.contexts import Scoped
from seqc.graph.ir import Array
from seqc.ops import _special


@dataclass(frozen=True)
class Gate:
    """`slope(y)` is the derivative at the point where the function gives y."""

    function: Callable[[Array], Any]
    slope: Callable[[Array], Any]
    onnx: str
    alpha: float | None = None
    beta: float | None = None


def _hard_sigmoid(slope: float) -> Gate:
    return Gate(
        lambda x: np.clip(x * x.dtype.type(slope) + x.dtype.type(0.5), 0, 1),
        lambda y: ((y > 0) & (y < 1)).astype(y.dtype) * y.dtype.type(slope),
        "HardSigmoid",
        slope,
        0.5,
    )


# Functions whose derivative follows from their value; the others take the unrolled path.
GATES: dict[str, Gate] = {
    "tanh": Gate(np.tanh, lambda y: 1 - y * y, "Tanh"),
    "sigmoid": Gate(_special.sigmoid, lambda y: y * (1 - y), "Sigmoid"),
    "relu": Gate(lambda x: np.maximum(x, 0), lambda y: (y > 0).astype(y.dtype), "Relu"),
    "linear": Gate(lambda x: x, np.ones_like, "Affine", 1.0, 0.0),
    "softsign": Gate(_special.softsign, lambda y: np.square(1 - np.abs(y)), "Softsign"),
    "softplus": Gate(_special.softplus, lambda y: -np.expm1(-y), "Softplus"),
    "hard_sigmoid": _hard_sigmoid(1 / 6),
    "hard_sigmoid_keras2": _hard_sigmoid(0.2),
    "elu": Gate(
        lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), lambda y: np.where(y > 0, 1, y + 1), "Elu", 1.0
    ),
}


_disturbance: Scoped[Callable[[Array], Array] | None] = Scoped("disturbance", default=None)


def activate(name: str, x: Array) -> Array:
    """Returns what the activation of a cell gives."""
    y = np.asarray(GATES[name].function(x))
    disturb = _disturbance.get()
    return y if disturb is None else disturb(y)


def disturbed_gates(disturb: Callable[[Array], Array]) -> AbstractContextManager[object]:
    """What activations of cells give inside passes through `disturb`: rounding errors, step by step."""
    return _disturbance.holding(disturb)


def onnx_activations(*names: str) -> dict[str, Any]:
    """Returns the attributes that name a recurrent op's activations to ONNX.

    alpha and beta are lists over the activations that take them, in order.
    """
    gates = [GATES[n] for n in names]
    attributes: dict[str, Any] = {"activations": [g.onnx for g in gates]}
    for key in ("alpha", "beta"):
        # onnxruntime reads one number per activation that has the parameter.
        given = [getattr(g, key) for g in gates if getattr(g, key) is not None]
        if given:
            attributes[f"activation_{key}"] = given
    return attributes
