"""Requests and answers in every form the server knows, written and read without a line of the server's own code."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import numpy as np

from runtime_kit.odd_models import DATATYPES, Feeds

LENGTH = "inference-header-content-length"
SPECIAL = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
BY_DATATYPE = {datatype: np.dtype(name) for name, datatype in DATATYPES.items()}


def texts_of(array: np.ndarray) -> bytes:
    """BYTES: each element's length in four bytes, then the element."""
    pieces = [text.encode() for text in array.ravel().tolist()]
    return b"".join(struct.pack("<I", len(piece)) + piece for piece in pieces)


def read_texts(content: bytes) -> list[str]:
    """The elements of BYTES."""
    found, position = [], 0
    while position < len(content):
        (size,) = struct.unpack_from("<I", content, position)
        position += 4 + size
        assert position <= len(content)
        found.append(content[position - size : position].decode())
    return found


def binary_of(array: np.ndarray) -> bytes:
    """The bytes of a tensor."""
    return texts_of(array) if array.dtype == object else np.ascontiguousarray(array).tobytes()


def from_binary(content: bytes, shape: list[int], datatype: str) -> np.ndarray:
    """The tensor of these bytes."""
    dtype = BY_DATATYPE[datatype]
    if datatype != "BYTES":
        return np.frombuffer(content, dtype).reshape(shape)
    return from_list(read_texts(content), shape, datatype)


def from_list(values: Any, shape: list[int], datatype: str) -> np.ndarray:
    """The tensor of these elements, which JSON has flat."""
    dtype = BY_DATATYPE[datatype]
    array = np.empty(len(values), dtype)
    array[:] = [SPECIAL.get(v, v) for v in values] if dtype.kind == "f" else values
    assert dtype.kind == "f" or array.tolist() == values
    return array.reshape(shape)


def oip(
    feeds: Feeds, binary_in: bool = False, binary_out: bool = False, nested: bool = False, **more: Any
) -> tuple[bytes, dict[str, str]]:
    """An inference request of the Open Inference Protocol: its body and headers."""
    inputs, tail = [], b""
    for name, array in feeds.items():
        tensor: dict[str, Any] = {"name": name, "shape": list(array.shape), "datatype": DATATYPES[array.dtype.name]}
        if binary_in:
            piece = binary_of(array)
            tail += piece
            tensor["parameters"] = {"binary_data_size": len(piece)}
        else:
            tensor["data"] = array.tolist() if nested else array.ravel().tolist()
        inputs.append(tensor)
    request: dict[str, Any] = {"inputs": inputs, **more}
    if binary_out:
        request.setdefault("parameters", {})["binary_data_output"] = True
    text = json.dumps(request).encode()
    return text + tail, {LENGTH: str(len(text))} if binary_in else {}


def read_oip(body: bytes, length: str | None) -> Feeds:
    """The outputs in an answer. length: the header that says where its JSON ends."""
    size = len(body) if length is None else int(length)
    found: Feeds = {}
    position = size
    for output in json.loads(body[:size])["outputs"]:
        binary = output.get("parameters", {}).get("binary_data_size")
        if binary is None:
            found[output["name"]] = from_list(output["data"], output["shape"], output["datatype"])
        else:
            piece = body[position : position + binary]
            position += binary
            found[output["name"]] = from_binary(piece, output["shape"], output["datatype"])
    assert position == len(body)
    return found


def npz(feeds: Feeds) -> bytes:
    """An npz file."""
    file = io.BytesIO()
    np.savez(file, **feeds)  # type: ignore[arg-type]
    return file.getvalue()


def from_nested(value: Any, wanted: np.ndarray) -> np.ndarray:
    """A tensor that came as lists in lists without its type, which is that of `wanted`; its shape is its own."""

    def shape_of(one: Any) -> tuple[int, ...]:
        return (len(one), *(shape_of(one[0]) if one else ())) if isinstance(one, list) else ()

    def flat(one: Any) -> list[Any]:
        return [leaf for part in one for leaf in flat(part)] if isinstance(one, list) else [one]

    shape = shape_of(value)
    # Lists say nothing of the axes behind one that is empty.
    if 0 in shape:
        assert shape == wanted.shape[: len(shape)]
        shape = wanted.shape
    return from_list(flat(value), list(shape), DATATYPES[wanted.dtype.name])
