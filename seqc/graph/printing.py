"""Graphs as text."""

from __future__ import annotations

import dataclasses

from seqc.graph.ir import Constant, Graph, Input, Item, Value


def format_graph(graph: Graph) -> str:
    """Returns the graph as text: one line per node, graphs in ops below them; the same text for the same graph."""
    label: dict[Value, str] = {}
    count = 0
    signature = ", ".join(f"{n}: {x.type}" for n, x in zip(graph.input_names, graph.inputs, strict=True))
    lines = [f"graph({signature})"]
    for value in graph.walk():
        op = value.op
        if isinstance(op, Input):
            label[value] = op.label
        elif isinstance(op, Constant):
            label[value] = repr(op.array.item()) if op.array.size == 1 else f"{op.label or 'const'}:{value.type}"
        elif isinstance(op, Item):
            label[value] = f"{label[value.inputs[0]]}.{op.index}"
        else:
            label[value] = f"%{count}"
            count += 1
            operands = ", ".join(label[x] for x in value.inputs)
            result = value.result if isinstance(value.result, tuple) else (value.result,)
            lines.append(f"  {label[value]} = {op!r} <- {operands} : {', '.join(map(str, result))}")
            inner = [getattr(op, f.name) for f in dataclasses.fields(op)]
            lines += [f"    {line}" for x in inner if isinstance(x, Graph) for line in format_graph(x).splitlines()]
    lines += [f"  return {n}={label[y]}" for n, y in zip(graph.output_names, graph.outputs, strict=True)]
    return "\n".join(lines)
