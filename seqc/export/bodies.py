"""Graphs inside operations."""

from __future__ import annotations

from dataclasses import replace

from seqc.export.recurrent.lowering import lower_recurrent
from seqc.graph.ir import Array, Constant, Graph, Value, build
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.steps import Scan
from seqc.passes.bias import fuse_bias
from seqc.passes.binding import bind_constants
from seqc.passes.constants import fold_constants
from seqc.passes.decomposition import decompose_ops
from seqc.passes.duplicates import merge_duplicates
from seqc.passes.integers import widen_integers
from seqc.passes.layout_plan import plan_layout
from seqc.passes.shapes import simplify_shapes

_FOR_BODIES = (
    lower_recurrent,
    decompose_ops,
    widen_integers,
    merge_duplicates,
    fold_constants,
    fuse_bias,
    simplify_shapes,
    plan_layout,
    fold_constants,
    simplify_shapes,
)


def prepare_bodies(graph: Graph, target: Target) -> Graph:
    """Returns the graph with what Scans run at each step made ready as well; constants that it reads move inside.

    Exactly: scan(f) = scan(g) where f = g step by step, and scan(f) of h(w) = scan(f after h) of w for what no step
    changes.
    """

    def rule(_: Value, value: Value) -> Value | None:
        if not isinstance(value.op, Scan):
            return None
        fixed: dict[Value, Array] = {}
        kept = list(value.inputs[: value.op.states + value.op.sequences])
        first = len(kept)
        for inner, x in zip(value.op.body.inputs[first:], value.inputs[first:], strict=True):
            if isinstance(x.op, Constant):
                fixed[inner] = x.op.array
            else:
                kept.append(x)
        body = bind_constants(value.op.body, fixed)
        for one in _FOR_BODIES:
            body = one(body, target)
        return build(replace(value.op, body=body), tuple(kept), value.scope)

    return rewrite(graph, rule)
