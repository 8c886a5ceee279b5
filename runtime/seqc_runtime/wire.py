"""Read the few facts the loader needs from a serialized ONNX ModelProto, without the onnx package.

onnxruntime before 1.24 opens external data anywhere on the disk, and before 1.23 even at a memory address named by the
file, so the places a model points to are looked at before onnxruntime sees it. Only the fields on the way to a
TensorProto are followed; numbers are those of onnx.proto (ONNX 1.23), encoding is
https://protobuf.dev/programming-guides/encoding/. Anything a strict parser would refuse is refused here.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

Buffer = bytes | mmap.mmap

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
TENSOR = "TensorProto"
CHILDREN: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "GraphProto": {1: "NodeProto", 5: TENSOR, 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: TENSOR,
        6: "GraphProto",
        10: TENSOR,
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: TENSOR, 2: TENSOR},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
}
# Messages that a parser merges when they are written twice. No program writes that, and what is merged is not what the
# parts say one by one.
_SINGLE = {
    ("ModelProto", 7),
    ("AttributeProto", 5),
    ("AttributeProto", 6),
    ("AttributeProto", 22),
    ("SparseTensorProto", 1),
    ("SparseTensorProto", 2),
    ("TrainingInfoProto", 1),
    ("TrainingInfoProto", 2),
}
_MODEL_PRODUCER_NAME, _MODEL_PRODUCER_VERSION, _MODEL_GRAPH = 2, 3, 7
_NODE_OPERATOR = 4
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


class MalformedError(ValueError):
    """The bytes are not a well-formed ModelProto."""


@dataclass
class Facts:
    """Who wrote the model, and what it needs.

    The external data locations its tensors name ('' for a tensor that names none), and the names of its operators, also
    of those inside functions and inside the bodies of other operators.
    """

    producer_name: str = ""
    producer_version: str = ""
    external_locations: set[str] = field(default_factory=set)
    operators: set[str] = field(default_factory=set)


class Field(NamedTuple):
    """A field of a serialized message: its number, its wire type, where its content lies, and an integer's value."""

    number: int
    wire: int
    start: int
    end: int
    value: int


def read_facts(buffer: Buffer) -> Facts:
    """The facts of one serialized ModelProto. Raises MalformedError when it is none, or has no graph."""
    has_graph, producer = False, {_MODEL_PRODUCER_NAME: "", _MODEL_PRODUCER_VERSION: ""}
    for f in fields(buffer, 0, len(buffer)):
        if f.number in producer:
            producer[f.number] = text(buffer, f)
        has_graph |= f.number == _MODEL_GRAPH
    if not has_graph:
        raise MalformedError("it has no graph")
    facts = Facts(producer[_MODEL_PRODUCER_NAME], producer[_MODEL_PRODUCER_VERSION])
    pending = [("ModelProto", 0, len(buffer))]
    while pending:
        kind, start, end = pending.pop()
        if kind == TENSOR:
            facts.external_locations |= _external_locations(buffer, start, end)
            continue
        children, seen = CHILDREN[kind], set()
        for f in fields(buffer, start, end):
            if f.number in children:
                if f.number in seen and (kind, f.number) in _SINGLE:
                    raise MalformedError(f"field {f.number} of {kind}, of which there is one, is written twice")
                seen.add(f.number)
                pending.append((children[f.number], *span(f)))
            elif f.number == _NODE_OPERATOR and kind == "NodeProto":
                facts.operators.add(text(buffer, f))
    return facts


def _external_locations(buffer: Buffer, start: int, end: int) -> set[str]:
    locations, external = set(), False
    for f in fields(buffer, start, end):
        if f.number == _TENSOR_DATA_LOCATION:
            # Of the enum's value, as of every int32, C++ keeps 32 bits.
            external = external or f.value & 0xFFFFFFFF != 0
        elif f.number == _TENSOR_EXTERNAL_DATA:
            external = True
            entry = {e.number: text(buffer, e) for e in fields(buffer, *span(f)) if e.number in (1, 2)}
            if entry.get(_ENTRY_KEY) == "location":
                locations.add(entry.get(_ENTRY_VALUE, ""))
    return locations or ({""} if external else set())


def span(f: Field) -> tuple[int, int]:
    """Where the content of a field with a length lies. Raises MalformedError when it has none."""
    if f.wire != _LENGTH:
        raise MalformedError(f"field {f.number} has wire type {f.wire} instead of {_LENGTH}")
    return f.start, f.end


def text(buffer: Buffer, f: Field) -> str:
    """The text of a field. Raises MalformedError when it is none."""
    start, end = span(f)
    try:
        return buffer[start:end].decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError(f"field {f.number} is not UTF-8 text") from error


def fields(buffer: Buffer, start: int, end: int) -> Iterator[Field]:
    """The fields of the message between two places, in their order. Raises MalformedError where there is none."""
    position = start
    while position < end:
        tag, position = varint(buffer, position, end)
        # C++ parsers keep 32 bits of a tag: a longer one would be read differently there and here.
        if tag > 0xFFFFFFFF or tag >> 3 == 0:
            raise MalformedError(f"invalid field tag at byte {position}")
        number, wire, value = tag >> 3, tag & 7, 0
        first = position
        if wire == _VARINT:
            value, position = varint(buffer, position, end)
        elif wire == _FIXED64:
            position += 8
        elif wire == _FIXED32:
            position += 4
        elif wire == _LENGTH:
            size, first = varint(buffer, position, end)
            position = first + size
        else:
            raise MalformedError(f"wire type {wire} at byte {position}")
        if position > end:
            raise MalformedError(f"it ends early: field {number} ends at byte {position}, and {end} are there")
        yield Field(number, wire, first, position, value)


def signed(value: int) -> int:
    """An int64 that was written as a number without sign."""
    return value - (1 << 64) if value >> 63 else value


def varint(buffer: Buffer, position: int, end: int) -> tuple[int, int]:
    """A number of at most 64 bits, and the position after it. What is written above them is lost, as in C++."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise MalformedError("it ends early, inside a number")
        byte = buffer[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
    raise MalformedError(f"a number before byte {position} is longer than ten bytes")
