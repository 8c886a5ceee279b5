"""Computing equal things once."""

from __future__ import annotations

from seqc.graph.ir import Graph, Input, Op, Value
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target


def merge_duplicates(graph: Graph, _: Target) -> Graph:
    """Returns the graph with nodes of equal op and operands merged; the first of them stays.

    Exactly: y = f(x) and z = f(x) give y = z, for one f of one x.
    """
    known: dict[tuple[Op, tuple[Value, ...]], Value] = {}

    def rule(_: Value, value: Value) -> Value | None:
        if isinstance(value.op, Input):
            return None
        return known.setdefault((value.op, value.inputs), value)

    return rewrite(graph, rule)
