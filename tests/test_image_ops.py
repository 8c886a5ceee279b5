"""`seqc.ops.image` and the layouts of images: against real Keras, with gradients, and on onnxruntime."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from kit.graph_runs import step_file
from kit.oracle import KEPT
from seqc import ops
from seqc.graph.autodiff import pull_back
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph, Value, input_value

CASES = json.loads((KEPT / "image_op_cases.json").read_text())
ARRAYS = np.load(KEPT / "image_op_cases.npz")


def called(case: dict[str, Any], tensors: list[Value]) -> Value:
    function: Any = ops
    for part in case["function"].split("."):
        function = getattr(function, part)
    settings = dict(case["settings"])
    if "output_shape" in settings:
        return function(tensors[0], settings.pop("output_shape"), *tensors[1:], **settings)
    return function(*tensors, **settings)


def graph_of(case: dict[str, Any], gradient: bool) -> tuple[Graph, list[np.ndarray]]:
    """Returns the function as a graph, with its gradients, and what goes in."""
    arrays = [ARRAYS[name] for name in case["given"]]
    tensors = [input_value(f"x{i}", a.dtype.name, a.shape) for i, a in enumerate(arrays)]
    y = called(case, tensors)
    if not gradient:
        return Graph(tuple(tensors), (y,), ("y",)), arrays
    upstream = input_value("u", y.dtype, y.type.shape)
    found = pull_back([y], [upstream], tensors)
    outputs = (y, *found)
    return Graph((*tensors, upstream), outputs, tuple(f"y{i}" for i in range(len(outputs)))), [
        *arrays,
        ARRAYS[case["y"].replace("y", "u")],
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['function']}-{case['y']}")
def test_functions_are_those_of_keras(case: dict[str, Any]) -> None:
    graph, arrays = graph_of(case, "gradients" in case)
    y, *gradients = Interpreter(graph).run(arrays)
    wanted = ARRAYS[case["y"]]
    assert np.asarray(y).dtype == wanted.dtype
    close(y, wanted)
    for place, gradient in enumerate(gradients):
        exact = ARRAYS[f"{case['y'].replace('y', 'g')}_{place}"]
        close(np.asarray(gradient)[..., : exact.shape[-1]], exact)


def close(found: Any, wanted: np.ndarray) -> None:
    scale = max(1.0, float(np.abs(wanted.astype("float64")).max(initial=0)))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * scale)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['function']}-{case['y']}")
def test_functions_are_the_same_on_onnxruntime(case: dict[str, Any]) -> None:
    session = pytest.importorskip("seqc.backends.onnxruntime")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    graph, arrays = graph_of(case, False)
    (y,) = Interpreter(graph).run(arrays)
    found = session.Session(step_file(graph), threads=1).run(dict(zip(graph.input_names, arrays, strict=True)))
    close(found["y"], np.asarray(y))
