"""Tensors in binary behind the JSON, and requests that are nothing but one tensor."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import orjson

from seqc_runtime.inputs import Array
from seqc_runtime.server import json_data, oip_json
from seqc_runtime.server.infer_request import check_shape, make_job, shown
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Buffer, Refusal, Response
from seqc_runtime.server.oip_json import Asked
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.signature import Declared

HEADER_LENGTH = "inference-header-content-length"
_DIGITS = re.compile(r"[0-9]{1,18}")
_PREFIX = 4
# NumPy's arrays begin at multiples of this many bytes. Where others begin, some operators add up in another order, and
# an answer would depend on the length of the JSON before the tensor.
_ALIGNED = 16
# Bytes that are copied sooner than it is found out where they begin.
_SMALL = 16 << 10


def read(servable: Servable, body: Buffer, header_length: str, limits: Limits) -> Asked:
    """Read a request whose JSON ends after `header_length` bytes; 0 says that there is none.

    Raises Refusal (400) naming the field, or the header, that is wrong.
    """
    length = parse_length(header_length)
    if length > len(body):
        raise Refusal(400, f"Inference-Header-Content-Length is {length}, but the body has {len(body)} bytes")
    rest = memoryview(body)[length:]
    if not length:
        return _read_raw(servable, rest, limits)
    tensors = _Tensors(rest)
    asked = oip_json.read(servable, memoryview(body)[:length], limits, tensors.next)
    tensors.finish()
    return asked


@lru_cache(64)
def parse_length(header_length: str) -> int:
    """The number in a header. Raises Refusal (400)."""
    if not _DIGITS.fullmatch(header_length):
        raise Refusal(400, f"Inference-Header-Content-Length needs a number of bytes; got {header_length[:100]!r}")
    return int(header_length)


class _Tensors:
    """Cuts the bytes behind the JSON, in the order of the inputs that say they are there."""

    def __init__(self, rest: memoryview) -> None:
        self._rest = rest
        self._position = 0

    def next(
        self, declared: Declared, shape: list[int], count: int, given: dict[str, Any], parameters: dict[str, Any]
    ) -> Array | None:
        size = parameters.get("binary_data_size")
        if size is None:
            return None
        where = f"input {declared.name!r}: parameters.binary_data_size"
        if type(size) is not int or size < 0:
            raise Refusal(400, f"{where} needs a number of bytes; got {shown(size)}")
        if "data" in given:
            raise Refusal(400, f"{where} says that the data is binary, but there is data in the JSON, too")
        left = len(self._rest) - self._position
        if size > left:
            raise Refusal(400, f"{where} is {size}, but only {left} bytes of the body are left for it")
        piece = self._rest[self._position : self._position + size]
        self._position += size
        return decode(piece, shape, count, declared)

    def finish(self) -> None:
        """Refuse (400) bytes that belong to no input."""
        left = len(self._rest) - self._position
        if left:
            raise Refusal(400, f"the body has {left} bytes more than the binary_data_size of all inputs")


def decode(piece: memoryview, shape: Sequence[int], count: int, declared: Declared) -> Array:
    """An array of little-endian bytes; of many, without a copy where their place in memory allows.

    piece: the bytes. shape: that `check_shape` let pass. count: product of the shape.

    Raises Refusal (400): other bytes than the shape needs, booleans other than 0 and 1, BYTES that are not UTF-8.
    """
    if declared.wire is None:
        return _texts(piece, count, declared).reshape(shape)
    if len(piece) != count * declared.wire.itemsize:
        raise Refusal(
            400,
            f"input {declared.name!r}: shape {shown(list(shape))} needs {count * declared.wire.itemsize} bytes of "
            f"{declared.datatype}; got {len(piece)}",
        )
    if declared.dtype.kind == "b":
        numbers = np.frombuffer(piece, np.uint8)
        if count and numbers.max() > 1:
            place = int(np.argmax(numbers > 1))
            raise Refusal(400, f"input {declared.name!r}: BOOL needs bytes 0 and 1; byte {place} is {numbers[place]}")
        return aligned(numbers.view(np.bool_)).reshape(shape)
    array = np.frombuffer(piece, declared.wire)
    return (aligned(array) if declared.wire.isnative else array.astype(declared.dtype)).reshape(shape)


def aligned(array: Array) -> Array:
    """The array, or a copy of it, in memory that begins where NumPy's own does."""
    if array.nbytes <= _SMALL or array.__array_interface__["data"][0] % _ALIGNED:
        return array.copy()
    return array


def _texts(piece: memoryview, count: int, declared: Declared) -> Array:
    """BYTES: each element's length in four bytes, then the element."""
    if len(piece) < count * _PREFIX:
        raise Refusal(
            400,
            f"input {declared.name!r}: {count} elements of BYTES need {_PREFIX} bytes each and more; got {len(piece)}",
        )
    texts = np.empty(count, object)
    position = 0
    for place in range(count):
        start = position + _PREFIX
        position = start + int.from_bytes(piece[position:start], "little")
        if position > len(piece) or start > len(piece):
            raise Refusal(
                400, f"input {declared.name!r}: element {place} of BYTES is longer than the bytes that are there"
            )
        texts[place] = _text(piece[start:position], place, declared)
    if position != len(piece):
        raise Refusal(
            400, f"input {declared.name!r}: {count} elements of BYTES take {position} bytes; got {len(piece)}"
        )
    return texts


def _text(piece: memoryview, place: int, declared: Declared) -> str:
    try:
        return str(piece, "utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(
            400, f"input {declared.name!r}: element {place} of BYTES is not UTF-8, which the model's texts are: {error}"
        ) from error


def _read_raw(servable: Servable, body: memoryview, limits: Limits) -> Asked:
    """The body is the only input. One row, or as many as the bytes are when nothing else is open."""
    signature = servable.signature
    if len(signature.inputs) != 1:
        raise Refusal(
            400,
            f"Inference-Header-Content-Length: 0 is for models of one input; {servable.name!r} has "
            f"{len(signature.inputs)}: send JSON with binary_data_size of each",
        )
    (declared,) = signature.inputs.values()
    if declared.wire is None:
        shape = [1] * len(declared.shape)
        texts = np.empty(1, object)
        texts[0] = _text(body, 0, declared)
        check_shape(declared, shape, limits)
        array = texts.reshape(shape)
    else:
        shape = _raw_shape(declared, len(body), declared.wire.itemsize)
        array = decode(body, shape, check_shape(declared, shape, limits), declared)
    job = make_job(servable, {declared.name: array}, None, limits)
    return Asked(job, None, [True] * len(job.wanted))


def _raw_shape(declared: Declared, size: int, itemsize: int) -> list[int]:
    """The shape of a tensor of which only the number of bytes is known."""
    open_axes = [axis for axis, _ in declared.free]
    shape = [length if isinstance(length, int) else 1 for length in declared.shape]
    if len(open_axes) > 1 and open_axes[0] == 0:
        open_axes = open_axes[1:]
    if len(open_axes) > 1 or declared.any_shape:
        raise Refusal(
            400, f"input {declared.name!r} {declared}: a body without JSON cannot say the shape; send it in JSON"
        )
    one = math.prod(shape) * itemsize
    if open_axes and one:
        if size % one:
            raise Refusal(
                400, f"input {declared.name!r} {declared}: the body needs a multiple of {one} bytes; got {size}"
            )
        shape[open_axes[0]] = size // one
    return shape


def respond(asked: Asked, results: Sequence[Array]) -> Response:
    """The answer: JSON, and behind it the outputs that the client wants in binary."""
    outputs: list[dict[str, Any]] = []
    pieces: list[Buffer] = []
    for name, result, binary in zip(asked.job.wanted, results, asked.binary, strict=True):
        output = oip_json.describe(asked, name, result)
        if binary:
            piece = encode(result)
            output["parameters"] = {"binary_data_size": len(piece)}
            pieces.append(piece)
        else:
            output["data"] = json_data.to_json(result)
        outputs.append(output)
    header = orjson.dumps(oip_json.answer(asked, outputs), option=orjson.OPT_SERIALIZE_NUMPY)
    headers = [("content-type", "application/octet-stream"), (HEADER_LENGTH, str(len(header)))]
    return Response(200, headers, (header, *pieces))


def encode(result: Array) -> Buffer:
    """The little-endian bytes of an output, without a copy where it lies in memory like that."""
    if result.dtype.kind == "O":
        pieces: list[bytes] = []
        for text in result.reshape(-1).tolist():
            piece = text.encode("utf-8") if isinstance(text, str) else bytes(text)
            pieces += (len(piece).to_bytes(_PREFIX, "little"), piece)
        return b"".join(pieces)
    little = np.asarray(result, result.dtype.newbyteorder("<"), order="C")
    return little.reshape(-1).view(np.uint8).data
