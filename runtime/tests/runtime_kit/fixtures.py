"""Small ONNX models, built the way seqc writes them (opset 18, IR 8), and other fixtures of the runtime's tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
GEMM_WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3) / 10 - 0.5
GEMM_BIAS = np.array([0.1, -0.2, 0.3], np.float32)


def value(name: str, shape: list[Any], dtype: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def build(
    nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: dict[str, np.ndarray] | None = None
) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(nodes, "test", inputs, outputs, tensors)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8, producer_name="seqc", producer_version="0.1.0"
    )
    onnx.checker.check_model(model)
    return model


@pytest.fixture
def make() -> Callable[..., bytes]:
    """build(nodes, inputs, outputs, weights) as bytes."""

    def made(*parts: Any) -> bytes:
        data: bytes = build(*parts).SerializeToString()
        return data

    return made


@pytest.fixture
def gemm() -> bytes:
    """relu(x W + b), x float32[batch, 4], one metadata property."""
    model = build(
        [helper.make_node("Gemm", ["x", "w", "b"], ["h"]), helper.make_node("Relu", ["h"], ["y"])],
        [value("x", ["batch", 4])],
        [value("y", ["batch", 3])],
        {"w": GEMM_WEIGHT, "b": GEMM_BIAS},
    )
    helper.set_model_props(model, {"seqc.classes": "a,b,c"})
    data: bytes = model.SerializeToString()
    return data


@pytest.fixture
def gemm_reference() -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.maximum(x @ GEMM_WEIGHT + GEMM_BIAS, 0)


@pytest.fixture
def gemm_path(gemm: bytes, tmp_path: Path) -> str:
    path = tmp_path / "gemm.onnx"
    path.write_bytes(gemm)
    return str(path)


@pytest.fixture
def two_inputs(make: Callable[..., bytes]) -> bytes:
    """a - b, both float32[batch, 2]."""
    return make(
        [helper.make_node("Sub", ["a", "b"], ["y"])],
        [value("a", ["batch", 2]), value("b", ["batch", 2])],
        [value("y", ["batch", 2])],
    )


@pytest.fixture
def two_outputs(make: Callable[..., bytes]) -> bytes:
    """-x and the row sums of x, x float32[batch, 2]."""
    return make(
        [
            helper.make_node("Neg", ["x"], ["negative"]),
            helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=0),
        ],
        [value("x", ["batch", 2])],
        [value("negative", ["batch", 2]), value("total", ["batch"])],
        {"axes": np.array([1], np.int64)},
    )


@pytest.fixture
def lstm(make: Callable[..., bytes]) -> bytes:
    """The last state of an LSTM with 3 units over float32[batch, time, 2]."""
    random = np.random.default_rng(0)
    return make(
        [
            helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
            helper.make_node("LSTM", ["t", "w", "r"], ["", "h"], hidden_size=3),
            helper.make_node("Squeeze", ["h", "axis"], ["y"]),
        ],
        [value("x", ["batch", "time", 2])],
        [value("y", ["batch", 3])],
        {
            "w": random.normal(size=(1, 12, 2)).astype(np.float32),
            "r": random.normal(size=(1, 12, 3)).astype(np.float32),
            "axis": np.array([0], np.int64),
        },
    )


@pytest.fixture
def relu(make: Callable[..., bytes]) -> Callable[..., bytes]:
    """relu(input shape, output shape) -> a model of one Relu."""
    return lambda shape, out: make([helper.make_node("Relu", ["x"], ["y"])], [value("x", shape)], [value("y", out)])


@pytest.fixture
def identity(make: Callable[..., bytes]) -> Callable[..., bytes]:
    """identity(onnx dtype, shape) -> a model that returns its input."""
    return lambda dtype, shape=("batch",): make(
        [helper.make_node("Identity", ["x"], ["y"])],
        [value("x", list(shape), dtype)],
        [value("y", list(shape), dtype)],
    )


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script in a fresh interpreter, so that a crash or hang there fails one test only."""

    def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        import seqc_runtime

        path = str(Path(seqc_runtime.__file__).parents[1])
        # Loading a model here has set this; the new interpreter starts as a user's does.
        inherited = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
        return subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env={**inherited, "PYTHONPATH": path, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def serve() -> Callable[..., object]:
    """serve(model, limits) -> a client, in this process, of a server with this model as "m"."""
    pytest.importorskip("orjson", reason="the server speaks JSON with orjson")
    import seqc_runtime
    from seqc_runtime.server.app import App
    from seqc_runtime.server.repository import Repository
    from seqc_runtime.server.servable import Servable
    from seqc_runtime.server.testing import TestClient

    def start(model: bytes, limits: Any = None) -> TestClient:
        repository = Repository()
        repository.add(Servable("m", 1, seqc_runtime.load(model, device="cpu", threads=1)))
        return TestClient(App(repository, limits))

    return start


NUMBERS = [
    ("float16", "FP16", [0.0, -1.5, 65504.0, 6e-8]),
    ("float32", "FP32", [0.1, -3.4028234663852886e38, 1e-45, 16777217]),
    ("float64", "FP64", [0.1, 5e-324, -1.7976931348623157e308, 2]),
    ("int8", "INT8", [-128, 127]),
    ("int16", "INT16", [-32768, 32767]),
    ("int32", "INT32", [-(2**31), 2**31 - 1]),
    ("int64", "INT64", [-(2**63), 2**63 - 1]),
    ("uint8", "UINT8", [0, 255]),
    ("uint16", "UINT16", [0, 65535]),
    ("uint32", "UINT32", [0, 2**32 - 1]),
    ("uint64", "UINT64", [0, 2**64 - 1]),
    ("bool", "BOOL", [True, False]),
    ("str", "BYTES", ["", 'é\0\n"\\', "日本"]),
]


@pytest.fixture(params=NUMBERS, ids=[name for name, *_ in NUMBERS])
def numbers(request: pytest.FixtureRequest) -> tuple[str, str, list[Any]]:
    """NumPy's name of a datatype, the protocol's, and numbers at its edges."""
    found: tuple[str, str, list[Any]] = request.param
    return found


@pytest.fixture
def onnx_type() -> Callable[[str], int]:
    """NumPy's name of a dtype -> ONNX's number."""
    names = {"str": "STRING", "float32": "FLOAT", "float64": "DOUBLE"}
    return lambda name: int(getattr(TensorProto, names.get(name, name.upper())))
