"""Saying ops that ONNX does not have in simpler ones."""

from __future__ import annotations

from seqc.errors import NoLoweringError
from seqc.ir import Graph, Item, Value, build, scope


def decompose_ops(graph: Graph) -> Graph:
    """Returns the graph with every op's `decompose` applied, until none has anything left to say."""
    changed = True
    while changed:
        graph, changed = _once(graph)
    return graph


def _once(graph: Graph) -> tuple[Graph, bool]:
    done: dict[Value, Value | tuple[Value, ...]] = {}
    changed = False

    def single(old: Value) -> Value:
        found = done[old]
        if isinstance(found, tuple):
            raise NoLoweringError(f"{old.op!r} has {len(found)} results in ONNX; pick one.")
        return found

    for old in graph.walk():
        if isinstance(old.op, Item):
            whole = done[old.inputs[0]]
            done[old] = _pick(old, whole)
            continue
        inputs = tuple(single(x) for x in old.inputs)
        same = all(a is b for a, b in zip(inputs, old.inputs, strict=True))
        new = old if same else build(old.op, inputs, old.scope)
        with scope(old.scope):
            simpler = new.op.decompose(new, *new.inputs)
        changed = changed or simpler is not None
        done[old] = new if simpler is None else simpler
    inputs = tuple(single(x) if x in done else x for x in graph.inputs)
    return Graph(inputs, tuple(single(y) for y in graph.outputs), graph.output_names), changed


def _pick(item: Value, whole: Value | tuple[Value, ...]) -> Value:
    assert isinstance(item.op, Item)
    if isinstance(whole, Value):
        return item if whole is item.inputs[0] else build(item.op, (whole,), item.scope)
    if item.op.index >= len(whole):
        source = item.inputs[0]
        where = f"Layer '{source.scope}'" if source.scope else "The graph"
        raise NoLoweringError(f"{where} needs the inner values of {source.op.name}, which ONNX does not give.")
    return whole[item.op.index]
