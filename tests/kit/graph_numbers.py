"""Running graphs, and comparing what they give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqc.export.samples import draw_inputs
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph

SIZES = {"batch": 5, "time": 6, "height": 7, "width": 8}


def ops_of(g: Graph) -> list[str]:
    return [v.op.name for v in g.walk() if v.inputs]


def run(g: Graph, arrays: Sequence[Array]) -> list[Array]:
    return [np.asarray(a) for a in Interpreter(g).run(arrays)]


def assert_same_numbers(before: Graph, after: Graph, tolerance: float = 1e-12) -> None:
    """Both graphs must have been made in float64: what differs is more than rounding."""
    assert before.output_names == after.output_names
    assert [y.type for y in before.outputs] == [y.type for y in after.outputs]
    arrays = draw_inputs(before, SIZES, 3)
    for a, b in zip(run(before, arrays), run(after, arrays), strict=True):
        np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance)
