"""gRPC around inference: deadlines, limits, health, the end, reflection, certificates."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("grpc", reason="the server speaks gRPC with grpcio")
pytest.importorskip("google.protobuf", reason="gRPC's messages are protobuf's")
pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass
from onnx import TensorProto, helper
from runtime_kit.grpc_served import CODE, LONG, Infer, Served, output, raw, refused, served

from seqc_runtime.errors import RuntimeArgumentError
from seqc_runtime.server.grpc import schema
from seqc_runtime.server.grpc.credentials import server_credentials
from seqc_runtime.server.grpc.serve import GrpcServer
from seqc_runtime.server.jobs import Job
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Head, Refusal
from seqc_runtime.server.scheduling import Scheduler
from seqc_runtime.server.tls import names_of

ONE = np.ones((1, 4), np.float32)


@pytest.fixture
def gemm_served(gemm: bytes, two_inputs: bytes, two_outputs: bytes) -> Iterator[Served]:
    with served({"gemm": gemm, "two": two_inputs, "pair": two_outputs}) as here:
        yield here


def test_limits_may_be_larger_than_grpcs_own(gemm: bytes) -> None:
    huge = 5_000_000_000
    with served(
        {"gemm": gemm}, Limits(body=huge, connections=huge, header=huge, streams=huge, keep_alive=86_400)
    ) as here:
        assert here.infer(raw("gemm", {"x": ONE})).model_name == "gemm"


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_messages_beyond_the_limit_are_refused_also_when_they_come_compressed(relu: Callable[..., bytes]) -> None:
    limits = Limits(body=1 << 20, rows=1 << 23)
    with served({"relu": relu(["batch"], ["batch"])}, limits) as here:
        fits = np.ones(1 << 18, np.float32)
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate):
            answer = here.infer(raw("relu", {"x": fits}, outputs=[{"name": "y"}]), compression=compression)
            np.testing.assert_array_equal(output(answer, "y", np.float32), fits)
            larger = np.zeros(1 << 22, np.float32)
            code, _ = refused(partial(here.infer, raw("relu", {"x": larger}), compression=compression))
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
            answer = method(raw("grow", {"x": np.array([3], np.float32)}), timeout=LONG)
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_client_that_goes_on_calling_an_ending_server_learns_that_it_is_unavailable(gemm: bytes) -> None:
    """gRPC itself would tell those whose calls arrive while it ends that they were cancelled."""
    codes: set[Any] = set()

    def hammer(method: Any) -> None:
        end = time.monotonic() + LONG
        while time.monotonic() < end:
            try:
                method(raw("gemm", {"x": ONE}), timeout=LONG)
            except grpc.RpcError as error:
                codes.add(error.code())
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
        kind(file_containing_symbol="grpc.health.v1.Health.Watch"),
        kind(file_containing_symbol="grpc.reflection.v1alpha.ServerReflection"),
        kind(file_containing_symbol="no.such"),
        kind(all_extension_numbers_of_type="inference.ModelInferRequest"),
    ]
    stream = gemm_served.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=kind.SerializeToString,
        response_deserializer=schema.message("grpc.reflection.v1.ServerReflectionResponse").FromString,
    )
    services, file, health, of_method, older, *missing = stream(iter(questions), timeout=LONG)
    names = [service.name for service in services.list_services_response.service]
    assert names == [
        "inference.GRPCInferenceService",
        HEALTH,
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ]
    assert [answer.error_response.error_code for answer in missing] == [5, 5]
    assert health.file_descriptor_response.file_descriptor_proto
    assert of_method.file_descriptor_response == health.file_descriptor_response
    pool = descriptor_pool.DescriptorPool()
    for content in older.file_descriptor_response.file_descriptor_proto:
        pool.AddSerializedFile(content)
    (talk,) = pool.FindServiceByName("grpc.reflection.v1alpha.ServerReflection").methods
    assert talk.input_type.full_name == "grpc.reflection.v1alpha.ServerReflectionRequest"
    assert [field.name for field in talk.output_type.fields] == [field.name for field in services.DESCRIPTOR.fields]
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
    folder = Path(str(schema.COMPILED)).parent
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


def _answered(call: Any, given: Any, streaming: bool) -> Any:
    answer = call(given, timeout=LONG)
    return list(answer) if streaming else answer


def test_malformed_messages_of_every_method_are_refused(gemm_served: Served) -> None:
    for service in ("inference.GRPCInferenceService", HEALTH, "grpc.reflection.v1.ServerReflection"):
        for method in schema.service(service).methods:
            call = gemm_served.method(method.name, service)
            given = iter([b"\xff"]) if method.client_streaming else b"\xff"
            code, said = refused(partial(_answered, call, given, method.server_streaming))
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


@pytest.mark.slow
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


@pytest.mark.slow
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
                assert refused(partial(method, raw("gemm", {"x": ONE}), timeout=LONG))[0] == CODE.UNAVAILABLE
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
