"""Requests nobody would write: never an answer of 5xx, an exception or a wait; right ones equal a bare session."""

from __future__ import annotations

import gzip
import struct
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")
pytest.importorskip("hypothesis", reason="requests are made up by hypothesis")
import onnxruntime
import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from seqc_runtime.server.testing import TestClient

Serve = Callable[..., TestClient]
MODEST = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
INFER = "/v2/models/m/infer"
TENSOR = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}
RIGHT = {"id": "a", "inputs": [TENSOR], "outputs": [{"name": "y", "parameters": {"binary_data": False}}]}
PATHS = [INFER, "/v1/models/m:predict", "/predict", "/v2/repository/index", "/v2/repository/models/m/load"]
KINDS = ["application/json", "application/x-npy", "application/x-npz", "text/csv", "image/png", "", "x"]

scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
names = st.sampled_from(
    ["x", "y", "inputs", "outputs", "data", "shape", "datatype", "name", "instances", "b64", "FP32"]
)
anything = st.recursive(
    scalars | names | st.text(max_size=5).filter(lambda text: text.isprintable()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def client(serve: Serve, gemm: bytes) -> TestClient:
    return serve(gemm)


def answer_of(client: TestClient, path: str, body: bytes, headers: dict[str, str]) -> int:
    start = time.monotonic()
    answer = client.post(path, body, headers)
    assert time.monotonic() - start < 10
    assert answer.status < 500, answer.content
    if answer.status >= 400:
        assert answer.json()["error"]
    return answer.status


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key in value:
            found += places(value[key], (*path, key))
    elif isinstance(value, list):
        for place in range(len(value)):
            found += places(value[place], (*path, place))
    return found


@MODEST
@given(place=st.sampled_from(places(RIGHT)), value=anything)
def test_one_field_of_a_right_request_is_something_else(client: TestClient, place: tuple[Any, ...], value: Any) -> None:
    request = orjson.loads(orjson.dumps(RIGHT))
    holder = request
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    answer_of(client, INFER, orjson.dumps(request), {})


@MODEST
@given(path=st.sampled_from(PATHS), kind=st.sampled_from(KINDS), value=anything)
def test_any_json_anywhere(client: TestClient, path: str, kind: str, value: Any) -> None:
    answer_of(client, path, orjson.dumps(value), {"content-type": kind})


@MODEST
@given(
    path=st.sampled_from(PATHS),
    body=st.binary(max_size=64),
    kind=st.sampled_from(KINDS),
    length=st.sampled_from([None, "0", "1", "10", "x"]),
    encoding=st.sampled_from(["", "gzip", "deflate", "identity"]),
)
def test_any_bytes_anywhere(
    client: TestClient, path: str, body: bytes, kind: str, length: str | None, encoding: str
) -> None:
    headers = {"content-type": kind, "content-encoding": encoding}
    if length is not None:
        headers["inference-header-content-length"] = length
    answer_of(client, path, body, headers)


@MODEST
@given(data=st.data())
def test_a_binary_request_with_bytes_changed_or_missing(client: TestClient, data: Any) -> None:
    header = orjson.dumps(
        {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}]}
    )
    body = bytearray(header + bytes(16))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    length = {"inference-header-content-length": str(len(header))}
    answer_of(client, INFER, bytes(body[:cut]) if data.draw(st.booleans()) else bytes(body), length)


DTYPES = {"FP16": "FLOAT16", "FP32": "FLOAT", "FP64": "DOUBLE", "BOOL": "BOOL", "BYTES": "STRING"} | {
    f"{sign}INT{bits}": f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)
}
NUMPY = {"FP16": "float16", "FP32": "float32", "FP64": "float64"}


def array_of(draw: Any, datatype: str, shape: list[int]) -> np.ndarray:
    count = int(np.prod(shape, dtype=int))
    if datatype == "BYTES":
        texts = np.empty(count, object)
        texts[:] = draw(st.lists(st.text(max_size=4), min_size=count, max_size=count))
        return texts.reshape(shape)
    dtype = np.dtype(NUMPY.get(datatype, datatype.lower()))
    element: st.SearchStrategy[Any]
    if dtype.kind == "b":
        element = st.booleans()
    elif dtype.kind == "f":
        width: Any = dtype.itemsize * 8
        element = st.floats(allow_nan=False, allow_infinity=False, width=width)
    else:
        element = st.integers(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    return np.array(draw(st.lists(element, min_size=count, max_size=count)), dtype).reshape(shape)


def wire(array: np.ndarray) -> bytes:
    if array.dtype.kind == "O":
        return b"".join(struct.pack("<I", len(one.encode())) + one.encode() for one in array.reshape(-1))
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def model_of(datatype: str, rank: int) -> bytes:
    """Two inputs, each of which is an output; axis 0 is shared."""
    kind = getattr(TensorProto, DTYPES[datatype])

    def value(name: str) -> Any:
        return helper.make_tensor_value_info(name, kind, [f"n{axis}" for axis in range(rank)] if rank else [])

    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in "ab"]
    graph = helper.make_graph(nodes, "g", [value("a"), value("b")], [value("a_out"), value("b_out")])
    opset = [helper.make_opsetid("", 18)]
    result: bytes = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    return result


@MODEST
@given(data=st.data())
def test_every_datatype_and_shape_in_json_and_binary_equals_a_bare_session(serve: Serve, data: Any) -> None:
    datatype = data.draw(st.sampled_from(sorted(DTYPES)))
    shape = data.draw(st.lists(st.integers(0, 3), max_size=3))
    model = model_of(datatype, len(shape))
    arrays = {name: array_of(data.draw, datatype, shape) for name in "ab"}
    expected = onnxruntime.InferenceSession(model).run(None, arrays)
    tail, tensors = b"", []
    for name, array in arrays.items():
        tensor: dict[str, Any] = {"name": name, "shape": shape, "datatype": datatype}
        if data.draw(st.booleans()):
            piece = wire(array)
            tail += piece
            tensor["parameters"] = {"binary_data_size": len(piece)}
        else:
            tensor["data"] = array.tolist() if data.draw(st.booleans()) else array.reshape(-1).tolist()
        tensors.append(tensor)
    outputs = [{"name": f"{name}_out", "parameters": {"binary_data": data.draw(st.booleans())}} for name in "ab"]
    header = orjson.dumps({"inputs": tensors, "outputs": outputs})
    body, headers = header + tail, {"inference-header-content-length": str(len(header))}
    if data.draw(st.booleans()):
        body, headers["content-encoding"] = gzip.compress(body), "gzip"
    answer = serve(model).post(INFER, body, headers)
    assert answer.status == 200, answer.content
    length = int(answer.header("inference-header-content-length") or len(answer.content))
    read, rest = orjson.loads(answer.content[:length]), answer.content[length:]
    for output, result in zip(read["outputs"], expected, strict=True):
        assert (output["shape"], output["datatype"]) == (shape, datatype)
        if "data" in output:
            assert np.array_equal(np.array(output["data"], result.dtype).reshape(shape), result)
        else:
            size = output["parameters"]["binary_data_size"]
            piece, rest = rest[:size], rest[size:]
            assert piece == wire(result)
    assert not rest
