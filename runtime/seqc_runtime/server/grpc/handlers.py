"""From the methods of a service to what gRPC calls with bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from seqc_runtime.server.failures import refusal_of
from seqc_runtime.server.grpc.calls import parse, refuse
from seqc_runtime.server.grpc.schema import message
from seqc_runtime.server.messages import Refusal


class Ending:
    """How far the end of a server has come, and what must still be answered.

    draining: set when streams of requests should end. closed: whether calls that begin now are refused.
    under_way: calls that are not answered yet.
    """

    def __init__(self) -> None:
        self.draining = asyncio.Event()
        self.closed = False
        self.under_way = 0

    def __enter__(self) -> None:
        """Begin a call, which is under way until the block ends. Raises Refusal (503) when the server ends."""
        if self.closed:
            raise Refusal(503, "the server is ending: call another one")
        self.under_way += 1

    def __exit__(self, *exc_info: object) -> None:
        self.under_way -= 1


def generic(service: Any, ending: Ending, name: str | None = None) -> Any:
    """The handler that gRPC wants of a service.

    service: has a coroutine for each method of its `DESCRIPTION`, called with a request, its context and its bytes;
    or an asynchronous generator, called without the bytes. name: when it is not the description's.
    """
    description = service.DESCRIPTION
    methods = {method.name: _handler(method, getattr(service, method.name), ending) for method in description.methods}
    return grpc.method_handlers_generic_handler(name or description.full_name, methods)


def _handler(method: Any, function: Any, ending: Ending) -> Any:
    kind = message(method.input_type.full_name)
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(_streams(kind, function, ending))
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(_stream(kind, function))
    return grpc.unary_unary_rpc_method_handler(_one(kind, function, ending))


# Messages are read and written here, not by gRPC, which would call a client's mistake one of the server. A call that
# was cancelled must end with that: gRPC loses memory when it is told of an answer to it.
def _one(kind: Any, function: Any, ending: Ending) -> Any:
    async def call(raw: bytes, context: Any) -> bytes:
        try:
            with ending:
                return _serialized(await function(parse(kind, raw), context, raw))
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await _refuse(context, error)
            raise

    return call


def _stream(kind: Any, function: Any) -> Any:
    async def call(raw: bytes, context: Any) -> AsyncIterator[bytes]:
        try:
            async for answer in function(parse(kind, raw), context):
                yield _serialized(answer)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await _refuse(context, error)

    return call


def _streams(kind: Any, function: Any, ending: Ending) -> Any:
    async def requests(received: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        over = asyncio.ensure_future(ending.draining.wait())
        try:
            while True:
                # None stands for the end: a task that nobody asks may end with no exception but this.
                following = asyncio.ensure_future(anext(received, None))
                try:
                    await asyncio.wait((following, over), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not following.done():
                        following.cancel()
                if following.cancelled() or not following.done():
                    raise Refusal(503, "the server is ending: open the stream to another one")
                raw = following.result()
                if raw is None:
                    return
                yield parse(kind, raw)
        finally:
            over.cancel()

    async def call(received: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        try:
            with ending:
                async for answer in function(requests(received), context):
                    yield _serialized(answer)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await _refuse(context, error)

    return call


def _serialized(answer: Any) -> bytes:
    return answer if isinstance(answer, bytes) else bytes(answer.SerializeToString())


async def _refuse(context: Any, error: Exception) -> None:
    await refuse(context, refusal_of(error).response())
