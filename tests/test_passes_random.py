"""The pipelines keep the numbers of graphs that nobody thought of."""

from __future__ import annotations

from hypothesis import given, settings

from kit.drawn import may_be_odd
from kit.graph_numbers import assert_same_numbers
from kit.random_op_graphs import graphs
from seqc.export.pipelines import FOR_INFERENCE, FOR_TRAINING
from seqc.export.target import onnx_target
from seqc.graph.ir import Graph
from seqc.passes.pipeline import run_passes
from seqc.passes.precision import promote_floats


@may_be_odd
@settings(max_examples=60)
@given(graphs())
def test_any_graph_keeps_its_numbers_through_the_pipelines(g: Graph) -> None:
    before = promote_floats(g)
    for passes in (FOR_INFERENCE, FOR_TRAINING):
        assert_same_numbers(before, run_passes(before, passes, onnx_target()), 1e-10)
