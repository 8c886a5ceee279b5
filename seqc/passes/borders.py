"""Inputs and outputs that are channels-first outside, though channels-last inside."""

from __future__ import annotations

from seqc.graph.ir import Graph, Input, Value, build
from seqc.graph.layout import natural
from seqc.graph.rewriting import rewrite
from seqc.ops.shape import Transpose


def accept_channels_first(graph: Graph) -> Graph:
    """Returns the graph taking each input of rank 3 or more as (batch, channels, ...), as PyTorch's data come."""
    taken: dict[Value, Value] = {}
    inputs: list[Value] = []
    for x in graph.inputs:
        rank = x.type.rank
        if rank < 3:
            inputs.append(x)
            continue
        assert isinstance(x.op, Input)
        first = (0, rank - 1, *range(1, rank - 1))
        op = Input(x.op.label, x.op.dtype, tuple(x.type.shape[a] for a in first))
        given = build(op, (), x.scope)
        taken[x] = build(Transpose(tuple(first.index(a) for a in natural(rank))), (given,), x.scope)
        inputs.append(given)
    moved = rewrite(graph, lambda old, _: taken.get(old))
    return Graph(tuple(inputs), moved.outputs, moved.output_names)


def give_channels_first(graph: Graph) -> Graph:
    """Returns the graph giving each output of rank 3 or more as (batch, channels, ...)."""

    def turned(y: Value) -> Value:
        rank = y.type.rank
        return y if rank < 3 else build(Transpose((0, rank - 1, *range(1, rank - 1))), (y,), y.scope)

    return Graph(graph.inputs, tuple(turned(y) for y in graph.outputs), graph.output_names)
