"""What several passes need to look at a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from seqc.ir import Array, Constant, Graph, Value, build

PairRule = Callable[[Value, Value], Value | None]


def count_uses(graph: Graph) -> Counter[Value]:
    """Returns how often each value is an operand or an output."""
    uses = Counter(graph.outputs)
    for value in graph.walk():
        uses.update(value.inputs)
    return uses


def rewrite_pairs(graph: Graph, rule: PairRule) -> Graph:
    """Rebuilds a graph like `ir.rewrite`; the rule sees each node as it was and as it is with rewritten operands.

    The old node is what a count of uses knows.
    """
    done: dict[Value, Value] = {}
    for old in graph.walk():
        inputs = tuple(done[x] for x in old.inputs)
        same = all(a is b for a, b in zip(inputs, old.inputs, strict=True))
        new = old if same else build(old.op, inputs, old.scope)
        replacement = rule(old, new)
        done[old] = new if replacement is None else replacement
    inputs = tuple(done.get(x, x) for x in graph.inputs)
    return Graph(inputs, tuple(done[y] for y in graph.outputs), graph.output_names)


def known_array(value: Value) -> Array | None:
    """Returns the array of a constant, None for anything else."""
    return value.op.array if isinstance(value.op, Constant) else None
