"""A connection whose client sends on without waiting for answers: what it holds, and since when it is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="it carries connections")
pytest.importorskip("orjson", reason="the server speaks JSON with orjson")
import orjson
from uvicorn.server import ServerState

from seqc_runtime.server.connection import Connection
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.service import Service
from seqc_runtime.server.testing import TestClient

Serve = Callable[..., TestClient]
TENSOR = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
BODY = orjson.dumps({"inputs": [TENSOR]})
HEAD = b"POST /v2/models/m/infer HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(BODY)


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> None:
        """Nothing is known of it."""

    def pause_reading(self) -> None:
        """Nothing comes by itself."""

    def resume_reading(self) -> None:
        """Nothing comes by itself."""

    def can_write_eof(self) -> bool:
        return False


class Peer:
    """A client of one connection, for which time goes on only as it says."""

    def __init__(self, service: Service) -> None:
        self.wire = Wire()
        self.now = 0.0
        self.connection = Connection(SimpleNamespace(loaded_app=service), ServerState())
        loop: Any = SimpleNamespace(time=lambda: self.now, create_task=self.connection.loop.create_task)
        self.connection.loop = loop
        self.connection.connection_made(self.wire)

    async def send(self, data: bytes, answers: int) -> None:
        """Send this and wait until so many requests were answered well."""
        self.connection.data_received(data)
        async with asyncio.timeout(60):
            while self.wire.written.count(b"HTTP/1.1 200 OK") < answers:
                assert not self.connection.refused, self.wire.written
                await asyncio.sleep(0)
        self.waits(0)

    def waits(self, seconds: float, refused: bool = False) -> None:
        """Let time go by."""
        self.now += seconds
        self.connection.check(self.now)
        assert self.connection.refused == refused, self.wire.written
        assert (b" 408 " in self.wire.written) == refused


def run(serve: Serve, gemm: bytes, limits: Limits, work: Callable[[Service], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        await work(Service(serve(gemm, limits).app))

    asyncio.run(whole())


def test_the_body_of_an_answered_request_is_held_no_more(serve: Serve, gemm: bytes) -> None:
    async def work(service: Service) -> None:
        peer = Peer(service)
        await peer.send(HEAD, 0)
        for answered in range(1, 20):
            await peer.send(BODY + HEAD, answered)
            assert service.held == 0
        peer.connection.data_received(BODY[:10])
        assert service.held == 10
        peer.connection.connection_lost(None)
        assert service.held == 0

    run(serve, gemm, Limits(bodies=3 * len(BODY)), work)


@pytest.mark.parametrize("cut", [len(HEAD) // 2, len(HEAD) + 5], ids=["in the head", "in the body"])
def test_the_time_of_a_request_begins_with_its_first_byte(serve: Serve, gemm: bytes, cut: int) -> None:
    async def work(service: Service) -> None:
        peer, request = Peer(service), HEAD + BODY
        await peer.send(request[:cut], 0)
        for answered in range(1, 6):
            peer.waits(2)
            await peer.send(request[cut:] + request[:cut], answered)
        peer.waits(2.5)
        peer.waits(1, refused=True)

    run(serve, gemm, Limits(header_time=3, body_grace=3, body_rate=1 << 20), work)


def test_a_client_that_is_not_read_is_not_waited_for(serve: Serve, gemm: bytes) -> None:
    """While a request waits for the model, the beginning of the next one may be there already."""

    async def work(service: Service) -> None:
        peer = Peer(service)
        await peer.send(HEAD[:10], 0)
        peer.connection._pause_reading(True)
        peer.waits(20)
        peer.connection._pause_reading(False)
        peer.waits(2)
        peer.waits(2, refused=True)

    run(serve, gemm, Limits(header_time=3), work)
