"""Functions of `seqc.ops` made of several operations: free sizes, gradients, and onnxruntime, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from kit import op_checks
from kit.function_kinds import FunctionSpec
from kit.function_rows import FUNCTIONS
from kit.graph_runs import step_file
from kit.op_rows import SIZES
from seqc.graph import dims, ir
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph


def graph_of(spec: FunctionSpec, dtype: str) -> Graph:
    values = spec.values(dtype)
    return Graph(tuple(values), spec.results_of(values), ("y",))


def test_rows_have_different_names() -> None:
    assert len({spec.id for spec in FUNCTIONS}) == len(FUNCTIONS)


@pytest.mark.parametrize("spec", FUNCTIONS, ids=str)
def test_a_function_built_once_serves_every_size(spec: FunctionSpec) -> None:
    graph = graph_of(spec, "float64")
    interpreter = Interpreter(graph)
    for sizes in SIZES:
        arrays = spec.arrays(np.random.default_rng(1), sizes)
        with np.errstate(all="ignore"):
            wanted = np.asarray(spec.expected(*arrays))
        got = np.asarray(interpreter.run(arrays)[0])
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)
        assert got.shape == tuple(dims.evaluate(d, sizes) for d in graph.outputs[0].type.shape)
        assert got.dtype.name == graph.outputs[0].dtype
        eager = spec.op.function(*map(ir.constant, arrays))
        np.testing.assert_allclose(np.asarray(eager), got, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spec", [s for s in FUNCTIONS if any(s.differentiable)], ids=str)
def test_gradient_agrees_with_finite_differences(spec: FunctionSpec) -> None:
    op_checks.check_gradient(spec, SIZES[1], np.random.default_rng(2))


@pytest.mark.parametrize("spec", FUNCTIONS, ids=str)
def test_onnxruntime_computes_what_numpy_does(spec: FunctionSpec) -> None:
    pytest.importorskip("onnx", reason="needs onnx")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    from seqc.backends.onnxruntime import Session

    graph = graph_of(spec, "float32")
    session = Session(step_file(graph), threads=1)
    for sizes in SIZES:
        arrays = spec.arrays(np.random.default_rng(sizes["batch"]), sizes, "float32")
        got = session.run(dict(zip(graph.input_names, arrays, strict=True)))["y"]
        wanted = np.asarray(Interpreter(graph).run(arrays)[0])
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
        largest = np.max(np.abs(wanted[np.isfinite(wanted)]), initial=0)
        np.testing.assert_allclose(got, wanted, rtol=4e-6, atol=4e-6 * largest)
