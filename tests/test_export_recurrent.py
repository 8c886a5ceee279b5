"""What recurrent operations and their gradients become for ONNX computes in double precision what they say."""

from __future__ import annotations

import numpy as np
import pytest

from kit.op_checks import evaluate
from kit.op_rows import SIZES, OpSpec
from kit.op_specs_recurrent import recurrent_rows
from seqc.export.recurrent.gradients import scan_recurrent_gradients
from seqc.export.recurrent.lowering import lower_recurrent
from seqc.export.target import onnx_target
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph
from seqc.ops._recurrent import Recurrent
from seqc.ops._recurrent_grad import RecurrentGrad
from seqc.passes.pipeline import run_passes

ROWS = [spec for spec in recurrent_rows() if isinstance(spec.op, Recurrent | RecurrentGrad)]


@pytest.mark.parametrize("spec", ROWS, ids=str)
def test_lowering_keeps_the_numbers(spec: OpSpec) -> None:
    xs = spec.values()
    ys = spec.results_of(xs)
    whole = Graph(tuple(xs), ys, tuple(f"y{i}" for i in range(len(ys))))
    lowered = run_passes(whole, (scan_recurrent_gradients, lower_recurrent), onnx_target())
    assert not any(isinstance(v.op, Recurrent | RecurrentGrad) for v in lowered.walk())
    assert [y.type for y in lowered.outputs] == [y.type for y in ys]
    for sizes in SIZES:
        arrays = spec.arrays(np.random.default_rng(3), sizes)
        for got, expected in zip(Interpreter(lowered).run(arrays), evaluate(spec.op, arrays), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
