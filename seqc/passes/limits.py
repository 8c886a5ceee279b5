"""Limits after limits, as one."""

from __future__ import annotations

import math

from seqc.graph.ir import Graph, Value, build
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.arithmetic import Clip
from seqc.ops.nonlinear import Relu


def join_limits(graph: Graph, _: Target) -> Graph:
    """Returns the graph with Relu and Clip after one another as one Clip: a Relu up to six is a Clip to [0, 6].

    Exactly: max(c, min(d, max(a, min(b, x)))) = max(p, min(q, x)) with a <= b, c <= d, p and q being a and b
    brought between c and d; relu(x) = max(0, x).

    Only without gradients, which differ on the limits themselves.
    """

    def rule(_: Value, value: Value) -> Value | None:
        outer = _limits(value)
        inner = None if outer is None else _limits(value.inputs[0])
        if outer is None or inner is None:
            return None
        low, high = (min(max(limit, outer[0]), outer[1]) for limit in inner)
        return build(Clip(low, high), value.inputs[0].inputs, value.scope)

    return rewrite(graph, rule)


def _limits(value: Value) -> tuple[float, float] | None:
    op = value.op
    if not isinstance(op, Relu | Clip) or not value.type.is_float:
        return None
    low, high = (0.0, math.inf) if isinstance(op, Relu) else (op.low, op.high)
    return (low, high) if low <= high else None
