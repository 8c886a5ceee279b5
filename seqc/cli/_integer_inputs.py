"""Which whole numbers an input of a file may hold, where its nodes show it: places in a table, bytes of an image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx

from seqc.cli._onnx import captured
from seqc.graph.ir import Array

# Operators that give the same numbers on.
_SAME = frozenset({"Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice"})
_FLOATS = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE})
_BYTES: Mapping[int, Array] = {
    onnx.TensorProto.UINT8: np.arange(256, dtype=np.uint8),
    onnx.TensorProto.INT8: np.arange(-128, 128).astype(np.int8),
}
# Of larger tables, only so many places are drawn.
_MOST_PLACES = 1 << 20


def integer_inputs(graph: onnx.GraphProto) -> dict[str, Array]:
    """Returns what inputs may hold, by name.

    Of those that do nothing but choose rows of tables, that is the places of all tables; of bytes that become floats,
    all bytes. Others may need what nodes do not show, and are left out.
    """
    weights = {t.name: t for t in graph.initializer}
    readers: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for node in graph.node:
        for place, name in enumerate((*node.input, *captured(node))):
            readers.setdefault(name, []).append((node, place))
    found: dict[str, Array] = {}
    for port in graph.input:
        kind = port.type.tensor_type.elem_type
        uses = list(_uses(port.name, readers))
        if not uses or port.name in weights:
            continue
        rows = [_rows(node, place, weights) for node, place in uses]
        if all(rows):
            found[port.name] = np.arange(min(min(filter(None, rows)), _MOST_PLACES))
        elif kind in _BYTES and all(map(_to_floats, (node for node, _ in uses))):
            found[port.name] = _BYTES[kind]
    return found


def _uses(name: str, readers: Mapping[str, list[tuple[onnx.NodeProto, int]]]) -> Iterator[tuple[onnx.NodeProto, int]]:
    """Yields what reads a tensor's numbers, through what hands them on."""
    waiting, seen = [name], {name}
    while waiting:
        for node, place in readers.get(waiting.pop(), ()):
            on = place == 0 and (node.op_type in _SAME or (node.op_type == "Cast" and not _to_floats(node)))
            if not on:
                yield node, place
            elif node.output[0] not in seen:
                seen.add(node.output[0])
                waiting.append(node.output[0])


def _rows(node: onnx.NodeProto, place: int, weights: Mapping[str, onnx.TensorProto]) -> int:
    """Returns of how many rows a use chooses; 0 where it is no such choice."""
    if node.op_type != "Gather" or place != 1 or node.input[0] not in weights:
        return 0
    axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
    sizes = weights[node.input[0]].dims
    return int(sizes[axis]) if -len(sizes) <= axis < len(sizes) else 0


def _to_floats(node: onnx.NodeProto) -> bool:
    return node.op_type == "Cast" and any(a.name == "to" and a.i in _FLOATS for a in node.attribute)
