"""A model's file, put together from a model without its large parts and the arrays that are these.

protobuf's own writer would need the weights copied into messages, and then twice their size again. The bytes are the
same: fields in the order of their numbers, as protobuf's deterministic writer has them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from seqc.export._schema import element_type
from seqc.graph.ir import Array
from seqc.graph.strings import STRING, type_name

_GRAPH = onnx.ModelProto.DESCRIPTOR.fields_by_name["graph"].number
_INITIALIZER = onnx.GraphProto.DESCRIPTOR.fields_by_name["initializer"].number
_RAW_DATA = onnx.TensorProto.DESCRIPTOR.fields_by_name["raw_data"].number


@dataclass(frozen=True)
class Span:
    """Where the numbers of a tensor lie outside the model: the name of a file beside it, and which bytes of that."""

    location: str
    offset: int
    length: int


def to_bytes(model: onnx.ModelProto, arrays: Mapping[str, Array]) -> bytes:
    """Returns the file of a model whose initializers are these arrays; equal models give equal bytes.

    Args:
        model: as it is without initializers. arrays: by their names, in order.
    """
    return b"".join(pieces(model, arrays, {}))


def pieces(
    model: onnx.ModelProto, arrays: Mapping[str, Array], spans: Mapping[str, Span]
) -> Iterator[bytes | memoryview]:
    """Yields the file of a model part by part, so that no more than one array is ever copied.

    Args:
        model, arrays: see `to_bytes`. spans: of the arrays whose numbers lie in another file, by their names.
    """
    heads = {label: _head(label, array, spans.get(label)) for label, array in arrays.items()}
    inside = {label for label, array in arrays.items() if label not in spans and array.dtype != object}
    first, last = [*_fields(model.graph, range(_INITIALIZER))], [*_fields(model.graph, range(_INITIALIZER + 1, 1000))]
    size = sum(map(len, (*first, *heads.values(), *last))) + sum(arrays[label].nbytes for label in inside)
    yield from _fields(model, range(_GRAPH))
    yield _length(_GRAPH, size)
    yield from first
    for label, head in heads.items():
        yield head
        if label in inside:
            yield raw(arrays[label])
    yield from last
    yield from _fields(model, range(_GRAPH + 1, 1000))


def _head(label: str, array: Array, span: Span | None) -> bytes:
    """Returns an initializer as it is in the file, up to its numbers where they follow there."""
    made, numbers = _tensor(label, array), b""
    if array.dtype == object:
        made = _strings(label, array)
    elif span is not None:
        made.data_location = onnx.TensorProto.EXTERNAL
        for key, said in (("location", span.location), ("offset", span.offset), ("length", span.length)):
            made.external_data.add(key=key, value=str(said))
    else:
        numbers = _length(_RAW_DATA, array.nbytes)
    begin: bytes = made.SerializeToString(deterministic=True) + numbers
    return _length(_INITIALIZER, len(begin) + (array.nbytes if numbers else 0)) + begin


def whole(model: onnx.ModelProto, arrays: Mapping[str, Array]) -> onnx.ModelProto:
    """Returns a copy of the model with copies of the arrays as its initializers."""
    filled = onnx.ModelProto()
    filled.CopyFrom(model)
    for label, array in arrays.items():
        # Set in place: a message that is appended is copied.
        _fill(filled.graph.initializer.add(), label, array)
    return filled


def tensor(label: str, array: Array) -> onnx.TensorProto:
    """Returns a tensor with a copy of an array."""
    made = onnx.TensorProto()
    _fill(made, label, array)
    return made


def _fill(made: onnx.TensorProto, label: str, array: Array) -> None:
    if array.dtype == object:
        made.CopyFrom(_strings(label, array))
        return
    made.CopyFrom(_tensor(label, array))
    made.raw_data = bytes(raw(array))


def _tensor(label: str, array: Array) -> onnx.TensorProto:
    """Returns all of a tensor but its numbers."""
    return onnx.TensorProto(name=label, data_type=element_type(type_name(array)), dims=array.shape)


def _strings(label: str, array: Array) -> onnx.TensorProto:
    """Returns a whole tensor of strings."""
    texts = [text.encode() for text in array.ravel().tolist()]
    return onnx.TensorProto(name=label, data_type=element_type(STRING), dims=array.shape, string_data=texts)


def raw(array: Array) -> memoryview:
    """Returns the bytes of an array, in the order that ONNX has them in, without a copy where that is the array's."""
    little = array if sys.byteorder == "little" else array.byteswap()
    return np.ascontiguousarray(little).reshape(-1).view(np.uint8).data


def _fields(message: Any, numbers: range) -> Iterator[bytes]:
    """Yields what some fields of a message are in a file."""
    part = type(message)()
    part.CopyFrom(message)
    for descriptor, _ in message.ListFields():
        if descriptor.number not in numbers:
            part.ClearField(descriptor.name)
    yield part.SerializeToString(deterministic=True)


def _length(number: int, size: int) -> bytes:
    """Returns how a field of so many bytes begins: its number and kind, and its length."""
    return _varint(number << 3 | 2) + _varint(size)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)
