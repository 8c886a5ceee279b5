"""A server that speaks gRPC in this process, and calls to it as a client makes them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

pytest.importorskip("grpc", reason="the server speaks gRPC with grpcio")
pytest.importorskip("google.protobuf", reason="gRPC's messages are protobuf's")
pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

import grpc

import seqc_runtime
from seqc_runtime.server.app import App
from seqc_runtime.server.grpc import schema
from seqc_runtime.server.grpc.serve import GrpcServer
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.scheduling import Scheduler
from seqc_runtime.server.servable import Servable

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
    return caught.value.code(), caught.value.details()
