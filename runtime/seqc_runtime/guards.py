"""A step before recurrent operators that refuses what onnxruntime does not survive, put in while a model is loaded.

A GRU over no steps or no sequences ends the process, and so does an LSTM over no sequences. What arrives at the inputs
is looked at elsewhere; a slice inside the model may leave nothing of what is short. A Reshape that keeps the shape
costs nothing, and refuses one of which the sizes that it has to keep multiply to zero.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from seqc_runtime.empties import release_of
from seqc_runtime.source import Source
from seqc_runtime.wire import Field, fields, span, text

# What the names of the steps begin with.
GUARD = "seqc_runtime.guard"

# The shapes that steps ask for: 0 keeps a size, and -1 is what is left.
_SHAPES = {"GRU": (0, 0, -1), "LSTM": (-1, 0, 0)}
# Operators that make nothing empty of what is not. In a file of these alone, what is not empty at the inputs is not
# empty anywhere.
_KEEPING = {
    *("Abs", "Add", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Div", "Dropout", "Elu", "Exp"),
    *("Flatten", "GRU", "Gather", "Gelu", "Gemm", "HardSigmoid", "Identity", "LSTM", "LayerNormalization", "LeakyRelu"),
    *("Log", "MatMul", "Max", "Min", "Mul", "Neg", "PRelu", "Pow", "RNN", "Relu", "Reshape", "Selu", "Sigmoid"),
    *("Softmax", "Softplus", "Softsign", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Transpose", "Unsqueeze", "Where"),
}
_WAY = {
    "ModelProto": {7: "GraphProto", 25: "FunctionProto"},
    "GraphProto": {1: "NodeProto"},
    "FunctionProto": {7: "NodeProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {6: "GraphProto", 11: "GraphProto"},
}
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 3, 4, 5, 7
# Messages inside each other that parsers of protobuf read.
_DEEPEST = 100
# The option that says where weights beside the file are, and the first release that knows it.
_FOLDER, _FINDING = "session.model_external_initializers_file_folder_path", (1, 21)


def with_guards(source: Source, release: str) -> tuple[bytes, dict[str, str]] | None:
    """The model with steps, and session options for it by onnxruntime's names.

    None for a model that needs no step, and for one that this release can only read from its file.
    """
    operators = source.facts.operators
    if operators.isdisjoint(_SHAPES) or operators <= _KEEPING:
        return None
    if source.facts.external_locations and release_of(release) < _FINDING:
        return None
    if isinstance(source.target, bytes):
        return guarded(source.target), {}
    return guarded(Path(source.target).read_bytes()), {_FOLDER: os.path.dirname(source.target)}


def guarded(data: bytes) -> bytes:
    """A serialized ModelProto with a step before each operator that needs one, in bodies and functions, too."""
    prefix = GUARD
    while prefix.encode() in data:
        prefix += "_"
    names = (f"{prefix}.{number}" for number in count())
    return _rewritten(data, "ModelProto", 0, len(data), names, _DEEPEST) or data


def _rewritten(data: bytes, kind: str, start: int, end: int, names: Iterator[str], depth: int) -> bytes | None:
    """The message between two places with all steps inside it; None where there are none."""
    pieces: list[bytes] = []
    copied = begin = start
    for f in fields(data, start, end):
        child = _WAY[kind].get(f.number)
        inside = _rewritten(data, child, *span(f), names, depth - 1) if child and depth else None
        steps = b""
        if child == "NodeProto":
            content = data[f.start : f.end] if inside is None else inside
            shape = _shape_for(content)
            if shape is not None:
                steps, inside = _with_step(content, shape, f.number, next(names))
        if inside is not None:
            pieces += [data[copied:begin], steps, _message(f.number, inside)]
            copied = f.end
        begin = f.end
    return b"".join([*pieces, data[copied:end]]) if pieces else None


def _shape_for(node: bytes) -> tuple[int, ...] | None:
    """What a step before this node asks for."""
    said = {f.number: text(node, f) for f in fields(node, 0, len(node)) if f.number in (_NODE_OP, _NODE_DOMAIN)}
    return _SHAPES.get(said.get(_NODE_OP, "")) if said.get(_NODE_DOMAIN, "") in ("", "ai.onnx") else None


def _with_step(node: bytes, shape: tuple[int, ...], number: int, name: str) -> tuple[bytes, bytes]:
    """The nodes that are a step, as fields of this number, and the node that reads what comes of it."""
    first: Field | None = next((f for f in fields(node, 0, len(node)) if f.number == _NODE_INPUT), None)
    if first is None:
        return b"", node
    sizes, kept = f"{name}.shape".encode(), name.encode()
    tensor = bytes([1 << 3, len(shape), 2 << 3, 7]) + _message(9, struct.pack(f"<{len(shape)}q", *shape))
    value = _message(1, b"value") + _message(5, tensor) + _varint(20 << 3) + b"\4"
    constant = _message(_NODE_OUTPUT, sizes) + _message(_NODE_OP, b"Constant") + _message(_NODE_ATTRIBUTE, value)
    reshape = (
        _message(_NODE_INPUT, node[first.start : first.end])
        + _message(_NODE_INPUT, sizes)
        + _message(_NODE_OUTPUT, kept)
        + _message(_NODE_NAME, kept)
        + _message(_NODE_OP, b"Reshape")
    )
    # Inputs keep the order of their fields, which is all that says which is which.
    begin = _start_of(node, first)
    changed = node[:begin] + _message(_NODE_INPUT, kept) + node[first.end :]
    return _message(number, constant) + _message(number, reshape), changed


def _start_of(message: bytes, wanted: Field) -> int:
    """Where a field begins, with what says its number."""
    begin = 0
    for f in fields(message, 0, len(message)):
        if f == wanted:
            break
        begin = f.end
    return begin


def _message(number: int, content: bytes) -> bytes:
    """A field with a length."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
