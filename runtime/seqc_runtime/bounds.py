"""Bounds on what a small file can make onnxruntime do while it is loaded, computed without the onnx package.

onnxruntime writes out functions and computes constants while it loads, before anything can stop it: functions that call
each other ten times each multiply to billions of nodes, and one `ConstantOfShape` can ask for any number of bytes. What
can be told from the file is checked here; sizes that are computed while the model runs cannot be.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from seqc_runtime.shapes import MOST_SIZES, RULES, Constants, ShapeNode, Sizes, check_shapes
from seqc_runtime.wire import CHILDREN, TENSOR, Buffer, Field, MalformedError, fields, signed, span, text, varint

_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_FUNCTION_NAME, _FUNCTION_DOMAIN, _FUNCTION_OVERLOAD = 1, 10, 13
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN, _NODE_OVERLOAD = 1, 2, 4, 5, 7, 8
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_TENSOR, _ATTRIBUTE_INTS = 1, 3, 5, 8
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_INT64_DATA, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 7, 8, 9
_SPARSE_DIMS, _INT64 = 3, 7

# (domain, name, overload) of an operator or function.
Callee = tuple[str, str, str]


@dataclass(frozen=True)
class Bounds:
    """What a file may ask for: `free` whatever its size, and beyond that `factor` times what it has itself.

    The defaults are generous: of the models people publish, the largest have some ten thousand nodes.
    """

    free_nodes: int = 100_000
    node_factor: int = 10
    free_bytes: int = 1 << 30
    byte_factor: int = 16


DEFAULT = Bounds()


@dataclass
class _Body:
    """A graph or function with the graphs inside it."""

    calls: Counter[Callee] = field(default_factory=Counter)
    nodes: list[ShapeNode] = field(default_factory=list)
    constants: Constants = field(default_factory=Constants)


def check_bounds(buffer: Buffer, bounds: Bounds = DEFAULT) -> None:
    """Check what a serialized ModelProto asks for against what its size allows.

    Raises MalformedError when it asks for more, or is not well-formed.
    """
    most_bytes = bounds.free_bytes + bounds.byte_factor * len(buffer)

    def check_elements(sizes: Sizes, what: str) -> None:
        if math.prod(sizes) * 4 > most_bytes:
            raise MalformedError(f"{what} makes an array of shape {list(sizes[:8])}, larger than {most_bytes} bytes")

    main, functions = _Body(), dict[Callee, _Body]()
    for f in fields(buffer, 0, len(buffer)):
        if f.number == _MODEL_GRAPH:
            _read_body(buffer, "GraphProto", f, main)
        elif f.number == _MODEL_FUNCTION:
            _read_body(buffer, "FunctionProto", f, functions.setdefault(_named(buffer, f), _Body()))
    written = sum(body.calls.total() for body in (main, *functions.values()))
    limit = max(bounds.free_nodes, bounds.node_factor * written)
    if functions and _written_out(main, functions, limit) > limit:
        raise MalformedError(
            f"its functions call each other so often that it has more than {limit} nodes once they are written out"
        )
    for body in (main, *functions.values()):
        for name, shape in body.constants.shapes.items():
            if name == _SPARSE:
                check_elements(shape, "a sparse tensor")
        check_shapes(body.nodes, body.constants, check_elements)


# No name in a file is this: the largest sparse tensor is remembered by it.
_SPARSE = "\0sparse"


def _named(buffer: Buffer, f: Field) -> Callee:
    found = {e.number: text(buffer, e) for e in fields(buffer, *span(f)) if e.number in (1, 10, 13)}
    return _callee(*(found.get(n, "") for n in (_FUNCTION_DOMAIN, _FUNCTION_NAME, _FUNCTION_OVERLOAD)))


def _callee(domain: str, name: str, overload: str) -> Callee:
    # The standard domain has two names.
    return "" if domain == "ai.onnx" else domain, name, overload


def _read_body(buffer: Buffer, kind: str, f: Field, body: _Body) -> None:
    pending = [(kind, *span(f))]
    while pending:
        kind, start, end = pending.pop()
        if kind == TENSOR:
            body.constants.add(*_tensor(buffer, start, end))
            continue
        if kind == "SparseTensorProto":
            dims = _few(buffer, (e for e in fields(buffer, start, end) if e.number == _SPARSE_DIMS))
            body.constants.add(_SPARSE, _shape(dims), None)
            continue
        if kind == "NodeProto":
            _read_node(buffer, start, end, body)
        children = CHILDREN[kind]
        pending += [(children[e.number], *span(e)) for e in fields(buffer, start, end) if e.number in children]


def _read_node(buffer: Buffer, start: int, end: int, body: _Body) -> None:
    words: dict[int, str] = {}
    node = ShapeNode("", [], [])
    attributes: list[Field] = []
    for f in fields(buffer, start, end):
        if f.number == _NODE_INPUT:
            node.inputs.append(text(buffer, f))
        elif f.number == _NODE_OUTPUT:
            node.outputs.append(text(buffer, f))
        elif f.number in (_NODE_OP, _NODE_DOMAIN, _NODE_OVERLOAD):
            words[f.number] = text(buffer, f)
        elif f.number == _NODE_ATTRIBUTE:
            attributes.append(f)
    callee = _callee(*(words.get(n, "") for n in (_NODE_DOMAIN, _NODE_OP, _NODE_OVERLOAD)))
    body.calls[callee] += 1
    node.op = callee[1]
    if node.op in RULES or node.op == "Constant":
        constant = [value for f in attributes if (value := _read_attribute(buffer, f, node))]
        if node.op == "Constant" and constant and node.outputs:
            body.constants.add(node.outputs[0], *constant[-1])
    if node.op in RULES:
        body.nodes.append(node)


def _read_attribute(buffer: Buffer, f: Field, node: ShapeNode) -> tuple[Sizes | None, Sizes | None] | None:
    """Note what an attribute says in the node; the shape and numbers of the constant that it is, if it is one."""
    parts = {e.number: e for e in fields(buffer, *span(f))}
    name = text(buffer, parts[_ATTRIBUTE_NAME]) if _ATTRIBUTE_NAME in parts else ""
    if name == "axis" and _ATTRIBUTE_INT in parts:
        node.axis = signed(parts[_ATTRIBUTE_INT].value)
    elif name in ("shape", "value_ints"):
        values = tuple(_few(buffer, (e for e in fields(buffer, *span(f)) if e.number == _ATTRIBUTE_INTS)))
        numbers = values if len(values) <= MOST_SIZES else None
        if name == "shape":
            node.shape = numbers
        return (len(values),), numbers
    elif name == "value" and _ATTRIBUTE_TENSOR in parts:
        return _tensor(buffer, *span(parts[_ATTRIBUTE_TENSOR]))[1:]
    return None


def _tensor(buffer: Buffer, start: int, end: int) -> tuple[str, Sizes, Sizes | None]:
    """The name and shape of a tensor, and its numbers where they may be sizes."""
    name, kind, raw = "", 0, None
    sizes: list[int] = []
    typed: list[int] = []
    for f in fields(buffer, start, end):
        if f.number == _TENSOR_NAME:
            name = text(buffer, f)
        elif f.number == _TENSOR_DIMS:
            _add_few(buffer, f, sizes)
        elif f.number == _TENSOR_TYPE:
            kind = f.value & 0xFFFFFFFF
        elif f.number == _TENSOR_INT64_DATA:
            _add_few(buffer, f, typed)
        elif f.number == _TENSOR_RAW:
            raw = span(f)
    shape = _shape(sizes)
    if kind != _INT64:
        return name, shape, None
    if raw is None:
        values = tuple(typed)
    else:
        count = min((raw[1] - raw[0]) // 8, MOST_SIZES + 1)
        values = struct.unpack(f"<{count}q", buffer[raw[0] : raw[0] + 8 * count])
    return name, shape, values if len(values) <= MOST_SIZES else None


def _shape(sizes: list[int]) -> Sizes:
    # NumPy arrays have no more, and the product of a million sizes takes hours.
    if len(sizes) > MOST_SIZES:
        raise MalformedError(f"a tensor has more than {MOST_SIZES} dimensions")
    return tuple(sizes)


def _few(buffer: Buffer, parts: Iterator[Field]) -> list[int]:
    """The int64 of a repeated field, one more than a shape has at most: those of weights are not read."""
    return list(islice((n for f in parts for n in _numbers(buffer, f)), MOST_SIZES + 1))


def _add_few(buffer: Buffer, f: Field, numbers: list[int]) -> None:
    """Add the int64 of a part of a repeated field, up to one more than a shape has at most."""
    numbers += islice(_numbers(buffer, f), MOST_SIZES + 1 - len(numbers))


def _numbers(buffer: Buffer, f: Field) -> Iterator[int]:
    """The int64 of a repeated field, packed or not."""
    if f.wire == 0:
        yield signed(f.value)
        return
    position, end = span(f)
    while position < end:
        value, position = varint(buffer, position, end)
        yield signed(value)


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
