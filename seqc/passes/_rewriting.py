"""What several passes need to look at a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from seqc.graph.ir import Array, Constant, Graph, Value


def count_uses(graph: Graph) -> Counter[Value]:
    """Returns how often each value is an operand or an output."""
    uses = Counter(graph.outputs)
    for value in graph.walk():
        uses.update(value.inputs)
    return uses


def known_array(value: Value) -> Array | None:
    """Returns the array of a constant, None for anything else."""
    return value.op.array if isinstance(value.op, Constant) else None


def until_nothing_changes(graph: Graph, once: Callable[[Graph], Graph]) -> Graph:
    """Returns the graph after as many rounds as change something."""
    while True:
        after = once(graph)
        if all(a is b for a, b in zip(after.outputs, graph.outputs, strict=True)):
            return graph
        graph = after


def shared_name(*names: str) -> str:
    """Returns what paths have in common, part by part: `a/kernel` of `a/query/kernel` and `a/key/kernel`."""
    return "/".join(parts[0] for parts in zip(*(n.split("/") for n in names), strict=False) if len(set(parts)) == 1)
