"""Whether a tensor has the data that its type and shape need, in checked arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from seqc_runtime.errors import printable
from seqc_runtime.gate.limits import RefusedError
from seqc_runtime.wire import Buffer, Field, signed, varint

Record = dict[str, list[Any]]

# Element types of onnx.proto: name, bits, and the field that holds them when they are not raw.
_TYPES: dict[int, tuple[str, int, str]] = {
    1: ("float32", 32, "float_data"),
    2: ("uint8", 8, "int32_data"),
    3: ("int8", 8, "int32_data"),
    4: ("uint16", 16, "int32_data"),
    5: ("int16", 16, "int32_data"),
    6: ("int32", 32, "int32_data"),
    7: ("int64", 64, "int64_data"),
    8: ("string", 0, "string_data"),
    9: ("bool", 8, "int32_data"),
    10: ("float16", 16, "int32_data"),
    11: ("float64", 64, "double_data"),
    12: ("uint32", 32, "uint64_data"),
    13: ("uint64", 64, "uint64_data"),
    14: ("complex64", 64, "float_data"),
    15: ("complex128", 128, "double_data"),
    16: ("bfloat16", 16, "int32_data"),
    17: ("float8e4m3fn", 8, "int32_data"),
    18: ("float8e4m3fnuz", 8, "int32_data"),
    19: ("float8e5m2", 8, "int32_data"),
    20: ("float8e5m2fnuz", 8, "int32_data"),
    21: ("uint4", 4, "int32_data"),
    22: ("int4", 4, "int32_data"),
    23: ("float4e2m1", 4, "int32_data"),
    24: ("float8e8m0", 8, "int32_data"),
    25: ("uint2", 2, "int32_data"),
    26: ("int2", 2, "int32_data"),
}
NEWEST_TYPE = 28
STRING, INT64 = 8, 7
_COMPLEX = (14, 15)
_DATA = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")
# Half of what 64 bits hold: no sum or product of two sizes below it is wrong anywhere.
_MOST_ELEMENTS = 1 << 62
_MOST_DIMS = 64
_MOST_INDICES = 1 << 20
_HIGH_BYTES = bytes(range(128, 256))
_KEYS = ("location", "offset", "length", "checksum")


@dataclass(frozen=True)
class External:
    """Data of a tensor in another file. `length` is what the tensor needs."""

    tensor: str
    location: str
    offset: int
    length: int


def check_tensor(buffer: Buffer, tensor: Record, entries: list[Record]) -> External | None:
    """Check a TensorProto. `entries` are its external_data; what they say is returned."""
    called = repr(printable(str(tensor.get("name", [""])[0])))
    kind = tensor.get("data_type", [0])[0]
    if kind not in _TYPES:
        raise RefusedError(f"tensor {called} has element type {kind}, whose data nothing here can read")
    if "segment" in tensor:
        raise RefusedError(f"tensor {called} is a segment of another")
    dims = sizes(buffer, tensor)
    elements = count_elements(dims, f"tensor {called}")
    what = f"tensor {called} of {_TYPES[kind][0]}{dims[:8]}"
    there = [name for name in (*_DATA, "raw_data") if name in tensor]
    if entries or tensor.get("data_location", [0])[0] != 0:
        if there or tensor.get("data_location", [0])[0] != 1:
            raise RefusedError(f"{what} has data in the file and in another one")
        return _external(kind, elements, entries, what, called)
    if len(there) > 1:
        raise RefusedError(f"{what} has data in {' and '.join(there)}")
    if not there:
        if elements:
            raise RefusedError(f"{what} has no data")
    elif there == ["raw_data"]:
        start, end = tensor["raw_data"][0]
        if kind == STRING or end - start != _bytes(kind, elements):
            raise RefusedError(f"{what} needs {_bytes(kind, elements)} bytes and has {end - start}")
    else:
        _check_typed(buffer, kind, elements, tensor[there[0]], there[0], what)
    return None


def count_elements(dims: list[int], what: str) -> int:
    """The product of sizes that can be sizes."""
    product = 1
    for size in dims:
        if size < 0:
            raise RefusedError(f"{what} has size {size} on an axis")
        # Also behind an axis of size 0: strides are products, too.
        product *= max(size, 1)
        if product > _MOST_ELEMENTS:
            raise RefusedError(f"{what} has shape {dims[:8]}: more elements than can be counted")
    return 0 if 0 in dims else product


def check_sparse(buffer: Buffer, values: Record, indices: Record, dims: list[int]) -> None:
    """Check that indices of a sparse tensor lie inside its shape: onnxruntime writes where they point to."""
    elements = count_elements(dims, "a sparse tensor")
    stored, shape = sizes(buffer, values), sizes(buffer, indices)
    if len(stored) != 1 or shape not in (stored, [*stored, len(dims)]) or indices.get("data_type") != [INT64]:
        raise RefusedError(f"a sparse tensor has values of shape {stored[:8]} and indices of shape {shape[:8]}")
    if "raw_data" in indices:
        start, end = indices["raw_data"][0]
        found = np.frombuffer(buffer[start : end - (end - start) % 8], "<i8")
    else:
        packed = indices.get("int64_data", [])
        if "external_data" in indices or sum(map(_size, packed)) > _MOST_INDICES:
            raise RefusedError("a sparse tensor has its indices in another file, or too many that are not raw")
        found = np.array(list(numbers(buffer, packed)), np.int64)
    limits = np.array([elements] if shape == stored else dims)
    if found.size % limits.size or np.any(found < 0) or np.any(found.reshape(-1, limits.size) >= limits):
        raise RefusedError(f"a sparse tensor of shape {dims[:8]} has a value outside of it")


def sizes(buffer: Buffer, message: Record) -> list[int]:
    """The dims of a message; there are at most as many as NumPy has."""
    dims = list(islice(numbers(buffer, message.get("dims", [])), _MOST_DIMS + 1))
    if len(dims) > _MOST_DIMS:
        raise RefusedError(f"a tensor has more than {_MOST_DIMS} dimensions")
    return dims


def numbers(buffer: Buffer, parts: list[Field | int]) -> Iterator[int]:
    """The integers of a repeated field, packed or not."""
    for part in parts:
        if isinstance(part, int):
            yield part
            continue
        position = part.start
        while position < part.end:
            value, position = varint(buffer, position, part.end)
            yield signed(value)


def _size(part: Field | int) -> int:
    """The bytes of a part of a repeated field of integers, at least."""
    return 1 if isinstance(part, int) else part.end - part.start


def _bytes(kind: int, elements: int) -> int:
    return (elements * _TYPES[kind][1] + 7) // 8


def _check_typed(buffer: Buffer, kind: int, elements: int, parts: list[Any], place: str, what: str) -> None:
    if place != _TYPES[kind][2]:
        raise RefusedError(f"{what} has its data in {place}")
    bits = _TYPES[kind][1]
    needed = _bytes(kind, elements) if 0 < bits < 8 else elements * (2 if kind in _COMPLEX else 1)
    if place == "string_data":
        count = len(parts)
    elif place in ("float_data", "double_data"):
        width = 4 if place == "float_data" else 8
        count = sum(1 if isinstance(p, int) else (p.end - p.start) // width for p in parts)
    else:
        # The last byte of every number, and no other, is below 128.
        count = sum(
            1 if isinstance(p, int) else len(buffer[p.start : p.end].translate(None, _HIGH_BYTES)) for p in parts
        )
    if count != needed:
        raise RefusedError(f"{what} needs {needed} numbers and has {count}")


def _external(kind: int, elements: int, entries: list[Record], what: str, called: str) -> External:
    if kind == STRING:
        raise RefusedError(f"{what} has strings in another file")
    said: dict[str, str] = {}
    for entry in entries:
        key, value = entry.get("key", [""])[0], entry.get("value", [""])[0]
        if key not in _KEYS or key in said:
            raise RefusedError(f"{what} says {key!r} of the file with its data, or says it twice")
        said[key] = value
    length = _bytes(kind, elements)
    given = _number(said.get("length", str(length)), what)
    if given != length:
        raise RefusedError(f"{what} needs {length} bytes of the file with its data and names {given}")
    return External(called, said.get("location", ""), _number(said.get("offset", "0"), what), length)


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 1 << 63):
        raise RefusedError(f"{what} has offset or length {text[:40]!r}, which is no place in a file")
    return int(text)
