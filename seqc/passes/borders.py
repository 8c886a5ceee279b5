"""Inputs and outputs that are channels-first outside, though channels-last inside."""

from __future__ import annotations

from collections.abc import Collection

from seqc.graph.ir import Graph, Input, Value, build
from seqc.graph.layout import natural
from seqc.graph.rewriting import rewrite
from seqc.ops.shape import Transpose
from seqc.sure import of_kind


def accept_channels_first(graph: Graph, names: Collection[str] | None = None) -> Graph:
    """Returns the graph taking inputs of rank 3 or more as (batch, channels, ...), as PyTorch's data come.

    Exactly: g(first(x)) = f(x), where g is the new graph and first(x) is x with its channels first.

    Args:
        names: of these inputs; by default all.
    """
    taken: dict[Value, Value] = {}
    inputs: list[Value] = []
    for x, name in zip(graph.inputs, graph.input_names, strict=True):
        rank = x.type.rank
        if rank < 3 or (names is not None and name not in names):
            inputs.append(x)
            continue
        old = of_kind(x.op, Input)
        first = (0, rank - 1, *range(1, rank - 1))
        op = Input(old.label, old.dtype, tuple(x.type.shape[a] for a in first))
        given = build(op, (), x.scope)
        taken[x] = build(Transpose(tuple(first.index(a) for a in natural(rank))), (given,), x.scope)
        inputs.append(given)
    moved = rewrite(graph, lambda old, _: taken.get(old))
    return Graph(tuple(inputs), moved.outputs, moved.output_names)


def give_channels_first(graph: Graph, names: Collection[str] | None = None) -> Graph:
    """Returns the graph giving outputs of rank 3 or more as (batch, channels, ...).

    Exactly: g(x) = first(f(x)), where g is the new graph.

    Args:
        names: of these outputs; by default all.
    """

    def turned(y: Value, name: str) -> Value:
        rank = y.type.rank
        if rank < 3 or (names is not None and name not in names):
            return y
        return build(Transpose((0, rank - 1, *range(1, rank - 1))), (y,), y.scope)

    outputs = tuple(turned(*pair) for pair in zip(graph.outputs, graph.output_names, strict=True))
    return Graph(graph.inputs, outputs, graph.output_names)
