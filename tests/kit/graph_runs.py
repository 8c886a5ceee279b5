"""Running one traced graph on NumPy and on onnxruntime alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph

Run = Callable[[Sequence[Array]], Sequence[Array]]


def step_file(graph: Graph, opset: int = 18) -> bytes:
    """A step graph, or any whose weights are inputs, as an ONNX file."""
    from seqc.export.emitter import write
    from seqc.export.pipelines import FOR_TRAINING
    from seqc.export.target import onnx_target
    from seqc.passes.pipeline import run_passes

    target = onnx_target(opset)
    return write(run_passes(graph, FOR_TRAINING, target), target).content


def on_numpy(graph: Graph) -> Run:
    return Interpreter(graph).run


def on_onnxruntime(graph: Graph) -> Run:
    pytest.importorskip("onnxruntime")
    from seqc.backends.onnxruntime import Session

    session = Session(step_file(graph), threads=1)

    def run(arrays: Sequence[Array]) -> Sequence[Array]:
        named = dict(zip(graph.input_names, arrays, strict=True))
        results = session.run({name: named[name] for name in session.input_names})
        return [results[name] for name in graph.output_names]

    return run
