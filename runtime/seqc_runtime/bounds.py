"""Bounds on what a small file can make onnxruntime do while it is loaded, computed without the onnx package.

onnxruntime writes out functions and computes constants while it loads, before anything can stop it: functions that call
each other ten times each multiply to billions of nodes, and one `ConstantOfShape` can ask for any number of bytes. What
can be told from the file is checked here; a chain of nodes whose sizes follow from one another is not.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from seqc_runtime.wire import CHILDREN, TENSOR, Buffer, Field, MalformedError, fields, span, text, varint

# Generous: of the models people publish, the largest have some ten thousand nodes.
FREE_NODES, NODE_FACTOR = 100_000, 10
FREE_BYTES, BYTE_FACTOR = 1 << 30, 16

_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_FUNCTION_NAME, _FUNCTION_DOMAIN, _FUNCTION_OVERLOAD = 1, 10, 13
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN, _NODE_OVERLOAD = 1, 2, 4, 5, 7, 8
_ATTRIBUTE_NAME, _ATTRIBUTE_TENSOR, _ATTRIBUTE_INTS = 1, 5, 8
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_INT64_DATA, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 7, 8, 9
_SPARSE_DIMS, _INT64 = 3, 7
# A shape has few sizes; longer lists of numbers are data.
_MOST_SIZES = 64

# (domain, name, overload) of an operator or function.
Callee = tuple[str, str, str]


@dataclass
class _Node:
    callee: Callee
    inputs: list[str]
    outputs: list[str]
    shape: list[int] | None = None
    value: list[int] | None = None


@dataclass
class _Body:
    """A graph or function with the graphs inside it."""

    calls: Counter[Callee] = field(default_factory=Counter)
    nodes: list[_Node] = field(default_factory=list)
    numbers: dict[str, list[int]] = field(default_factory=dict)


def check_bounds(buffer: Buffer) -> None:
    """Check what a serialized ModelProto asks for against what its size allows.

    Raises MalformedError when it asks for more, or is not well-formed.
    """
    main, functions = _Body(), dict[Callee, _Body]()
    for f in fields(buffer, 0, len(buffer)):
        if f.number == _MODEL_GRAPH:
            _read_body(buffer, "GraphProto", f, main, len(buffer))
        elif f.number == _MODEL_FUNCTION:
            _read_body(buffer, "FunctionProto", f, functions.setdefault(_named(buffer, f), _Body()), len(buffer))
    written = sum(body.calls.total() for body in (main, *functions.values()))
    limit = max(FREE_NODES, NODE_FACTOR * written)
    if functions and _written_out(main, functions, limit) > limit:
        raise MalformedError(
            f"its functions call each other so often that it has more than {limit} nodes once they are written out"
        )
    for body in (main, *functions.values()):
        for node in body.nodes:
            _check_size(node, body.numbers, len(buffer))


def _named(buffer: Buffer, f: Field) -> Callee:
    found = {e.number: text(buffer, e) for e in fields(buffer, *span(f)) if e.number in (1, 10, 13)}
    domain, name, overload = (found.get(n, "") for n in (_FUNCTION_DOMAIN, _FUNCTION_NAME, _FUNCTION_OVERLOAD))
    return domain, name, overload


def _read_body(buffer: Buffer, kind: str, f: Field, body: _Body, size: int) -> None:
    pending = [(kind, *span(f))]
    while pending:
        kind, start, end = pending.pop()
        if kind == TENSOR:
            name, values = _tensor(buffer, start, end)
            if values is not None:
                body.numbers[name] = values
            continue
        if kind == "SparseTensorProto":
            dims = [n for e in fields(buffer, start, end) if e.number == _SPARSE_DIMS for n in _numbers(buffer, e)]
            _check_elements(dims, "a sparse tensor", size)
            continue
        if kind == "NodeProto":
            node = _node(buffer, start, end)
            body.calls[node.callee] += 1
            if node.callee[1] in _SIZES:
                body.nodes.append(node)
            if node.value is not None and node.outputs:
                body.numbers[node.outputs[0]] = node.value
        for e in fields(buffer, start, end):
            if e.number in CHILDREN[kind]:
                pending.append((CHILDREN[kind][e.number], *span(e)))


def _node(buffer: Buffer, start: int, end: int) -> _Node:
    words: dict[int, str] = {}
    node = _Node(("", "", ""), [], [])
    for f in fields(buffer, start, end):
        if f.number == _NODE_INPUT:
            node.inputs.append(text(buffer, f))
        elif f.number == _NODE_OUTPUT:
            node.outputs.append(text(buffer, f))
        elif f.number in (_NODE_OP, _NODE_DOMAIN, _NODE_OVERLOAD):
            words[f.number] = text(buffer, f)
        elif f.number == _NODE_ATTRIBUTE:
            _attribute(buffer, f, node)
    node.callee = words.get(_NODE_DOMAIN, ""), words.get(_NODE_OP, ""), words.get(_NODE_OVERLOAD, "")
    return node


def _attribute(buffer: Buffer, f: Field, node: _Node) -> None:
    parts = list(fields(buffer, *span(f)))
    name = next((text(buffer, e) for e in parts if e.number == _ATTRIBUTE_NAME), "")
    if name in ("shape", "value_ints"):
        values = [n for e in parts if e.number == _ATTRIBUTE_INTS for n in _numbers(buffer, e)]
        if name == "shape":
            node.shape = values
        else:
            node.value = values
    elif name == "value":
        for e in parts:
            if e.number == _ATTRIBUTE_TENSOR:
                node.value = _tensor(buffer, *span(e))[1]


def _tensor(buffer: Buffer, start: int, end: int) -> tuple[str, list[int] | None]:
    """The name of a tensor, and its numbers where it may be a shape."""
    name, kind, values = "", 0, list[int]()
    for f in fields(buffer, start, end):
        if f.number == _TENSOR_NAME:
            name = text(buffer, f)
        elif f.number == _TENSOR_TYPE:
            kind = f.value
        elif f.number == _TENSOR_INT64_DATA and len(values) <= _MOST_SIZES:
            values += _numbers(buffer, f)
        elif f.number == _TENSOR_RAW:
            first, last = span(f)
            if (last - first) % 8 == 0 and last - first <= 8 * _MOST_SIZES:
                values += struct.unpack(f"<{(last - first) // 8}q", buffer[first:last])
    return name, values if kind == _INT64 and len(values) <= _MOST_SIZES else None


def _numbers(buffer: Buffer, f: Field) -> Iterator[int]:
    """The int64 of a repeated field, packed or not."""
    if f.wire == 0:
        yield _signed(f.value)
        return
    position, end = span(f)
    while position < end:
        value, position = varint(buffer, position, end)
        yield _signed(value)


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _written_out(main: _Body, functions: dict[Callee, _Body], limit: int) -> int:
    """How many nodes there are without functions; more than `limit` counts as one more. Refuses recursion."""
    sizes: dict[Callee, int] = {}
    path: set[Callee] = set()

    def size(body: _Body) -> int:
        return min(limit + 1, sum(count * sizes.get(callee, 1) for callee, count in body.calls.items()))

    pending = [(callee, False) for callee in functions]
    while pending:
        callee, ready = pending.pop()
        if ready:
            path.discard(callee)
            sizes[callee] = size(functions[callee])
        elif callee not in sizes:
            if callee in path:
                raise MalformedError(f"function {callee[1]!r} calls itself")
            path.add(callee)
            pending.append((callee, True))
            inner = [c for c in functions[callee].calls if c in functions and c not in sizes]
            if any(c in path for c in inner):
                raise MalformedError(f"function {callee[1]!r} calls itself")
            pending += [(c, False) for c in inner]
    return size(main)


def _given(index: int) -> Callable[[_Node, dict[str, list[int]]], list[int] | None]:
    return lambda node, numbers: numbers.get(node.inputs[index]) if len(node.inputs) > index else None


# How to tell the shape that an operator makes, or how often it repeats what it gets.
_SIZES: dict[str, Callable[[_Node, dict[str, list[int]]], list[int] | None]] = {
    "ConstantOfShape": _given(0),
    "Expand": _given(1),
    "Tile": _given(1),
    "RandomNormal": lambda node, _: node.shape,
    "RandomUniform": lambda node, _: node.shape,
}


def _check_size(node: _Node, numbers: dict[str, list[int]], size: int) -> None:
    sizes = _SIZES[node.callee[1]](node, numbers)
    if sizes is not None and all(n > 0 for n in sizes):
        _check_elements(sizes, f"operator {node.callee[1]}", size)


def _check_elements(sizes: list[int], what: str, size: int) -> None:
    limit = FREE_BYTES + BYTE_FACTOR * size
    if math.prod(sizes) * 4 > limit:
        raise MalformedError(f"{what} makes an array of shape {sizes[:8]}, larger than {limit} bytes")
