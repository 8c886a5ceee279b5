"""Every mistake of a client is 4xx with {"error": ...} that names what is wrong."""

from __future__ import annotations

import gzip
import json
import logging
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")
import orjson
from onnx import TensorProto, helper

from seqc_runtime.errors import RuntimeExecutionError
from seqc_runtime.server.failures import refusal_of
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.testing import TestClient

Serve = Callable[..., TestClient]
INFER = "/v2/models/m/infer"
TENSOR = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}


def tensor(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**TENSOR, **changes}.items() if value is not ...}


def inputs(*tensors: Any, **more: Any) -> dict[str, Any]:
    return {"inputs": list(tensors), **more}


REQUESTS: list[tuple[Any, str]] = [
    ([], "needs an object"),
    (7, "needs an object"),
    ({}, "the key 'inputs'"),
    ({"inputs": None}, "inputs needs a list"),
    ({"inputs": {}}, "inputs needs a list"),
    (inputs(), "'x' missing"),
    (inputs(1), "inputs[0] needs an object"),
    (inputs(tensor(), 1), "inputs[1] needs an object"),
    (inputs(tensor(name=...)), "inputs[0].name"),
    (inputs(tensor(name=1)), "inputs[0].name"),
    (inputs(tensor(name=["x"])), "inputs[0].name"),
    (inputs(tensor(name="z")), "'z'"),
    (inputs(tensor(), tensor()), "twice"),
    (inputs(tensor(datatype=...)), "datatype needs 'FP32'"),
    (inputs(tensor(datatype="FP64")), "got 'FP64'"),
    (inputs(tensor(datatype="BF16")), "got 'BF16'"),
    (inputs(tensor(datatype="fp32")), "got 'fp32'"),
    (inputs(tensor(datatype=["FP32"])), "datatype"),
    (inputs(tensor(shape=...)), "shape needs a list"),
    (inputs(tensor(shape="1,4")), "shape needs a list"),
    (inputs(tensor(shape=[1, -4])), "shape needs a list of sizes"),
    (inputs(tensor(shape=[-1, 4])), "shape needs a list of sizes"),
    (inputs(tensor(shape=[1.0, 4])), "shape needs a list of sizes"),
    (inputs(tensor(shape=[True, 4])), "shape needs a list of sizes"),
    (inputs(tensor(shape=["1", 4])), "shape needs a list of sizes"),
    (inputs(tensor(shape=[[1, 4]])), "shape needs a list of sizes"),
    (inputs(tensor(shape=[2**64, 4])), "shape needs a list of sizes"),
    (inputs(tensor(shape=[4])), "FP32[batch, 4]"),
    (inputs(tensor(shape=[])), "FP32[batch, 4]"),
    (inputs(tensor(shape=[4, 1])), "FP32[batch, 4]"),
    (inputs(tensor(shape=[1, 4, 1])), "FP32[batch, 4]"),
    (inputs(tensor(shape=[1] * 1000)), "FP32[batch, 4]"),
    (inputs(tensor(shape=[2**62, 4])), f"needs {2**64} elements"),
    (inputs(tensor(shape=[2, 4])), "needs 8 elements"),
    (inputs(tensor(data=...)), "data is missing"),
    (inputs(tensor(data=None)), "data needs a list"),
    (inputs(tensor(parameters=[])), "inputs[0].parameters needs an object"),
    (inputs(tensor(parameters={"shared_memory_region": "r"})), "shared_memory_region"),
    (inputs(tensor(), id=1), "id needs a text"),
    (inputs(tensor(), id=["a"]), "id needs a text"),
    (inputs(tensor(), parameters=1), "parameters needs an object"),
    (inputs(tensor(), parameters={"a": [1]}), "parameters.a"),
    (inputs(tensor(), parameters={"timeout": -1}), "parameters.timeout"),
    (inputs(tensor(), parameters={"timeout": "1"}), "parameters.timeout"),
    (inputs(tensor(), parameters={"timeout": True}), "parameters.timeout"),
    (inputs(tensor(), parameters={"binary_data_output": 1}), "parameters.binary_data_output"),
    (inputs(tensor(), outputs={}), "outputs needs a list"),
    (inputs(tensor(), outputs=[1]), "outputs[0] needs an object"),
    (inputs(tensor(), outputs=[{}]), "outputs[0].name"),
    (inputs(tensor(), outputs=[{"name": 1}]), "outputs[0].name"),
    (inputs(tensor(), outputs=[{"name": "y"}, {"name": "z"}]), "outputs[1].name"),
    (inputs(tensor(), outputs=[{"name": "y"}, {"name": "y"}]), "asked for twice"),
    (inputs(tensor(), outputs=[{"name": "y", "parameters": {"binary_data": "yes"}}]), "binary_data"),
    (inputs(tensor(), outputs=[{"name": "y", "parameters": {"classification": 3}}]), "classification"),
    (inputs(*[tensor()] * 257), "at most 256"),
    (inputs(tensor(), outputs=[{"name": "y"}] * 257), "at most 256"),
]


@pytest.fixture
def client(serve: Serve, gemm: bytes) -> TestClient:
    return serve(gemm)


@pytest.mark.slow
@pytest.mark.parametrize(("request_", "message"), REQUESTS)
def test_mistakes_in_a_request_name_the_field(client: TestClient, request_: Any, message: str) -> None:
    answer = client.post(INFER, json.dumps(request_).encode())
    assert answer.status == 400
    assert answer.header("content-type") == "application/json"
    assert list(answer.json()) == ["error"]
    assert message in answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b" ", b"{", b"\xff", b"\x00", b"{}x", b"PK\3\4", "{\u00a0}".encode()])
def test_bodies_that_are_no_json_are_400(client: TestClient, body: bytes) -> None:
    answer = client.post(INFER, body)
    assert answer.status == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "", 404),
        ("GET", "//v2", 404),
        ("GET", "/v2/models/none", 404),
        ("GET", "/v2/models/none/ready", 404),
        ("GET", "/v2/models/m/versions/2", 404),
        ("GET", "/v2/models/m/versions/0", 404),
        ("GET", "/v2/models/m/versions/-1", 404),
        ("GET", "/v2/models/m/versions/1x", 404),
        ("GET", "/v2/models/m/versions/" + "9" * 400, 404),
        ("GET", "/v2/models/..%2F..%2Fetc%2Fpasswd", 404),
        ("GET", "/v2/models/%2e%2e", 404),
        ("GET", "/v2/models/m%00", 404),
        ("GET", "/v2/models/%ff", 404),
        ("GET", "/v2/models/" + "m" * 5000, 404),
        ("POST", "/v2/models/none/infer", 404),
        ("GET", INFER, 405),
        ("PUT", INFER, 405),
        ("DELETE", "/v2/models/m", 405),
        ("POST", "/v2", 405),
        ("HEAD", INFER, 405),
        ("BREW", "/v2", 405),
    ],
)
def test_wrong_paths_are_404_and_wrong_methods_405(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.app.handle(method, path, {}, b"")
    assert answer.status == status
    assert answer.json()["error"]
    assert (answer.header("allow") is not None) == (status == 405)


@pytest.mark.parametrize("path", ["/v2/", "/v2/models/m/", "/v2/models/%6D", "/v2/models/m?x=1"])
def test_a_slash_at_the_end_escapes_and_queries_make_no_difference(client: TestClient, path: str) -> None:
    assert client.get(path).status == 200


def test_head_and_options(client: TestClient) -> None:
    answer = client.request("HEAD", "/v2")
    assert (answer.status, answer.content) == (200, b"")
    answer = client.request("OPTIONS", INFER)
    assert (answer.status, answer.header("allow")) == (204, "OPTIONS, POST")


BODY = orjson.dumps(inputs(tensor()))


def zipped(data: bytes) -> bytes:
    """The same bytes at any time, for they are names of tests, which all processes must call the same."""
    return gzip.compress(data, mtime=0)


RAW = zlib.compressobj(wbits=-15)
RAW_BODY = RAW.compress(BODY) + RAW.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", zipped(BODY)),
        ("x-gzip", zipped(BODY)),
        ("GZIP", zipped(BODY)),
        ("gzip", zipped(BODY[:20]) + zipped(BODY[20:])),
        ("deflate", zlib.compress(BODY)),
        ("deflate", RAW_BODY),
        ("identity", BODY),
    ],
)
def test_compressed_bodies_are_read(client: TestClient, encoding: str, body: bytes) -> None:
    assert client.post(INFER, body, {"Content-Encoding": encoding}).status == 200


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", b"abc", 400),
        ("gzip", BODY, 400),
        ("gzip", zipped(BODY)[:-1], 400),
        ("gzip", zipped(BODY) + b"x", 400),
        ("gzip", zipped(b"") * 5000, 400),
        ("deflate", b"abc", 400),
        ("deflate", zlib.compress(BODY)[:-1], 400),
        ("deflate", zlib.compress(BODY) + b"x", 400),
        ("br", BODY, 415),
        ("gzip, gzip", zipped(zipped(BODY)), 415),
        ("gzip", zipped(bytes(1 << 20)), 413),
        ("deflate", zlib.compress(bytes(1 << 20)), 413),
        ("gzip", zipped(bytes(60_000)) * 2, 413),
    ],
)
def test_damaged_and_growing_bodies_are_refused(
    serve: Serve, gemm: bytes, encoding: str, body: bytes, status: int
) -> None:
    answer = serve(gemm, Limits(body=100_000)).post(INFER, body, {"Content-Encoding": encoding})
    assert answer.status == status
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("gzip", "gzip"),
        ("gzip;q=0", None),
        ("deflate, gzip;q=0.5", "deflate"),
        ("*", "gzip"),
        ("*;q=0", None),
        ("gzip, identity;q=0.5", "gzip"),
        ("gzip;q=0.5, identity", None),
        ("br", None),
        ("gzip;q=x", None),
        ("", None),
    ],
)
def test_large_answers_are_compressed_as_the_client_likes(
    serve: Serve, gemm: bytes, accept: str, encoding: str | None
) -> None:
    rows = 2000
    body = orjson.dumps(inputs(tensor(shape=[rows, 4], data=[1.0] * 4 * rows)))
    answer = serve(gemm).post(INFER, body, {"Accept-Encoding": accept})
    assert answer.header("vary") == "accept-encoding"
    assert answer.header("content-encoding") == encoding
    readers: dict[str | None, Callable[..., bytes]] = {"gzip": gzip.decompress, "deflate": zlib.decompress, None: bytes}
    read = readers[encoding](answer.content)
    assert len(orjson.loads(read)["outputs"][0]["data"]) == 3 * rows


def test_axes_of_one_name_must_agree(serve: Serve, two_inputs: bytes) -> None:
    first = tensor(name="a", shape=[2, 2])
    second = tensor(name="b", shape=[1, 2], data=[1, 2])
    answer = serve(two_inputs).post(INFER, json=inputs(first, second))
    assert answer.status == 400
    assert "batch = 1, but input 'a' has batch = 2" in answer.json()["error"]


@pytest.mark.parametrize("shape", [[2**40, 0], [0, 2**40], [0, 2**20]])
def test_sizes_that_hold_nothing_cost_nothing(serve: Serve, relu: Callable[..., bytes], shape: list[int]) -> None:
    answer = serve(relu(["n", "m"], ["n", "m"])).post(INFER, json=inputs(tensor(shape=shape, data=[])))
    assert answer.status == 400
    assert "holds nothing" in answer.json()["error"]


def test_too_many_rows_are_400(serve: Serve, gemm: bytes) -> None:
    answer = serve(gemm, Limits(rows=2)).post(INFER, json=inputs(tensor(shape=[3, 4], data=[0.0] * 12)))
    assert answer.status == 400
    assert "3 rows; at most 2" in answer.json()["error"]


def test_what_only_the_model_can_tell_is_400_too(serve: Serve, make: Callable[..., bytes]) -> None:
    table = np.ones((4, 2), np.float32)
    model = make(
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        {"table": table},
    )
    client = serve(model)
    assert client.post(INFER, json=inputs(tensor(shape=[1], datatype="INT64", data=[3]))).status == 200
    answer = client.post(INFER, json=inputs(tensor(shape=[1], datatype="INT64", data=[9])))
    assert answer.status == 400
    assert "Gather" in answer.json()["error"]
    assert "idx=9" in answer.json()["error"]


def test_free_axes_that_do_not_fit_inside_the_model_are_400_without_places_in_its_source(
    serve: Serve, make: Callable[..., bytes]
) -> None:
    def value(name: str, axis: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [axis])

    model = make([helper.make_node("Add", ["a", "b"], ["y"])], [value("a", "n"), value("b", "m")], [value("y", "k")])
    first = tensor(name="a", shape=[2], data=[1, 2])
    answer = serve(model).post(INFER, json=inputs(first, tensor(name="b", shape=[3], data=[1, 2, 3])))
    assert answer.status == 400
    assert "2 by 3" in answer.json()["error"]
    assert ".h:" not in answer.json()["error"]


FAILED = "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. "
ARENA = "/src/framework/bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, Stream*) "
DEVICE = "/src/cuda/cuda_call.cc:121 std::conditional_t<> onnxruntime::CudaCall(ERRTYPE) "
SAID = {
    "an arena": (
        f"{FAILED}Name:'a' Status Message: {ARENA}Failed to allocate memory for requested buffer of size 9",
        503,
    ),
    "no arena": (f"{FAILED}Name:'a' Status Message: std::bad_alloc", 503),
    "Windows": (f"{FAILED}Name:'a' Status Message: bad allocation", 503),
    "CUDA's memory": (
        f"{FAILED}Name:'a' Status Message: {DEVICE}CUDA failure 2: out of memory ; GPU=0 ; expr=f()",
        503,
    ),
    "cuBLAS's memory": (f"{FAILED}Name:'a' Status Message: CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0", 503),
    "no node": (f"[ONNXRuntimeError] : 1 : FAIL : {DEVICE}CUDA failure 2: out of memory ; GPU=0", 503),
    "CUDA": (
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node. Name:'a' "
        "Status Message: CUDA failure 700: an illegal memory access was encountered ; GPU=0",
        500,
    ),
    "cuDNN": (
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node. Name:'a' "
        "Status Message: CUDNN_FE failure 11: CUDNN_BACKEND_API_FAILED ; GPU=0",
        500,
    ),
    "by data on CUDA": (
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Where node. Name:'a' "
        "Status Message: /src/providers/cuda/tensor/where.cc:9 Compute() axis == 1 was false. 2 by 3",
        400,
    ),
}


@pytest.mark.parametrize(("said", "status"), SAID.values(), ids=SAID)
def test_memory_and_the_device_are_told_from_the_clients_mistakes(said: str, status: int) -> None:
    error = RuntimeExecutionError("onnxruntime failed")
    error.__cause__ = RuntimeError(said)
    assert refusal_of(error).status == status


def test_the_name_of_an_operator_does_not_matter(serve: Serve, make: Callable[..., bytes]) -> None:
    """Nor does that of one around it, in which it runs."""
    name = "cuda_alloc: out of memory, CUDA failure 2: out of memory, std::bad_alloc"
    taking = helper.make_graph(
        [helper.make_node("Gather", ["table", "x"], ["taken"], name=name)],
        "taking",
        [],
        [helper.make_tensor_value_info("taken", TensorProto.FLOAT, None)],
    )
    model = make(
        [
            helper.make_node("Cast", ["x"], ["nonzero"], to=TensorProto.BOOL),
            helper.make_node("If", ["nonzero"], ["y"], name=name, then_branch=taking, else_branch=taking),
        ],
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        {"table": np.ones((4, 2), np.float32)},
    )
    answer = serve(model).post(INFER, json=inputs(tensor(shape=[1], datatype="INT64", data=[9])))
    assert answer.status == 400
    assert "idx=9" in answer.json()["error"]


def test_a_mistake_of_the_server_is_500_without_anything_internal(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("seqc_runtime.server.metadata.server_metadata", fail)
    with caplog.at_level(logging.ERROR, "seqc_runtime.server"):
        answer = client.get("/v2")
    assert answer.status == 500
    assert "secret" not in answer.json()["error"]
    assert "secret" in caplog.text


def test_a_message_that_shows_a_clients_value_stays_short(client: TestClient) -> None:
    nest: Any = 1
    for _ in range(60):
        nest = [nest] * 2 if _ < 10 else [nest]
    for name in ("z" * 100_000, nest, [1] * 100_000):
        answer = client.post(INFER, json=inputs(tensor(name=name)))
        assert answer.status == 400
        assert len(answer.content) < 1000
