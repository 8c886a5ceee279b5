"""Functions at the ends of their domains: predict and files give NumPy's numbers, also infinite ones and none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import ops

ort = pytest.importorskip("onnxruntime")

ENDS = np.array(
    [-np.inf, -1e30, -100, -2, -1, -0.5, -1e-8, -0.0, 0, 1e-8, 1e-40, 0.5, 1, 2, 3, 100, 1e30, np.inf, np.nan],
    "float32",
)
LEFT, RIGHT = (one.ravel() for one in np.meshgrid(ENDS, ENDS))

OF_ONE = [
    "abs",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "cbrt",
    "ceil",
    "cos",
    "cosh",
    "deg2rad",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "log",
    "log10",
    "log1p",
    "log2",
    "logical_not",
    "nan_to_num",
    "negative",
    "rad2deg",
    "reciprocal",
    "round",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
]
# Which NumPy has not: there, files give what the function gives on arrays.
OWN = [
    "celu",
    "elu",
    "erf",
    "erfinv",
    "gelu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
    "log_sigmoid",
    "relu",
    "relu6",
    "rsqrt",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "tanh_shrink",
]
OF_TWO = [
    "add",
    "arctan2",
    "divide",
    "equal",
    "fmax",
    "fmin",
    "fmod",
    "greater",
    "less",
    "logaddexp",
    "logaddexp2",
    "logical_and",
    "logical_xor",
    "maximum",
    "minimum",
    "mod",
    "multiply",
    "power",
    "subtract",
]


def in_a_file(function: Any, arrays: list[np.ndarray], path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns what a model that is the function predicts, and what its file gives."""
    inputs = [keras.Input((), name=f"x{number}") for number in range(len(arrays))]
    model = keras.Model(inputs, function(*inputs))
    model.export(path, verbose=False)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    feeds = {one.name: array for one, array in zip(inputs, arrays, strict=True)}
    (found,) = ort.InferenceSession(path, options).run(None, feeds)
    return model.predict(arrays, verbose=0), found


def equal(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(
        np.asarray(found, "float64"), np.asarray(expected, "float64"), rtol=1e-5, atol=1e-6, equal_nan=True
    )


@pytest.mark.one_in(4)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [*OF_ONE, *OWN, *OF_TWO])
def test_the_ends_of_a_functions_domain(name: str, tmp_path: Path) -> None:
    arrays = [LEFT, RIGHT] if name in OF_TWO else [ENDS]
    here = getattr(ops, name)(*arrays)
    if name not in OWN:
        equal(here, getattr(np, name)(*arrays))
    for found in in_a_file(getattr(ops, name), arrays, tmp_path / "m.onnx"):
        equal(found, here)
