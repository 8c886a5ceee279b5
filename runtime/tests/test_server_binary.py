"""Tensors in binary: equal to a bare session's for every datatype, and cut exactly."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")
import orjson
from onnx import TensorProto

from seqc_runtime.server.messages import Response
from seqc_runtime.server.testing import TestClient

Serve = Callable[..., TestClient]
LENGTH = "Inference-Header-Content-Length"


def to_wire(data: Sequence[Any], name: str) -> bytes:
    if name == "str":
        return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in data)
    return np.array(data, np.dtype(name).newbyteorder("<")).tobytes()


def post(client: TestClient, header: dict[str, Any], tail: bytes, length: str | None = None, pad: str = "") -> Response:
    text = orjson.dumps(header) + pad.encode()
    length = str(len(text)) if length is None else length
    return client.post("/v2/models/m/infer", text + tail, {LENGTH: length})


def split(answer: Response) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The JSON of an answer, and the bytes of each output that is in binary."""
    assert answer.status == 200, answer.content
    length = int(answer.header(LENGTH.lower()) or "")
    assert answer.header("content-type") == "application/octet-stream"
    header, rest, pieces = orjson.loads(answer.content[:length]), answer.content[length:], {}
    for output in header["outputs"]:
        if "data" not in output:
            size = output["parameters"]["binary_data_size"]
            pieces[output["name"]], rest = rest[:size], rest[size:]
    assert not rest
    return header, pieces


def tensor(shape: Any, datatype: str, size: Any, **more: Any) -> dict[str, Any]:
    return {"name": "x", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}, **more}


@pytest.mark.parametrize("pad", ["", " ", "  ", "   "])
def test_every_datatype_comes_back_byte_for_byte_wherever_it_lies(
    serve: Serve,
    identity: Callable[..., bytes],
    onnx_type: Callable[[str], int],
    numbers: tuple[str, str, list[Any]],
    pad: str,
) -> None:
    name, datatype, data = numbers
    wire = to_wire(data, name)
    header = {"inputs": [tensor([len(data)], datatype, len(wire))], "parameters": {"binary_data_output": True}}
    answer, pieces = split(post(serve(identity(onnx_type(name))), header, wire, pad=pad))
    assert pieces == {"y": wire}
    assert answer["outputs"][0]["shape"] == [len(data)]


def test_numbers_that_json_has_not_go_through_in_binary(serve: Serve, identity: Callable[..., bytes]) -> None:
    wire = np.array([np.nan, np.inf, -np.inf, -0.0], "<f4").tobytes()
    header = {"inputs": [tensor([4], "FP32", 16)], "outputs": [{"name": "y", "parameters": {"binary_data": True}}]}
    assert split(post(serve(identity(TensorProto.FLOAT)), header, wire))[1] == {"y": wire}


@pytest.mark.parametrize("shape", [[], [0], [3, 0], [1, 1, 2]])
def test_scalars_and_empty_tensors(serve: Serve, identity: Callable[..., bytes], shape: list[Any]) -> None:
    wire = np.ones(shape, "<f8").tobytes()
    header = {"inputs": [tensor(shape, "FP64", len(wire))], "parameters": {"binary_data_output": True}}
    client = serve(identity(TensorProto.DOUBLE, [f"n{axis}" for axis in range(len(shape))]))
    answer, pieces = split(post(client, header, wire))
    assert pieces == {"y": wire}
    assert answer["outputs"][0]["shape"] == shape


def test_json_and_binary_beside_each_other(serve: Serve, two_inputs: bytes) -> None:
    client = serve(two_inputs)
    one = {"name": "a", "shape": [1, 2], "datatype": "FP32", "data": [5, 7]}
    other = {**tensor([1, 2], "FP32", 8), "name": "b"}
    wire = to_wire([1, 2], "float32")
    for inputs in ([one, other], [other, one]):
        answer = post(client, {"inputs": inputs}, wire)
        assert answer.json()["outputs"][0]["data"] == [4, 5]


@pytest.mark.parametrize("everywhere", [None, False, True])
@pytest.mark.parametrize("here", [None, False, True])
def test_an_outputs_own_word_goes_before_the_requests(
    serve: Serve,
    two_outputs: bytes,
    everywhere: bool | None,
    here: bool | None,
) -> None:
    header: dict[str, Any] = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
    header["outputs"] = [{"name": "total"}, {"name": "negative"}]
    if here is not None:
        header["outputs"][0]["parameters"] = {"binary_data": here}
    if everywhere is not None:
        header["parameters"] = {"binary_data_output": everywhere}
    answer = serve(two_outputs).post("/v2/models/m/infer", json=header)
    binary = set(split(answer)[1]) if answer.header(LENGTH.lower()) else set()
    expected = {"total": everywhere if here is None else here, "negative": everywhere}
    assert binary == {name for name, is_binary in expected.items() if is_binary}


def test_a_body_without_json_is_the_only_input(serve: Serve, gemm: bytes, gemm_reference: Callable[..., Any]) -> None:
    client = serve(gemm)
    for rows in (1, 3):
        x = np.random.default_rng(rows).standard_normal((rows, 4)).astype("<f4")
        header, pieces = split(client.post("/v2/models/m/infer", x.tobytes(), {LENGTH: "0"}))
        assert header["outputs"][0]["shape"] == [rows, 3]
        y = np.frombuffer(pieces["y"], "<f4").reshape(rows, 3)
        assert np.allclose(y, gemm_reference(x), atol=1e-6)


def test_a_body_without_json_of_bytes_is_one_text(serve: Serve, identity: Callable[..., bytes]) -> None:
    client = serve(identity(TensorProto.STRING))
    _, pieces = split(client.post("/v2/models/m/infer", "é\0".encode(), {LENGTH: "0"}))
    assert pieces == {"y": b"\3\0\0\0\xc3\xa9\0"}


def test_a_body_without_json_of_a_sequence_is_one_row(serve: Serve, lstm: bytes) -> None:
    header, _ = split(serve(lstm).post("/v2/models/m/infer", np.ones((5, 2), "<f4").tobytes(), {LENGTH: "0"}))
    assert header["outputs"][0]["shape"] == [1, 3]


WRONG_HEADERS = [
    ("abc", "needs a number of bytes"),
    ("", "needs a number of bytes"),
    ("-5", "needs a number of bytes"),
    ("+5", "needs a number of bytes"),
    ("1e2", "needs a number of bytes"),
    ("٣", "needs a number of bytes"),
    ("5, 5", "needs a number of bytes"),
    ("99999999999", "but the body has"),
    ("1" * 100, "needs a number of bytes"),
    ("10", "not JSON"),
]


@pytest.mark.parametrize(("length", "message"), WRONG_HEADERS)
def test_a_wrong_length_of_the_json_is_refused(serve: Serve, gemm: bytes, length: str, message: str) -> None:
    answer = post(serve(gemm), {"inputs": [tensor([1, 4], "FP32", 16)]}, bytes(16), length)
    assert answer.status == 400
    assert message in answer.json()["error"]


F32 = [4]
WRONG_TENSORS = [
    ("float32", tensor(F32, "FP32", 16), bytes(17), "1 bytes more"),
    ("float32", tensor(F32, "FP32", 16), bytes(15), "only 15 bytes"),
    ("float32", tensor(F32, "FP32", 15), bytes(15), "needs 16 bytes"),
    ("float32", tensor(F32, "FP32", -1), bytes(16), "needs a number of bytes"),
    ("float32", tensor(F32, "FP32", True), bytes(16), "needs a number of bytes"),
    ("float32", tensor(F32, "FP32", 16.0), bytes(16), "needs a number of bytes"),
    ("float32", tensor(F32, "FP32", "16"), bytes(16), "needs a number of bytes"),
    ("float32", tensor(F32, "FP32", 16, data=[1, 2, 3, 4]), bytes(16), "data in the JSON, too"),
    ("bool", tensor([2], "BOOL", 2), b"\0\2", "byte 1 is 2"),
    ("str", tensor([1], "BYTES", 3), b"\0\0\0", "4 bytes each"),
    ("str", tensor([1], "BYTES", 5), b"\2\0\0\0a", "longer than the bytes"),
    ("str", tensor([1], "BYTES", 5), b"\xff\xff\xff\xffa", "longer than the bytes"),
    ("str", tensor([1], "BYTES", 6), b"\1\0\0\0ab", "take 5 bytes"),
    ("str", tensor([2], "BYTES", 8), b"\4\0\0\0\0\0\0\0", "element 1"),
    ("str", tensor([1], "BYTES", 5), b"\1\0\0\0\xff", "not UTF-8"),
    ("str", tensor([2**40], "BYTES", 0), b"", "texts; at most"),
]


@pytest.mark.parametrize(("name", "given", "tail", "message"), WRONG_TENSORS)
def test_bytes_that_are_no_such_tensor_are_refused(
    serve: Serve,
    identity: Callable[..., bytes],
    onnx_type: Callable[[str], int],
    name: str,
    given: dict[str, Any],
    tail: bytes,
    message: str,
) -> None:
    answer = post(serve(identity(onnx_type(name))), {"inputs": [given]}, tail)
    assert answer.status == 400
    assert message in answer.json()["error"]


def test_binary_without_its_header_says_which_header(serve: Serve, gemm: bytes) -> None:
    answer = serve(gemm).post("/v2/models/m/infer", json={"inputs": [tensor([1, 4], "FP32", 16)]})
    assert answer.status == 400
    assert LENGTH in answer.json()["error"]


def test_a_body_without_json_of_a_part_of_a_row_is_refused(serve: Serve, gemm: bytes, two_inputs: bytes) -> None:
    answer = serve(gemm).post("/v2/models/m/infer", bytes(10), {LENGTH: "0"})
    assert answer.status == 400
    assert "multiple of 16 bytes" in answer.json()["error"]
    answer = serve(two_inputs).post("/v2/models/m/infer", bytes(8), {LENGTH: "0"})
    assert answer.status == 400
    assert "2: send JSON" in answer.json()["error"]
