"""Where the tests find the runtime, what they cannot do without, their marks and their fixtures.

mypy does not look at this file, since it knows one module of a name: what is worth a look is in `runtime_kit`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

RUNTIME = Path(__file__).parents[1]
if importlib.util.find_spec("seqc_runtime") is None:
    sys.path.insert(0, str(RUNTIME))

pytest.importorskip("onnx", reason="the tests build their models with onnx")
if importlib.util.find_spec("onnxruntime") is None:
    pytest.skip("the tests run their models with onnxruntime", allow_module_level=True)

from runtime_kit.fixtures import (  # noqa: E402, F401
    gemm,
    gemm_path,
    gemm_reference,
    identity,
    lstm,
    make,
    numbers,
    onnx_type,
    relu,
    run_python,
    serve,
    two_inputs,
    two_outputs,
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gpu: needs a CUDA device and onnxruntime-gpu")
    config.addinivalue_line("markers", "slow: takes many seconds")
    config.addinivalue_line("markers", "triton: needs Triton's server, from the wheel nvidia-pytriton")
