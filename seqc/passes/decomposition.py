"""Saying ops that a target does not have in simpler ones."""

from __future__ import annotations

from seqc.graph.ir import Graph, Item, Value, scope
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target


def decompose_ops(graph: Graph, target: Target) -> Graph:
    """Returns the graph with every op's `decompose` applied, until none has anything left to say.

    Exactly: f(x) = d(x) for each operation f and the simpler ones d that it says it means.
    """
    while True:
        changed = False

        def rule(old: Value, new: Value) -> Value | tuple[Value, ...] | None:
            nonlocal changed
            if isinstance(old.op, Item):
                return None
            with scope(old.scope):
                simpler = new.op.decompose(target, new, *new.inputs)
            changed = changed or simpler is not None
            return simpler

        graph = rewrite(graph, rule)
        if not changed:
            return graph
