"""The one way in which graphs are rebuilt."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from seqc.errors import NoLoweringError
from seqc.graph import dims
from seqc.graph.dims import Dim
from seqc.graph.ir import Graph, Input, Item, Type, Value, build

Result = Type | tuple[Type, ...]
Rule = Callable[[Value, Value], "Value | tuple[Value, ...] | None"]


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """Rebuilds a graph from its leaves; where `rule` returns something, that takes the node's place.

    Args:
        graph: what to rebuild; inputs that nothing reads are seen, too.
        rule: called with a node as it was, which is what a count of uses knows, and as it is with operands that are
            rewritten already. Of a node with several results it may return them one by one.

    Returns:
        The graph; itself if nothing has changed.
    """
    moved: dict[Value, Value | tuple[Value, ...]] = {}
    for old in graph.everything:
        new = old
        if not moved.keys().isdisjoint(old.inputs):
            if isinstance(old.op, Item) and isinstance(whole := moved[old.inputs[0]], tuple):
                moved[old] = whole[old.op.index]
                continue
            new = with_operands(old, tuple(_single(moved, x) for x in old.inputs))
        replacement = rule(old, new)
        if replacement is not None:
            moved[old] = replacement
        elif new is not old:
            moved[old] = new
    if not moved:
        return graph
    inputs = tuple(_single(moved, x) for x in graph.inputs)
    return Graph(inputs, tuple(_single(moved, y) for y in graph.outputs), graph.output_names)


def with_operands(old: Value, inputs: tuple[Value, ...]) -> Value:
    """Returns a node with other operands. What it gives follows from their types, and so is known where these stay."""
    changed = [(x, before) for x, before in zip(inputs, old.inputs, strict=True) if x is not before]
    if not changed:
        return old
    if all(x.result is before.result or _same_type(x.result, before.result) for x, before in changed):
        return Value(old.op, inputs, old.result, old.scope)
    return build(old.op, inputs, old.scope)


def _same_type(a: Result, b: Result) -> bool:
    if isinstance(a, tuple) or isinstance(b, tuple):
        return isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b) and all(map(_same_type, a, b))
    return a == b and a.size == b.size


def _single(moved: Mapping[Value, Value | tuple[Value, ...]], old: Value) -> Value:
    found = moved.get(old, old)
    if isinstance(found, tuple):
        raise NoLoweringError(f"{old.op!r} became {len(found)} results; pick one.")
    return found


def with_sizes(graph: Graph, sizes: Mapping[str, Dim]) -> Graph:
    """Returns the graph with other sizes in the place of names of axes: numbers, or other names."""
    if not any(dims.names(d) & set(sizes) for x in graph.inputs for d in x.type.shape):
        return graph

    def rule(_: Value, v: Value) -> Value | None:
        if not isinstance(v.op, Input):
            return None
        op = Input(v.op.label, v.op.dtype, tuple(dims.substitute(d, sizes) for d in v.op.shape))
        return Value(op, (), op.infer(), v.scope)

    return rewrite(graph, rule)
