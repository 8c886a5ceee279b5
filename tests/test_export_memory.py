"""How much memory an export takes beside the model, and what is too large for one file."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from kit.effort import turn
from kit.small_graphs import GRAPHS
from seqc import ops
from seqc.errors import ExportError
from seqc.export import export_graph, wire
from seqc.export.emitter import write
from seqc.export.pipelines import FOR_INFERENCE
from seqc.export.target import onnx_target
from seqc.graph import dims, ir
from seqc.graph.ir import Graph
from seqc.passes.pipeline import run_passes

ROOT = Path(__file__).resolve().parents[1]
MODELS = {
    "dense": "[K.Input((2000,)), L.Dense(8000), L.Dense(4000), L.Dense(2000)]",
    "conv": "[K.Input((4, 4, 1024)), L.Conv2D(4096, 3), L.GlobalAveragePooling2D(), L.Dense(2500)]",
    "lstm": "[K.Input((4, 512)), L.LSTM(3500)]",
    "embedding": "[K.Input((4,), dtype='int32'), L.Embedding(400000, 128), L.Flatten(), L.Dense(2)]",
}

# Whether it is verified, whether weights go beside the file, and how many times the model's memory it may take.
WAYS = [(0, 0, 2.5), (1, 0, 2.5), (1, 1, 2.5)]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted as Linux does")
@pytest.mark.parametrize(
    ("stack", "verify", "beside", "most"),
    [(stack, *way) for i, stack in enumerate(MODELS) for way in turn(WAYS, i, len(WAYS))],
)
def test_an_export_needs_little_more_than_the_model_beside_it(
    stack: str, verify: int, beside: int, most: float, tmp_path: Path
) -> None:
    program = [sys.executable, ROOT / "benchmarks" / "export_memory.py", "--one", MODELS[stack]]
    command = [*map(str, (*program, tmp_path, verify, beside))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["factor"] < most


def test_a_model_that_is_too_large_for_one_file_is_refused_at_once(tmp_path: Path) -> None:
    # As large as it says, without taking the memory.
    kernel = np.broadcast_to(np.float32(1), (30_000, 20_000))
    x = ir.input_value("x", "float32", (dims.symbol("batch"), 30_000))
    graph = Graph((x,), (ops.matmul(x, ir.constant(kernel, "dense/kernel", borrowed=True)),), ("y",))
    start = time.perf_counter()
    with pytest.raises(
        ExportError, match=r"weights take 2\.2 GiB; one \.onnx file holds less than 2 GiB.*external_data=True"
    ):
        export_graph(graph, tmp_path / "m.onnx", external_data=False)
    assert time.perf_counter() - start < 1
    assert not (tmp_path / "m.onnx").exists()


def test_equal_large_weights_are_stored_once_and_different_ones_are_not(tmp_path: Path) -> None:
    x = ir.input_value("x", "float32", (dims.symbol("batch"), 100))
    one = np.random.default_rng(0).normal(size=(100, 100)).astype("float32")
    other = one.copy()
    other[-1, -1] += 1
    y = ops.matmul(ops.matmul(x, ir.constant(one, "a")), ir.constant(one.copy(), "b"))
    y = ops.matmul(y, ir.constant(other, "c"))
    export_graph(Graph((x,), (y,), ("y",)), tmp_path / "m.onnx")
    assert [t.name for t in onnx.load(tmp_path / "m.onnx").graph.initializer] == ["a", "c"]


@pytest.mark.parametrize("name", ["mlp", "flat_cnn_rgb", "masked_text", "growing"])
def test_the_file_is_what_protobuf_writes(name: str) -> None:
    target = onnx_target()
    emission = write(run_passes(GRAPHS[name](), FOR_INFERENCE, target), target, metadata={"a": "b"})
    assert emission.content == emission.model.SerializeToString(deterministic=True)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "int8", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 0), (200, 300)])
def test_arrays_of_every_kind_come_back_from_the_file(dtype: str, shape: tuple[int, ...]) -> None:
    frame = onnx.ModelProto(ir_version=8)
    array = (np.random.default_rng(0).normal(size=shape) * 9).astype(dtype)
    turned = np.asfortranarray(array)
    content = wire.to_bytes(frame, {"a": array, "b": turned})
    assert content == wire.whole(frame, {"a": array, "b": turned}).SerializeToString(deterministic=True)
    for tensor in onnx.load_from_string(content).graph.initializer:
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), array)
