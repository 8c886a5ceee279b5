"""What a request looks like in each protocol, and how its answer is read."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from serving.models import Array, Served

JSON, BINARY, GRPC = "JSON", "binary", "gRPC"
OCTETS = "application/octet-stream"
INFER = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True)
class Request:
    """One request, the same each time.

    Attributes:
        read: turns the body of an answer into the array in it. over_http2: true for gRPC.
    """

    path: str
    body: bytes
    read: Callable[[bytes], Array]
    headers: Mapping[str, str] = field(default_factory=dict)
    over_http2: bool = False


def oip_json(served: Served) -> Request:
    """Returns an inference in the JSON of the Open Inference Protocol."""
    content = {"inputs": [_tensor(served) | {"data": _numbers(served.sample.ravel())}]}

    def read(body: bytes) -> Array:
        (output,) = json.loads(body)["outputs"]
        return np.array(output["data"], np.float32).reshape(output["shape"])

    return Request(_infer(served), json.dumps(content).encode(), read, {"Content-Type": "application/json"})


def oip_binary(served: Served) -> Request:
    """Returns an inference with the protocol's extension for binary tensors, both ways."""
    data = served.sample.tobytes()
    tensor = _tensor(served) | {"parameters": {"binary_data_size": len(data)}}
    output = {"name": served.output, "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [tensor], "outputs": [output]}).encode()
    headers = {"Content-Type": OCTETS, "Inference-Header-Content-Length": str(len(head))}

    def read(body: bytes) -> Array:
        # The answer has one output, so that it ends in its bytes.
        return np.frombuffer(body[-served.expected.nbytes :], np.float32).reshape(served.expected.shape)

    return Request(_infer(served), head + data, read, headers)


def oip_grpc(served: Served) -> Request:
    """Returns an inference of the protocol's gRPC service with raw contents, as one framed message."""
    shape = b"".join(map(_varint, served.sample.shape))
    tensor = _field(1, served.input.encode()) + _field(2, b"FP32") + _field(3, shape)
    message = _field(1, served.name.encode()) + _field(5, tensor) + _field(7, served.sample.tobytes())
    headers = {"Content-Type": "application/grpc", "TE": "trailers"}

    def read(body: bytes) -> Array:
        # raw_output_contents is the last field of the answer that servers write, and there is one.
        return np.frombuffer(body[-served.expected.nbytes :], np.float32).reshape(served.expected.shape)

    return Request(INFER, struct.pack(">?I", False, len(message)) + message, read, headers, over_http2=True)


def own_json(path: str, member: str | None = "inputs") -> Callable[[Served], Request]:
    """Returns how a server is asked whose users make up their own JSON: nested lists in, nested lists out.

    Args:
        path: of the URL. member: which the lists are the value of; None for lists alone.
    """

    def request(served: Served) -> Request:
        lists = _numbers(served.sample)
        content = lists if member is None else {member: lists}

        def read(body: bytes) -> Array:
            found = json.loads(body)
            return np.array(found["outputs"] if isinstance(found, dict) else found, np.float32)

        return Request(path, json.dumps(content).encode(), read, {"Content-Type": "application/json"})

    return request


def own_binary(path: str) -> Callable[[Served], Request]:
    """Returns how a server is asked whose users read the body themselves: the bytes of the array, both ways."""

    def request(served: Served) -> Request:
        def read(body: bytes) -> Array:
            return np.frombuffer(body, np.float32).reshape(served.expected.shape)

        return Request(path, served.sample.tobytes(), read, {"Content-Type": OCTETS})

    return request


def _infer(served: Served) -> str:
    return f"/v2/models/{served.name}/infer"


def _tensor(served: Served) -> dict[str, object]:
    return {"name": served.input, "shape": list(served.sample.shape), "datatype": "FP32"}


def _numbers(array: Array) -> list[object]:
    # As float64, three digits stay three digits.
    return array.astype(np.float64).round(3).tolist()  # type: ignore[no-any-return]


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes((*found, value))
