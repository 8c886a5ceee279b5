"""Hundreds of reloads: what is not served any more is freed."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from runtime_kit.effort import effort
from runtime_kit.server_process import ServerProcess, gemm_answer, gemm_request, serving

pytestmark = pytest.mark.slow

SIZE = 1600  # 10 MB of weights
RELOADS, EVERY = effort(40, 200), effort(8, 20)
# A version that stayed would be 10 MB and more, each time; the C library's floor moves by tens of MiB by itself.
GROWTH = 64 << 20


def write(path: Path, version: float) -> None:
    """x W + version, whose weights no other version has."""
    weight = np.full((SIZE, SIZE), version, np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"])],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", SIZE])],
        [numpy_helper.from_array(weight, "w")],
    )
    fresh = path.with_suffix(".new")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), fresh)
    fresh.rename(path)


def private(server: ServerProcess) -> int:
    text = Path(f"/proc/{server.process.pid}/smaps_rollup").read_text()
    found = re.findall(r"Private_(?:Clean|Dirty):\s+(\d+) kB", text)
    return 1024 * sum(map(int, found))


def test_many_reloads_leave_the_memory_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    write(path, 1)
    marks = []
    with serving(path, "--model-control", "explicit") as server:
        for version in range(1, RELOADS + 1):
            write(path, version)
            assert server.post("/v2/repository/models/m/load", b"")[0] == 200
            # One row runs on the loop, many in threads.
            x = np.zeros((1 if version % 2 else 32, SIZE), np.float32)
            x[:, 0] = 1.0
            status, answer = server.post("/v2/models/m/infer", gemm_request(x))
            assert status == 200
            assert np.array_equal(gemm_answer(answer), np.full(x.shape, version, np.float32))
            if version % EVERY == 0:
                time.sleep(2)  # memory is given back a moment after a version is gone
                marks.append(private(server))
        files = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert "m.onnx" not in files  # neither the file nor one that was replaced
        assert server.files() < 40
        assert server.stop() == 0
    shown = [round(mark / 2**20) for mark in marks]
    print(shown)
    # In between, the C library keeps up to a hundred MiB of what loading took; what stays must not grow.
    assert min(marks[-(len(marks) // 2) :]) - min(marks[: len(marks) // 3 + 1]) < GROWTH, shown
