"""Taking training-only randomness out of an inference graph."""

from __future__ import annotations

from seqc.errors import ExportError
from seqc.graph.ir import Graph, Value
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.random import Dropout, RandomUniform


def remove_dropout(graph: Graph, _: Target) -> Graph:
    """Returns the graph without Dropout.

    Exactly: dropout(x) = x where nothing is trained.

    Raises:
        ExportError: random numbers are still used afterwards.
    """

    def rule(_: Value, value: Value) -> Value | None:
        return value.inputs[0] if isinstance(value.op, Dropout) else None

    cleaned = rewrite(graph, rule)
    for value in cleaned.walk():
        if isinstance(value.op, RandomUniform):
            where = f"Layer '{value.scope}'" if value.scope else "The model"
            raise ExportError(f"{where} draws random numbers at inference. Draw them only when training is true.")
    return cleaned
