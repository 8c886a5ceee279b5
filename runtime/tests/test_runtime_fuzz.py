"""Whatever a file or an argument does wrong is a SeqcRuntimeError, and the process lives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from runtime_kit.effort import effort

import seqc_runtime
from seqc_runtime import (
    RuntimeArgumentError,
    RuntimeArgumentTypeError,
    RuntimeExecutionError,
    RuntimeModelError,
    SeqcRuntimeError,
)


@pytest.mark.parametrize("seconds", [1, pytest.param(effort(5, 20), marks=pytest.mark.slow)])
def test_nothing_but_runtime_errors_comes_out(gemm: bytes, lstm: bytes, tmp_path: Path, seconds: int) -> None:
    (tmp_path / "gemm.onnx").write_bytes(gemm)
    (tmp_path / "lstm.onnx").write_bytes(lstm)
    script = str(Path(__file__).parent / "runtime_kit" / "runtime_fuzz.py")
    path = str(Path(seqc_runtime.__file__).parents[1])
    ended = subprocess.run(
        [sys.executable, script, str(seconds), str(seconds), "gemm.onnx", "lstm.onnx"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    last = (tmp_path / "last").read_text(errors="replace")
    assert ended.returncode == 0, f"{last}\n{ended.stderr}"
    assert int(ended.stdout) > 50


class BytesPath:
    def __fspath__(self) -> bytes:
        return b"m.onnx"


@pytest.mark.parametrize("given", [None, 3, 1.5, object(), [b"x"], np.zeros(3), BytesPath()])
def test_what_is_neither_path_nor_bytes_is_an_argument_and_a_type_error(given: Any) -> None:
    for kind in (RuntimeArgumentTypeError, RuntimeArgumentError, SeqcRuntimeError, TypeError, ValueError):
        with pytest.raises(kind, match=re.escape("load() needs a path or the bytes of an ONNX model; got ")):
            seqc_runtime.load(given)


@pytest.mark.parametrize("device", [None, 3, [], {}, "CPU", np.array(["cpu", "cpu"])])
def test_a_device_that_is_none_is_an_argument_error(gemm: bytes, device: Any) -> None:
    with pytest.raises(RuntimeArgumentError, match='device needs "auto", "cpu" or "cuda"'):
        seqc_runtime.load(gemm, device=device)


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "\ud800.onnx", ".", "/", "~nobody/m.onnx", ""])
def test_paths_that_are_no_model_are_model_errors(path: str) -> None:
    with pytest.raises(RuntimeModelError):
        seqc_runtime.load(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(RuntimeModelError, match="is not a file"):
        seqc_runtime.load(tmp_path / "pipe.onnx")


def model_of(inputs: list[Any], outputs: list[Any], nodes: list[Any]) -> bytes:
    graph = helper.make_graph(nodes, "test", inputs, outputs)
    result: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8
    ).SerializeToString()
    return result


def test_duplicate_inputs_no_outputs_and_huge_axes_are_runtime_errors_or_run() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    huge = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2**31, 2**31, 2**31])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    relu = helper.make_node("Relu", ["x"], ["y"])
    for data in (model_of([x, x], [y], [relu]), model_of([x], [], [relu]), model_of([x], [], []), model_of([], [], [])):
        with pytest.raises(RuntimeModelError):
            seqc_runtime.load(data, device="cpu")
    with pytest.raises(RuntimeExecutionError, match="would take more than"):
        seqc_runtime.load(model_of([huge], [y], [relu]), device="cpu").warm_up()
