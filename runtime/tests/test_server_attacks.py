"""Clients that mean harm: everything they do is refused or cut off, and costs a bounded amount of memory."""

from __future__ import annotations

import contextlib
import gzip
import socket
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from runtime_kit.effort import effort
from runtime_kit.server_process import ServerProcess, gemm_request, read_all, serving, split, until, write_gemm
from test_server_guard import BODY, REFUSED, post

INFER = "/v2/models/gemm/infer"
GROWTH = 8 << 20
LIMITS = {"header_time": 2, "body_grace": 2, "keep_alive": 3, "connections": 200, "body": 8 << 20}
LIMITS |= {"header": 8192, "headers": 50, "url": 2048}

# 128 MiB of nothing in 128 kB.
BOMB = gzip.compress(b" " * (1 << 20), 9, mtime=0) * 128


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    limits = [f"--limit={name}={value}" for name, value in LIMITS.items()]
    with serving(write_gemm(tmp_path_factory.mktemp("attacks")), *limits) as server:
        yield server


def refused(server: ServerProcess, data: bytes) -> None:
    """The answer is a 4xx or the connection is closed; nothing behind it is taken for a request."""
    answer = server.send(data)
    assert not answer or 400 <= split(answer)[0] < 500, answer[:300]


def malformed(server: ServerProcess) -> None:
    for data, status in REFUSED.values():
        if status not in (413, 505):  # what is too big there is not here
            refused(server, data)


def header_flood(server: ServerProcess) -> None:
    refused(server, b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n" + b"".join(b"a%d: b\r\n" % n for n in range(200_000)))
    refused(server, b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n" + b"a: " + b"b" * 8_000_000)


def many_chunks(server: ServerProcess) -> None:
    refused(server, post(b"transfer-encoding: chunked", b"1\r\n \r\n" * 70_000))


def chunk_extensions(server: ServerProcess) -> None:
    refused(server, post(b"transfer-encoding: chunked", (b"1;" + b"a" * 60_000 + b"\r\nx\r\n") * 100))


def oversize(server: ServerProcess) -> None:
    refused(server, post(b"content-length: 9000000000000000000", b"x" * 1_000_000))
    refused(server, post(b"content-length: %d" % (9 << 20), b"x" * (9 << 20)))
    refused(server, post(b"transfer-encoding: chunked", b"100000\r\n%s\r\n" % (b"x" * 0x100000) * 9))


def pipeline(server: ServerProcess) -> None:
    request = post(b"content-length: %d" % len(BODY), BODY)
    answer = server.send(request * 10_000)
    assert answer.count(b"HTTP/1.1 200") < 200
    assert answer.count(b"HTTP/1.1 429") <= 1


def deep_json(server: ServerProcess) -> None:
    for text in (b"[" * 1_000_000, b'{"a":' * 200_000, b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}"):
        status, body = server.post(INFER, text)
        assert status == 400, body


def bomb(server: ServerProcess) -> None:
    status, body = server.post(INFER, BOMB, "content-encoding: gzip")
    assert 400 <= status < 500, body


def slow(server: ServerProcess) -> None:
    """Many connections that begin something and never end it; the server ends it."""
    starts = [b"", b"GET", b"GET /v2 HTTP/1.1\r\nhost: loc", post(b"content-length: 100000", b"x")]
    connections = [server.connect() for _ in range(40)]
    for number, connection in enumerate(connections):
        connection.sendall(starts[number % len(starts)])
    assert server.get("/v2")[0] == 200  # others are served meanwhile
    for connection in connections:
        answer = read_all(connection)
        assert not answer or split(answer)[0] == 408
        connection.close()


def trickle(server: ServerProcess) -> None:
    """A byte now and then is not enough to keep a connection."""
    connection = server.connect()
    end = time.monotonic() + 60
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < end:
            connection.sendall(b"a")
            time.sleep(0.1)
    connection.close()
    assert time.monotonic() < end


def send_for_ever(connection: socket.socket, data: bytes) -> None:
    while True:
        connection.sendall(data)


def never_reads(server: ServerProcess) -> None:
    """A client that asks for much and reads none of it."""
    body = gemm_request(np.ones((40_000, 4), np.float32))
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", server.port))
    connection.settimeout(60)
    head = f"POST {INFER} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with connection, pytest.raises(ConnectionError):  # not a timeout
        send_for_ever(connection, head + body)


def leaves(server: ServerProcess) -> None:
    """Clients that reset their connections at every stage."""
    for data in (b"GET", post(b"content-length: 50", b"x"), post(b"content-length: %d" % len(BODY), BODY) * 20):
        connection = server.connect()
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()


QUICK: list[Callable[[ServerProcess], None]] = [
    malformed,
    header_flood,
    many_chunks,
    chunk_extensions,
    oversize,
    pipeline,
    deep_json,
    bomb,
    leaves,
]
WAITING = [slow, trickle, never_reads]


def settle(server: ServerProcess) -> tuple[int, int]:
    """Files and threads, once the connections of before are gone."""
    until(lambda: server.get("/v2/health/ready")[0] == 200, "an answer")
    seen: list[int] = []

    def steady() -> bool:
        seen.append(server.files())
        time.sleep(0.05)
        return len(seen) > 8 and len(set(seen[-8:])) == 1

    until(steady, "connections to end")
    return server.files(), server.threads()


@pytest.mark.parametrize(
    "attack",
    [malformed, *(pytest.param(one, marks=pytest.mark.slow) for one in (oversize, deep_json, many_chunks, pipeline))],
    ids=lambda attack: attack.__name__,
)
def test_an_attack_is_refused_and_costs_nothing_that_lasts(
    server: ServerProcess, attack: Callable[[ServerProcess], None]
) -> None:
    for _ in range(5):
        attack(server)
    grown = []
    for _ in range(3):
        before, memory = settle(server), server.memory()
        attack(server)
        assert settle(server) == before
        grown.append(server.memory() - memory)
        if grown[-1] < GROWTH:
            return
    # Once more than before, what the C library keeps may grow; what an attack leaves behind grows each time.
    raise AssertionError(f"every time it cost {grown} bytes")


@pytest.mark.slow
@pytest.mark.parametrize("attack", WAITING, ids=lambda attack: attack.__name__)
def test_who_makes_the_server_wait_is_cut_off(server: ServerProcess, attack: Callable[[ServerProcess], None]) -> None:
    before = settle(server)
    attack(server)
    after = settle(server)
    assert after[0] <= before[0]
    assert server.get("/v2")[0] == 200


@pytest.mark.slow
def test_many_rounds_of_attacks_leave_memory_files_and_threads_as_they_were(server: ServerProcess) -> None:
    for _ in range(5):
        for attack in QUICK:
            attack(server)
    before, memory = settle(server), server.memory()
    for _ in range(effort(25, 100)):
        for attack in QUICK:
            attack(server)
    assert settle(server) == before
    assert server.memory() - memory < GROWTH
    assert server.complaints == []
