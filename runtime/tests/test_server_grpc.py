"""The server over gRPC: numbers, errors, deadlines, health, reflection, certificates."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("grpc", reason="the server speaks gRPC with grpcio")
pytest.importorskip("google.protobuf", reason="gRPC's messages are protobuf's")
pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

import grpc
import orjson
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass
from onnx import TensorProto, helper

import seqc_runtime
from seqc_runtime.errors import RuntimeArgumentError
from seqc_runtime.server.app import App
from seqc_runtime.server.grpc import schema
from seqc_runtime.server.grpc.credentials import server_credentials
from seqc_runtime.server.grpc.serve import GrpcServer
from seqc_runtime.server.jobs import Job
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Head, Refusal
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.scheduling import Scheduler
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.testing import TestClient
from seqc_runtime.server.tls import names_of

Infer = schema.message("inference.ModelInferRequest")
LONG = 30
CODE = grpc.StatusCode


class Served:
    """A running server, and calls to it as a client makes them."""

    def __init__(self, app: App, server: GrpcServer, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self.app, self.server, self.port, self.loop = app, server, port, loop
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def method(self, name: str, service: str = "inference.GRPCInferenceService", channel: Any = None) -> Any:
        description = schema.service(service).methods_by_name[name]
        kind = {
            (False, False): "unary_unary",
            (False, True): "unary_stream",
            (True, True): "stream_stream",
        }[description.client_streaming, description.server_streaming]
        return getattr(channel or self.channel, kind)(
            f"/{service}/{name}",
            request_serializer=lambda message: message if isinstance(message, bytes) else message.SerializeToString(),
            response_deserializer=schema.message(description.output_type.full_name).FromString,
        )

    def call(
        self, name: str, request: Any = None, service: str = "inference.GRPCInferenceService", **options: Any
    ) -> Any:
        kind = schema.message(schema.service(service).methods_by_name[name].input_type.full_name)
        given = request if isinstance(request, bytes) else kind(**(request or {}))
        return self.method(name, service)(given, timeout=LONG, **options)

    def infer(self, request: Any, **options: Any) -> Any:
        return self.method("ModelInfer")(request, **{"timeout": LONG, **options})

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(LONG)


@contextmanager
def served(
    models: dict[str, bytes],
    limits: Limits | None = None,
    scheduler: Scheduler | None = None,
    credentials: Any = None,
    identify: Any = None,
) -> Iterator[Served]:
    repository = Repository()
    for name, model in models.items():
        repository.add(Servable(name, 1, seqc_runtime.load(model, device="cpu", threads=1)))
    app = App(repository, limits)
    started: Future[Served] = Future()

    async def main() -> None:
        ended = asyncio.Event()
        try:
            server = GrpcServer(app, scheduler or Scheduler(), identify=identify)
            port = await server.start("127.0.0.1", 0, credentials)
        except BaseException as error:
            started.set_exception(error)
            raise
        here = Served(app, server, port, asyncio.get_running_loop())
        here.ended = ended  # type: ignore[attr-defined]
        started.set_result(here)
        await ended.wait()
        await server.end(0)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    here = started.result(LONG)
    try:
        yield here
    finally:
        here.channel.close()
        here.loop.call_soon_threadsafe(here.ended.set)  # type: ignore[attr-defined]
        thread.join(LONG)
    assert not thread.is_alive()


@pytest.fixture
def gemm_served(gemm: bytes, two_inputs: bytes, two_outputs: bytes) -> Iterator[Served]:
    with served({"gemm": gemm, "two": two_inputs, "pair": two_outputs}) as here:
        yield here


def raw(model: str, inputs: dict[str, np.ndarray], **fields: Any) -> Any:
    """A request with its tensors as bytes."""
    request = Infer(model_name=model, **fields)
    for name, array in inputs.items():
        kind = {"bool": "BOOL", "float16": "FP16", "float32": "FP32", "float64": "FP64", "object": "BYTES"}
        datatype = kind.get(array.dtype.name, array.dtype.name.upper())
        request.inputs.add(name=name, datatype=datatype, shape=array.shape)
        if array.dtype == object:
            pieces = [text.encode() for text in array.flat]
            content = b"".join(len(piece).to_bytes(4, "little") + piece for piece in pieces)
        else:
            content = array.tobytes()
        request.raw_input_contents.append(content)
    return request


def typed(model: str, name: str, array: np.ndarray, datatype: str, field: str, **fields: Any) -> Any:
    """A request with its tensor as numbers in a message."""
    request = Infer(model_name=model, **fields)
    tensor = request.inputs.add(name=name, datatype=datatype, shape=array.shape)
    values = [text.encode() for text in array.flat] if array.dtype == object else array.reshape(-1).tolist()
    getattr(tensor.contents, field).extend(values)
    return request


def output(answer: Any, name: str, dtype: Any) -> np.ndarray:
    place = [tensor.name for tensor in answer.outputs].index(name)
    content = answer.raw_output_contents[place]
    shape = tuple(answer.outputs[place].shape)
    if np.dtype(dtype).hasobject:
        texts, position = [], 0
        while position < len(content):
            size = int.from_bytes(content[position : position + 4], "little")
            texts.append(content[position + 4 : position + 4 + size].decode())
            position += 4 + size
        return np.array(texts, object).reshape(shape)
    return np.frombuffer(content, dtype).reshape(shape)


def refused(call: Callable[[], Any]) -> tuple[Any, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()  # type: ignore[attr-defined]


TEXTS = np.array(["a", "", "ü€𝄞", "x" * 1000], object)
TENSORS = [
    (TensorProto.BOOL, "BOOL", "bool_contents", np.array([True, False, True])),
    *(
        (
            getattr(TensorProto, name),
            name,
            field,
            np.array([np.iinfo(name.lower()).min, 0, np.iinfo(name.lower()).max], name.lower()),
        )
        for name, field in (
            ("INT8", "int_contents"),
            ("INT16", "int_contents"),
            ("INT32", "int_contents"),
            ("INT64", "int64_contents"),
            ("UINT8", "uint_contents"),
            ("UINT16", "uint_contents"),
            ("UINT32", "uint_contents"),
            ("UINT64", "uint64_contents"),
        )
    ),
    (TensorProto.FLOAT16, "FP16", "", np.array([0.5, -65504, np.inf], np.float16)),
    (TensorProto.FLOAT, "FP32", "fp32_contents", np.array([0.1, np.nan, -np.inf, 3.4e38], np.float32)),
    (TensorProto.DOUBLE, "FP64", "fp64_contents", np.array([0.1, np.nan, 1e308])),
    (TensorProto.STRING, "BYTES", "bytes_contents", TEXTS),
]


@pytest.mark.parametrize(("kind", "datatype", "field", "array"), TENSORS, ids=[tensor[1] for tensor in TENSORS])
def test_every_datatype_goes_there_and_back(
    identity: Callable[..., bytes], kind: int, datatype: str, field: str, array: np.ndarray
) -> None:
    empty = array[:0]
    with served({"same": identity(kind)}) as here:
        requests = [(raw("same", {"x": sent}), sent) for sent in (array, empty)]
        if field:
            requests += [(typed("same", "x", sent, datatype, field), sent) for sent in (array, empty)]
        for request, sent in requests:
            answer = here.infer(request)
            assert answer.outputs[0].datatype == datatype
            np.testing.assert_array_equal(output(answer, "y", array.dtype), sent)
        if not field:
            code, said = refused(lambda: here.infer(typed("same", "x", array, datatype, "fp32_contents")))
            assert (code, said) == (
                CODE.INVALID_ARGUMENT,
                "input 'x': FP16 needs raw_input_contents; got fp32_contents",
            )


def test_an_inference_gives_the_models_numbers(
    gemm_served: Served, gemm_reference: Callable[[np.ndarray], np.ndarray]
) -> None:
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    for request in (
        raw("gemm", {"x": x}, id="seven"),
        typed("gemm", "x", x, "FP32", "fp32_contents", id="seven", model_version="1"),
    ):
        answer = gemm_served.infer(request)
        assert (answer.model_name, answer.model_version, answer.id) == ("gemm", "1", "seven")
        np.testing.assert_allclose(output(answer, "y", np.float32), gemm_reference(x), rtol=1e-6)
        assert not answer.outputs[0].HasField("contents")


def test_only_the_outputs_asked_for_come_in_the_order_asked_for(gemm_served: Served) -> None:
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    answer = gemm_served.infer(raw("pair", {"x": x}, outputs=[{"name": "total"}, {"name": "negative"}]))
    assert [tensor.name for tensor in answer.outputs] == ["total", "negative"]
    np.testing.assert_array_equal(output(answer, "total", np.float32), x.sum(1))
    answer = gemm_served.infer(raw("pair", {"x": x}, outputs=[{"name": "negative"}]))
    assert [tensor.name for tensor in answer.outputs] == ["negative"]
    assert len(answer.raw_output_contents) == 1


def test_what_clients_set_and_this_server_has_no_use_for_is_let_pass(gemm_served: Served) -> None:
    request = raw("gemm", {"x": np.ones((1, 4), np.float32)}, outputs=[{"name": "y"}])
    request.parameters["priority"].uint64_param = 3
    request.parameters["binary_data_output"].bool_param = True
    request.outputs[0].parameters["binary_data"].bool_param = True
    request.outputs[0].parameters["classification"].int64_param = 0
    assert len(gemm_served.infer(request).outputs) == 1


ONE = np.ones((1, 4), np.float32)


def _both(change: Callable[[Any], None]) -> Any:
    request = raw("gemm", {"x": ONE})
    change(request)
    return request


def _set_contents(request: Any) -> None:
    request.inputs[0].contents.fp32_contents.extend([1] * 4)


def _set_region(request: Any) -> None:
    request.inputs[0].parameters["shared_memory_region"].string_param = "shared"


REFUSED = [
    (raw("none", {"x": ONE}), CODE.NOT_FOUND, "there is no model 'none'"),
    (raw("gemm", {"x": ONE}, model_version="2"), CODE.NOT_FOUND, "has no version '2'"),
    (raw("gemm", {"x": ONE}, model_version="x"), CODE.NOT_FOUND, "has no version 'x'"),
    (raw("gemm/ready", {"x": ONE}), CODE.NOT_FOUND, "there is no model 'gemm/ready'"),
    (raw("gemm", {"x": ONE}, model_version="1/x"), CODE.NOT_FOUND, "there is no version '1/x'"),
    (raw("", {"x": ONE}), CODE.INVALID_ARGUMENT, "the name of the model is empty"),
    (Infer(model_name="gemm"), CODE.INVALID_ARGUMENT, "'x' missing"),
    (raw("gemm", {"z": ONE}), CODE.INVALID_ARGUMENT, "inputs[0].name needs the name of an input"),
    (raw("gemm", {"x": ONE.astype(np.float64)}), CODE.INVALID_ARGUMENT, "datatype needs 'FP32'; got 'FP64'"),
    (raw("gemm", {"x": ONE[:, :3]}), CODE.INVALID_ARGUMENT, "shape needs to fit FP32[batch, 4]; got [1, 3]"),
    (_both(lambda r: r.inputs.add(name="x")), CODE.INVALID_ARGUMENT, "one entry for each of the 2 inputs; got 1"),
    (_both(lambda r: r.raw_input_contents.append(b"")), CODE.INVALID_ARGUMENT, "each of the 1 inputs; got 2"),
    (_both(_set_contents), CODE.INVALID_ARGUMENT, "input 'x' has contents, and the request raw_input_contents"),
    (_both(_set_region), CODE.INVALID_ARGUMENT, "there is no shared memory here"),
    (_both(lambda r: r.inputs[0].shape.__setitem__(0, 2)), CODE.INVALID_ARGUMENT, "needs 32 bytes of FP32; got 16"),
    (_both(lambda r: r.inputs[0].shape.__setitem__(0, -1)), CODE.INVALID_ARGUMENT, "needs a list of sizes"),
    (_both(lambda r: r.inputs[0].shape.__setitem__(0, 2**62)), CODE.INVALID_ARGUMENT, f"needs {2**66} bytes"),
    (typed("gemm", "x", ONE[0], "FP32", "fp32_contents"), CODE.INVALID_ARGUMENT, "shape needs to fit"),
    (typed("gemm", "x", ONE, "FP32", "fp64_contents"), CODE.INVALID_ARGUMENT, "or raw_input_contents; got fp64_con"),
    (raw("gemm", {"x": ONE}, outputs=[{"name": "z"}]), CODE.INVALID_ARGUMENT, "outputs[0].name needs the name of"),
    (raw("gemm", {"x": ONE}, outputs=[{"name": "y"}] * 2), CODE.INVALID_ARGUMENT, "'y' is asked for twice"),
    (raw("gemm", {"x": ONE}, outputs=[{"name": "y"}] * 257), CODE.INVALID_ARGUMENT, "257 tensors; at most 256"),
    (b"\xff\xff", CODE.INVALID_ARGUMENT, "the request is no inference.ModelInferRequest message"),
]


def test_a_clients_mistakes_are_refused_with_what_is_wrong(gemm_served: Served) -> None:
    for request, code, part in REFUSED:
        found, said = refused(lambda request=request: gemm_served.infer(request))
        assert found == code, said
        assert part in said
    assert gemm_served.infer(raw("gemm", {"x": ONE})).outputs


def test_numbers_too_large_for_a_narrow_integer_are_refused(identity: Callable[..., bytes]) -> None:
    with served({"same": identity(TensorProto.INT8)}) as here:
        sent = np.array([1, 200], np.int32)
        code, said = refused(lambda: here.infer(typed("same", "x", sent, "INT8", "int_contents")))
    assert code == CODE.INVALID_ARGUMENT
    assert said == "input 'x': INT8 needs numbers from -128 to 127; got 1 to 200"


def test_texts_that_are_not_utf8_are_refused_in_either_form(identity: Callable[..., bytes]) -> None:
    with served({"same": identity(TensorProto.STRING)}) as here:
        listed, packed = Infer(model_name="same"), Infer(model_name="same")
        for request in (listed, packed):
            request.inputs.add(name="x", datatype="BYTES", shape=[1])
        listed.inputs[0].contents.bytes_contents.append(b"\xff")
        packed.raw_input_contents.append(b"\x01\0\0\0\xff")
        (code, said), other = (refused(lambda r=r: here.infer(r)) for r in (listed, packed))
    assert code == CODE.INVALID_ARGUMENT
    assert "element 0 of BYTES is not UTF-8" in said
    assert other == (code, said)


def test_grpc_and_rest_refuse_with_the_same_words(gemm_served: Served) -> None:
    rest = TestClient(gemm_served.app)
    cases: list[dict[str, Any]] = [
        {"name": "z", "datatype": "FP32", "shape": [1, 4]},
        {"name": "x", "datatype": "FP64", "shape": [1, 4]},
        {"name": "x", "datatype": "FP32", "shape": [1, 3]},
        {"name": "x", "datatype": "FP32", "shape": [-1, 4]},
    ]
    for case in cases:
        request = Infer(model_name="gemm", raw_input_contents=[ONE.tobytes()])
        request.inputs.add(**case)
        _, said = refused(lambda request=request: gemm_served.infer(request))
        answer = rest.post("/v2/models/gemm/infer", json={"inputs": [{**case, "data": [1.0] * 4}]})
        assert orjson.loads(answer.content)["error"] == said
    _, said = refused(lambda: gemm_served.infer(raw("none", {"x": ONE})))
    assert orjson.loads(rest.post("/v2/models/none/infer", b"{}").content)["error"] == said


def test_the_server_and_its_models_say_what_they_are(gemm_served: Served) -> None:
    assert gemm_served.call("ServerLive").live
    assert gemm_served.call("ServerReady").ready
    assert gemm_served.call("ServerMetadata").name == "seqc-runtime"
    assert gemm_served.call("ModelReady", {"name": "gemm"}).ready
    assert refused(lambda: gemm_served.call("ModelReady", {"name": "none"}))[0] == CODE.NOT_FOUND
    answer = gemm_served.call("ModelMetadata", {"name": "two", "version": "1"})
    assert (answer.name, list(answer.versions), answer.platform) == ("two", ["1"], "onnx_onnxv1")
    assert [(i.name, i.datatype, list(i.shape)) for i in answer.inputs] == [
        ("a", "FP32", [-1, 2]),
        ("b", "FP32", [-1, 2]),
    ]


def test_a_server_without_models_is_live_but_not_ready() -> None:
    with served({}) as here:
        assert here.call("ServerLive").live
        assert not here.call("ServerReady").ready
        assert here.call("Check", service="grpc.health.v1.Health").status == 2


def test_requests_of_one_stream_are_answered_in_order_and_a_bad_one_does_not_end_it(gemm_served: Served) -> None:
    rows = np.random.default_rng(1).standard_normal((20, 1, 2)).astype(np.float32)
    requests = [raw("pair" if n != 7 else "none", {"x": row}, id=str(n)) for n, row in enumerate(rows)]
    requests[3].parameters["triton_enable_empty_final_response"].bool_param = True
    answers = list(gemm_served.method("ModelStreamInfer")(iter(requests), timeout=LONG))
    assert [answer.infer_response.id for answer in answers] == [str(n) for n in range(20)]
    for n, (row, answer) in enumerate(zip(rows, answers, strict=True)):
        if n == 7:
            assert answer.error_message.startswith("there is no model 'none'")
        else:
            assert not answer.error_message
            np.testing.assert_array_equal(output(answer.infer_response, "negative", np.float32), -row)
        finals = answer.infer_response.parameters
        assert ("triton_final_response" in finals) == (n == 3)


class Slow(Scheduler):
    """Waits before it runs a job, and keeps the jobs."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.jobs: list[Job] = []
        self.cancelled = threading.Event()

    async def submit(self, job: Job) -> Any:
        self.jobs.append(job)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return job.run()


def test_the_deadline_of_a_call_and_the_timeout_of_a_request_are_the_jobs_deadline(gemm: bytes) -> None:
    slow = Slow(0)
    with served({"gemm": gemm}, scheduler=slow) as here:
        began = time.monotonic()
        here.infer(raw("gemm", {"x": ONE}), timeout=25)
        request = raw("gemm", {"x": ONE})
        request.parameters["timeout"].int64_param = 15_000_000
        here.infer(request, timeout=25)
        here.infer(request, timeout=None)
        here.infer(raw("gemm", {"x": ONE}), timeout=None)
        took = time.monotonic() - began
    deadlines = [job.deadline and job.deadline - began for job in slow.jobs]
    for deadline, expected in zip(deadlines, (25, 15, 15), strict=False):
        assert deadline is not None
        assert expected - 2 <= deadline <= expected + took + 2
    assert deadlines[3] is None


def test_a_client_that_cancels_or_waits_no_longer_is_dropped(gemm: bytes) -> None:
    slow = Slow(LONG)
    with served({"gemm": gemm}, scheduler=slow) as here:
        call = here.method("ModelInfer").future(raw("gemm", {"x": ONE}), timeout=LONG)
        _until(lambda: len(slow.jobs) == 1)
        assert slow.jobs[0].gone is not None
        assert not slow.jobs[0].gone()
        call.cancel()
        assert slow.cancelled.wait(LONG)
        _until(slow.jobs[0].gone)
        slow.cancelled.clear()
        assert refused(lambda: here.infer(raw("gemm", {"x": ONE}), timeout=0.5))[0] == CODE.DEADLINE_EXCEEDED
        assert slow.cancelled.wait(LONG)
        slow.seconds = 0
        assert here.infer(raw("gemm", {"x": ONE})).outputs


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, CODE.UNAUTHENTICATED),
        (403, CODE.PERMISSION_DENIED),
        (413, CODE.RESOURCE_EXHAUSTED),
        (429, CODE.RESOURCE_EXHAUSTED),
        (500, CODE.INTERNAL),
        (503, CODE.UNAVAILABLE),
        (504, CODE.DEADLINE_EXCEEDED),
    ],
)
def test_a_refused_job_has_grpcs_status_and_tells_when_to_come_back(gemm: bytes, status: int, code: Any) -> None:
    class Refusing(Scheduler):
        async def submit(self, job: Job) -> Any:
            raise Refusal(status, "zu früh: 🐌" + "x" * 10_000, {"retry-after": "2", "x-other": "no"})

    with served({"gemm": gemm}, scheduler=Refusing()) as here, pytest.raises(grpc.RpcError) as caught:
        here.infer(raw("gemm", {"x": ONE}))
    error: Any = caught.value
    assert error.code() == code
    assert error.details().startswith("zu früh: 🐌x")
    assert len(error.details()) == 2000
    assert dict(error.trailing_metadata()) == {"retry-after": "2", "grpc-retry-pushback-ms": "2000"}


def test_a_mistake_of_the_server_tells_nothing_of_its_inside(gemm: bytes) -> None:
    class Broken(Scheduler):
        async def submit(self, job: Job) -> Any:
            raise ZeroDivisionError("secret")

    with served({"gemm": gemm}, scheduler=Broken()) as here:
        code, said = refused(lambda: here.infer(raw("gemm", {"x": ONE})))
    assert code == CODE.INTERNAL
    assert "secret" not in said


def test_messages_beyond_the_limit_are_refused_also_when_they_come_compressed(relu: Callable[..., bytes]) -> None:
    limits = Limits(body=1 << 20, rows=1 << 23)
    with served({"relu": relu(["batch"], ["batch"])}, limits) as here:
        fits = np.ones(1 << 18, np.float32)
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate):
            answer = here.infer(raw("relu", {"x": fits}, outputs=[{"name": "y"}]), compression=compression)
            np.testing.assert_array_equal(output(answer, "y", np.float32), fits)
            larger = np.zeros(1 << 22, np.float32)
            code, _ = refused(lambda c=compression, x=larger: here.infer(raw("relu", {"x": x}), compression=c))
            assert code == CODE.RESOURCE_EXHAUSTED


def test_answers_may_be_larger_than_requests_may(make: Callable[..., bytes]) -> None:
    model = make(
        [helper.make_node("Expand", ["x", "shape"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1 << 21])],
        {"shape": np.array([1 << 21], np.int64)},
    )
    with served({"grow": model}, Limits(body=1 << 20)) as here:
        channel = grpc.insecure_channel(f"127.0.0.1:{here.port}", options=[("grpc.max_receive_message_length", -1)])
        with channel:
            method = here.method("ModelInfer", channel=channel)
            answer = method(raw("grow", {"x": np.float32([3])}), timeout=LONG)
    np.testing.assert_array_equal(output(answer, "y", np.float32), np.full(1 << 21, 3, np.float32))


HEALTH = "grpc.health.v1.Health"
SERVING, NOT_SERVING, UNKNOWN = 1, 2, 3


def test_health_is_told_when_asked_and_when_it_changes(gemm_served: Served) -> None:
    for name in ("", "inference.GRPCInferenceService"):
        assert gemm_served.call("Check", {"service": name}, HEALTH).status == SERVING
    assert refused(lambda: gemm_served.call("Check", {"service": "other"}, HEALTH))[0] == CODE.NOT_FOUND
    listed = gemm_served.call("List", service=HEALTH).statuses
    assert {name: state.status for name, state in listed.items()} == {"": 1, "inference.GRPCInferenceService": 1}
    request = schema.message("grpc.health.v1.HealthCheckRequest")
    unknown = gemm_served.method("Watch", HEALTH)(request(service="other"), timeout=LONG)
    assert next(unknown).status == UNKNOWN
    unknown.cancel()
    watch = gemm_served.method("Watch", HEALTH)(request(), timeout=LONG)
    assert next(watch).status == SERVING
    gemm_served.loop.call_soon_threadsafe(gemm_served.server.drain)
    assert [state.status for state in watch] == [NOT_SERVING]
    assert gemm_served.call("Check", service=HEALTH).status == NOT_SERVING
    # What still comes is answered.
    assert gemm_served.infer(raw("gemm", {"x": ONE})).outputs


def test_calls_under_way_are_answered_before_the_server_ends(gemm: bytes) -> None:
    slow, asked = Slow(1), threading.Event()
    with served({"gemm": gemm}, scheduler=slow) as here:
        calls = [here.method("ModelInfer").future(raw("gemm", {"x": ONE}, id=str(n)), timeout=LONG) for n in range(8)]
        idle = here.method("ModelStreamInfer")(_nothing(asked), timeout=LONG)
        _until(lambda: len(slow.jobs) == 8)
        here.run(here.server.end(LONG))
        assert [call.result().id for call in calls] == [str(n) for n in range(8)]
        code, said = refused(lambda: next(idle))
        asked.set()
        assert (code, said) == (CODE.UNAVAILABLE, "the server is ending: open the stream to another one")
        assert refused(lambda: here.infer(raw("gemm", {"x": ONE})))[0] == CODE.UNAVAILABLE


def _nothing(asked: threading.Event) -> Iterator[Any]:
    """Requests that never come."""
    asked.wait(2 * LONG)
    yield from ()


def test_a_client_that_goes_on_calling_an_ending_server_learns_that_it_is_unavailable(gemm: bytes) -> None:
    """gRPC itself would tell those whose calls arrive while it ends that they were cancelled."""
    codes: set[Any] = set()

    def hammer(method: Any) -> None:
        end = time.monotonic() + LONG
        while time.monotonic() < end:
            try:
                method(raw("gemm", {"x": ONE}), timeout=LONG)
            except grpc.RpcError as error:
                codes.add(error.code())  # type: ignore[attr-defined]
                return

    with served({"gemm": gemm}) as here:
        threads = [threading.Thread(target=hammer, args=(here.method("ModelInfer"),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        here.run(here.server.end(LONG))
        for thread in threads:
            thread.join(LONG)
    assert codes == {CODE.UNAVAILABLE}


def test_a_port_that_is_taken_is_refused(gemm_served: Served) -> None:
    async def second() -> None:
        server = GrpcServer(gemm_served.app, Scheduler())
        try:
            await server.start("127.0.0.1", gemm_served.port)
        finally:
            await server.end(0)

    with pytest.raises(RuntimeArgumentError, match=f"port {gemm_served.port}: --grpc-port takes another port"):
        gemm_served.run(second())


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_tells_all_a_client_needs_to_call(gemm_served: Served, version: str) -> None:
    """From nothing but the answers of reflection, as grpcurl does it."""
    kind = schema.message("grpc.reflection.v1.ServerReflectionRequest")
    questions = [
        kind(list_services="*"),
        kind(file_containing_symbol="inference.GRPCInferenceService"),
        kind(file_by_filename="health.proto"),
        kind(file_containing_symbol="no.such"),
        kind(all_extension_numbers_of_type="inference.ModelInferRequest"),
    ]
    stream = gemm_served.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=kind.SerializeToString,
        response_deserializer=schema.message("grpc.reflection.v1.ServerReflectionResponse").FromString,
    )
    services, file, health, *missing = stream(iter(questions), timeout=LONG)
    names = [service.name for service in services.list_services_response.service]
    assert names == [
        "inference.GRPCInferenceService",
        HEALTH,
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ]
    assert [answer.error_response.error_code for answer in missing] == [5, 5]
    assert health.file_descriptor_response.file_descriptor_proto
    pool = descriptor_pool.DescriptorPool()
    for content in file.file_descriptor_response.file_descriptor_proto:
        pool.AddSerializedFile(content)
    method = pool.FindServiceByName(names[0]).methods_by_name["ModelMetadata"]
    call = gemm_served.channel.unary_unary(
        f"/{names[0]}/ModelMetadata",
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    assert call(GetMessageClass(method.input_type)(name="gemm"), timeout=LONG).inputs[0].datatype == "FP32"


def test_the_messages_are_those_of_the_proto_files(tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc", reason="grpcio-tools compiles the .proto files")
    folder = schema.COMPILED.parent
    names = [file.name for file in schema.FILES]
    assert sorted(names) == sorted(path.name for path in folder.glob("*.proto"))
    again = tmp_path / "again.binpb"
    assert protoc.main(["", f"-I{folder}", f"--descriptor_set_out={again}", *names]) == 0
    assert descriptor_pb2.FileDescriptorSet.FromString(again.read_bytes()).file == schema.FILES


def test_the_messages_stay_apart_from_those_of_clients_in_the_same_process() -> None:
    """Every package that brings the protocol's generated modules takes its names in protobuf's default pool."""
    file = descriptor_pb2.FileDescriptorProto(name="theirs.proto", package="inference", syntax="proto3")
    file.message_type.add(name="ModelInferRequest").field.add(name="theirs", number=1, type=9, label=1)
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    theirs = descriptor_pool.Default().FindMessageTypeByName("inference.ModelInferRequest")
    assert [field.name for field in theirs.fields] == ["theirs"]
    assert Infer(model_name="gemm").model_name == "gemm"


def test_malformed_messages_of_every_method_are_refused(gemm_served: Served) -> None:
    for service in ("inference.GRPCInferenceService", HEALTH, "grpc.reflection.v1.ServerReflection"):
        for method in schema.service(service).methods:
            call = gemm_served.method(method.name, service)
            given = iter([b"\xff"]) if method.client_streaming else b"\xff"
            wait = list if method.server_streaming else lambda answer: answer
            code, said = refused(lambda c=call, g=given, w=wait: w(c(g, timeout=LONG)))
            assert code == CODE.INVALID_ARGUMENT, method.name
            assert "message" in said


class Authority:
    """Makes certificates with openssl, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "ca.pem"
        self.key = folder / "ca.key"
        self._run("req", "-x509", "-subj", "/CN=authority", "-out", self.certificate, *self._new(self.key))

    def sign(self, name: str, alternative: str | None = None) -> tuple[Path, Path]:
        """A certificate and its key."""
        certificate, key, request = (self.folder / f"{name}.{kind}" for kind in ("pem", "key", "csr"))
        self._run("req", "-subj", f"/CN={name}", "-out", request, *self._new(key))
        extensions = self.folder / "extensions"
        extensions.write_text(f"subjectAltName={alternative or 'DNS:' + name}\n")
        signer = ("-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", "2")
        self._run("x509", "-req", "-in", request, "-out", certificate, *signer, "-extfile", extensions)
        return certificate, key

    def _new(self, key: Path) -> tuple[object, ...]:
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key)

    def _run(self, *arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made with openssl")
    return Authority(tmp_path)


def _secure(here: Served, authority: Authority, pair: tuple[Path, Path] | None = None) -> Any:
    """A new connection by a client that trusts the authority; it shows a certificate if it has one."""
    own = (pair[1].read_bytes(), pair[0].read_bytes()) if pair else (None, None)
    trusted = grpc.ssl_channel_credentials(authority.certificate.read_bytes(), *own)
    options = [("grpc.use_local_subchannel_pool", 1)]
    return grpc.secure_channel(f"localhost:{here.port}", trusted, options=options)


def test_tls_works_and_a_new_certificate_is_taken_without_a_restart(gemm: bytes, authority: Authority) -> None:
    certificate, key = authority.sign("server", "DNS:localhost")
    with served({"gemm": gemm}, credentials=server_credentials(str(certificate), str(key), None)) as here:
        with _secure(here, authority) as channel:
            assert here.method("ModelInfer", channel=channel)(raw("gemm", {"x": ONE}), timeout=LONG).outputs
        assert refused(lambda: here.infer(raw("gemm", {"x": ONE})))[0] == CODE.UNAVAILABLE
        # One for another name, so that it shows which of them is used.
        authority.sign("server", "DNS:elsewhere")
        with _secure(here, authority) as channel:
            method = here.method("ModelInfer", channel=channel)
            assert refused(lambda: method(raw("gemm", {"x": ONE}), timeout=LONG))[0] == CODE.UNAVAILABLE
        key.write_text("half a file")
        authority.sign("server", "DNS:localhost")
        with _secure(here, authority) as channel:
            assert here.method("ModelInfer", channel=channel)(raw("gemm", {"x": ONE}), timeout=LONG).outputs
        key.unlink()
        with _secure(here, authority) as channel:
            assert here.method("ModelInfer", channel=channel)(raw("gemm", {"x": ONE}), timeout=LONG).outputs


def test_clients_show_certificates_where_they_must(gemm: bytes, authority: Authority) -> None:
    certificate, key = authority.sign("server", "DNS:localhost")
    friend = authority.sign("friend")
    (authority.folder / "strangers").mkdir()
    stranger = Authority(authority.folder / "strangers").sign("stranger")
    wanted = server_credentials(str(certificate), str(key), str(authority.certificate))
    seen: list[Head] = []
    with served({"gemm": gemm}, credentials=wanted, identify=lambda shown: names_of(shown)[-1]) as here:
        opened = here.app.open
        here.app.open = lambda head: seen.append(head) or opened(head)  # type: ignore[method-assign, func-returns-value]
        for pair in (None, stranger):
            with _secure(here, authority, pair) as channel:
                method = here.method("ModelInfer", channel=channel)
                assert refused(lambda m=method: m(raw("gemm", {"x": ONE}), timeout=LONG))[0] == CODE.UNAVAILABLE
        assert not seen
        with _secure(here, authority, friend) as channel:
            method = here.method("ModelInfer", channel=channel)
            method(raw("gemm", {"x": ONE}), timeout=LONG, metadata=[("authorization", "Bearer t"), ("a-bin", b"1")])
    (head,) = seen
    assert (head.method, head.path) == ("POST", "/v2/models/gemm/infer")
    assert head.headers["authorization"] == "Bearer t"
    assert head.client.address in ("127.0.0.1", "::1")
    assert head.client.certificate == "friend"


def test_certificates_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeArgumentError, match="cannot read .*missing.pem"):
        server_credentials(str(tmp_path / "missing.pem"), str(tmp_path / "missing.pem"), None)
