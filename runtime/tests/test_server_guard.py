"""What the server does with requests that are malformed, too big or too slow, on a real socket."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from runtime_kit.server_process import ServerProcess, error_of, read_all, serving, split, write_gemm

INFER = b"/v2/models/gemm/infer"
BODY = orjson.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]})
GOOD = b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (INFER, len(BODY), BODY)
CLOSING = b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    path: Path = write_gemm(tmp_path_factory.mktemp("guard"))
    limits = {
        "body": 100_000,
        "header": 8192,
        "headers": 50,
        "url": 2048,
        "chunks": 500,
        "pipeline": 8,
        "connections": 40,
        "header_time": 2,
        "body_grace": 2,
        "keep_alive": 3,
    }
    with serving(path, *(f"--limit={name}={value}" for name, value in limits.items())) as server:
        yield server


def post(head: bytes, body: bytes = b"") -> bytes:
    return b"POST %s HTTP/1.1\r\nhost: localhost\r\n%s\r\n\r\n%s" % (INFER, head, body)


REFUSED = {
    "content-length and transfer-encoding": (
        post(b"content-length: 5\r\ntransfer-encoding: chunked", b"0\r\n\r\n"),
        400,
    ),
    "transfer-encoding and content-length": (
        post(b"transfer-encoding: chunked\r\ncontent-length: 5", b"0\r\n\r\n"),
        400,
    ),
    "two content-lengths": (post(b"content-length: 5\r\ncontent-length: 6", b"12345"), 400),
    "two equal content-lengths": (post(b"content-length: 5\r\ncontent-length: 5", b"12345"), 400),
    "a list of content-lengths": (post(b"content-length: 5, 5", b"12345"), 400),
    "a signed content-length": (post(b"content-length: +5", b"12345"), 400),
    "a negative content-length": (post(b"content-length: -5", b"12345"), 400),
    "a hexadecimal content-length": (post(b"content-length: 0x5", b"12345"), 400),
    "a content-length of 2^64": (post(b"content-length: 18446744073709551616", b"12345"), 400),
    "a body over the limit": (post(b"content-length: 100001"), 413),
    "a transfer coding nobody understands": (post(b"transfer-encoding: xchunked", b"0\r\n\r\n"), 400),
    "gzip as transfer coding": (post(b"transfer-encoding: gzip, chunked", b"0\r\n\r\n"), 400),
    "chunked twice": (post(b"transfer-encoding: chunked\r\ntransfer-encoding: chunked", b"0\r\n\r\n"), 400),
    "chunked behind a tab": (post(b"transfer-encoding:\x0bchunked", b"0\r\n\r\n"), 400),
    "identity": (post(b"transfer-encoding: identity", b""), 400),
    "a chunk size that overflows": (post(b"transfer-encoding: chunked", b"FFFFFFFFFFFFFFFFF\r\nx"), 400),
    "a chunk size that is none": (post(b"transfer-encoding: chunked", b"xyz\r\nx"), 400),
    "a negative chunk size": (post(b"transfer-encoding: chunked", b"-1\r\nx"), 400),
    "chunks over the limit": (post(b"transfer-encoding: chunked", b"1\r\nx\r\n" * 501), 413),
    "chunks that make a body over the limit": (
        post(b"transfer-encoding: chunked", b"".join(b"8000\r\n%s\r\n" % (b"x" * 0x8000) for _ in range(4))),
        413,
    ),
    "a flood of chunk extensions": (post(b"transfer-encoding: chunked", b"1;" + b"a" * 500_000), 400),
    "no host": (b"GET /v2 HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nhost: b\r\n\r\n", 400),
    "a name with a space": (b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nx y: 1\r\n\r\n", 400),
    "a space before the colon": (post(b"content-length : 5", b"12345"), 400),
    "no name": (b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n: 1\r\n\r\n", 400),
    "a null byte in a value": (b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nx: a\0b\r\n\r\n", 400),
    "a null byte in a name": (b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nx\0: a\r\n\r\n", 400),
    "a null byte in the address": (b"GET /v2\0 HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
    "a folded line": (b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nx: a\r\n b\r\n\r\n", 400),
    "a bare carriage return": (b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nx: a\rb\r\n\r\n", 400),
    "too many lines": (b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n" + b"a: b\r\n" * 60 + b"\r\n", 431),
    "a long line": (b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 9000 + b"\r\n\r\n", 431),
    "a line without an end": (b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 1_000_000, 431),
    "a long name": (b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n" + b"a" * 1_000_000, 431),
    "a long address": (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 414),
    "HTTP/2": (b"GET /v2 HTTP/2.0\r\nhost: localhost\r\n\r\n", 505),
    "HTTP/9": (b"GET /v2 HTTP/9.9\r\nhost: localhost\r\n\r\n", 400),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "no version": (b"GET /v2\r\nhost: localhost\r\n\r\n", 505),
    "a method nobody knows": (b"BREW /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
    "CONNECT": (b"CONNECT a:1 HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500, 400),
    "something expected": (post(b"expect: 200-ok\r\ncontent-length: 1", b"x"), 417),
    "HTTP/1.0 with chunks": (
        b"POST %s HTTP/1.0\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" % INFER,
        400,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("attack", REFUSED)
def test_a_malformed_request_is_refused_in_json_and_its_connection_closed(server: ServerProcess, attack: str) -> None:
    data, wanted = REFUSED[attack]
    status, message = error_of(server.send(data))
    assert (status, bool(message)) == (wanted, True)


@pytest.mark.slow
@pytest.mark.parametrize("attack", ["content-length and transfer-encoding", "two content-lengths", "a folded line"])
def test_nothing_after_a_refused_request_is_taken_for_another(server: ServerProcess, attack: str) -> None:
    answer = server.send(REFUSED[attack][0] + CLOSING * 3)
    assert answer.count(b"HTTP/1.1 ") == 1


ALLOWED = {
    "a plain request": GOOD + CLOSING,
    "HTTP/1.0": b"POST %s HTTP/1.0\r\ncontent-length: %d\r\n\r\n%s" % (INFER, len(BODY), BODY),
    "an absolute address": GOOD.replace(b"POST /", b"POST http://elsewhere/") + CLOSING,
    "chunks": post(b"transfer-encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)) + CLOSING,
    "chunks with extensions": post(b"transfer-encoding: chunked", b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))
    + CLOSING,
    "trailers": post(b"transfer-encoding: chunked", b"%x\r\n%s\r\n0\r\nhost: b\r\n\r\n" % (len(BODY), BODY)) + CLOSING,
    "an upgrade to websocket": post(
        b"connection: upgrade\r\nupgrade: websocket\r\ncontent-length: %d" % len(BODY), BODY
    )
    + CLOSING,
    "an upgrade to h2c": post(b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: %d" % len(BODY), BODY) + CLOSING,
    "an upgrade with chunks": post(
        b"connection: upgrade\r\nupgrade: h2c\r\ntransfer-encoding: chunked",
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
    )
    + CLOSING,
    "close": post(b"connection: close\r\ncontent-length: %d" % len(BODY), BODY) + CLOSING,
}


@pytest.mark.parametrize("kind", ALLOWED)
def test_an_unusual_request_gets_its_answer(server: ServerProcess, kind: str) -> None:
    answer = server.send(ALLOWED[kind])
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer
    assert b'"model_name":"gemm"' in answer
    # Whatever follows is answered, too, unless the client said that nothing would.
    assert answer.count(b"HTTP/1.1 200") == (1 if kind in ("close", "HTTP/1.0") else 2)


@pytest.mark.slow
def test_a_header_that_comes_slowly_is_refused(server: ServerProcess) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n")
        began = time.monotonic()
        status, message = error_of(read_all(connection))
    assert status == 408
    assert "header" in message
    assert time.monotonic() - began > 1


@pytest.mark.slow
def test_a_body_that_comes_slowly_is_refused(server: ServerProcess) -> None:
    with server.connect() as connection:
        connection.sendall(post(b"content-length: 50000", b"x"))
        status, message = error_of(read_all(connection))
    assert status == 408
    assert "body" in message


@pytest.mark.slow
@pytest.mark.parametrize("start", [b"", CLOSING.replace(b"connection: close\r\n", b"")])
def test_an_idle_connection_is_closed(server: ServerProcess, start: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(start)
        answer = read_all(connection)
    assert answer.count(b"HTTP/1.1 ") == (1 if start else 0)


def test_a_client_is_told_to_go_on_only_when_its_body_will_be_read(server: ServerProcess) -> None:
    with server.connect() as connection:
        connection.sendall(post(b"expect: 100-continue\r\ncontent-length: %d" % len(BODY)))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(BODY)
        assert split(connection.recv(100_000))[0] == 200
    for refused in (
        post(b"expect: 100-continue\r\ncontent-length: 5000000"),
        post(b"expect: 100-continue\r\ncontent-length: 50").replace(INFER, b"/nowhere"),
    ):
        answer = server.send(refused)
        assert b"100 Continue" not in answer
        assert error_of(answer)[0] in (404, 413)
        assert b"connection: close" in answer


def test_an_older_client_gets_no_interim_answer(server: ServerProcess) -> None:
    """HTTP/1.0 has none: it would take it for the answer."""
    with server.connect() as connection:
        connection.sendall(post(b"expect: 100-continue\r\ncontent-length: %d" % len(BODY)).replace(b"1.1", b"1.0"))
        time.sleep(0.2)
        connection.sendall(BODY)
        assert split(read_all(connection))[0] == 200


def test_answers_to_a_pipeline_come_in_order_and_no_more_than_the_limit_wait(server: ServerProcess) -> None:
    def request(n: int) -> bytes:
        body = BODY.replace(b"{", b'{"id":"%d",' % n, 1)
        return b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (INFER, len(body), body)

    answer = server.send(b"".join(map(request, range(6))) + CLOSING)
    found = [answer.find(b'"id":"%d"' % n) for n in range(6)]
    assert -1 not in found
    assert found == sorted(found)
    flood = server.send(b"".join(map(request, range(2000))))
    assert flood.count(b"HTTP/1.1 200") <= 10
    assert flood.count(b"HTTP/1.1 429") == 1
    assert b'"id":"0"' in flood


def test_a_refusal_in_a_pipeline_comes_after_the_answers_before_it(server: ServerProcess) -> None:
    answer = server.send(GOOD * 3 + REFUSED["no host"][0])
    statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 200, 200, 400]


def test_connections_over_the_limit_are_told_so(server: ServerProcess) -> None:
    connections = [server.connect() for _ in range(40)]
    try:
        # These are accepted in order, so all before are counted when this one is answered.
        status, message = error_of(server.send(CLOSING))
        assert status == 503
        assert "connections" in message
    finally:
        for connection in connections:
            connection.close()
    end = time.monotonic() + 30
    while server.get("/v2")[0] != 200:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_nothing_was_written_to_the_log_for_all_that(server: ServerProcess) -> None:
    server.send(REFUSED["a folded line"][0])
    assert server.complaints == []
    assert server.process.poll() is None
