"""Running one traced graph on NumPy and on onnxruntime alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph

Run = Callable[[Sequence[Array]], Sequence[Array]]


def on_numpy(graph: Graph) -> Run:
    return Interpreter(graph).run


def on_onnxruntime(graph: Graph) -> Run:
    pytest.importorskip("onnxruntime")
    from seqc.backends.onnxruntime import Session
    from seqc.export.emitter import write
    from seqc.passes import FOR_TRAINING, run_passes

    session = Session(write(run_passes(graph, FOR_TRAINING)).content, threads=1)

    def run(arrays: Sequence[Array]) -> Sequence[Array]:
        named = dict(zip(graph.input_names, arrays, strict=True))
        results = session.run({name: named[name] for name in session.input_names})
        return [results[name] for name in graph.output_names]

    return run
