"""Requests that come again, in their heads or in all but their numbers, are read as if each were the first."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")
pytest.importorskip("httptools", reason="connections are read with httptools")
pytest.importorskip("hypothesis", reason="requests are made up by hypothesis")
import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqc_runtime.server import oip_binary, oip_json, repeats
from seqc_runtime.server.app import App
from seqc_runtime.server.auth import Admission, Tokens
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Head, Refusal, Response
from seqc_runtime.server.request import Reader, Request
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.service import Service
from seqc_runtime.server.testing import TestClient

Serve = Callable[..., TestClient]
LIMITS = Limits()
MODEST = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NUMBERS = {"FP16": "float16", "FP32": "float32", "FP64": "float64"} | {
    f"{sign}INT{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)
}
# What may stand between the brackets where four numbers were, and is no four numbers, or not those of every datatype.
ODD = (
    *("", " ", "1,2,3", "1,2,3,4,5", "1,2,3,4,", "1,2,,4", "true,2,3,4", "1,false,3,4", "null,2,3,4", '"1",2,3,4'),
    *("[1],2,3,4", "[1,2,3,4]", "{},2,3,4", '{"a":1},2,3,4', '"]",2,3,4', "1,2,3,4]", "1],[2,3,4", "NaN,2,3,4"),
    *("1e400,2,3,4", "3.5e38,2,3,4", "3.4028235677973366e38,0,0,0", "65519.99,65520,0,0", "1e-46,1e-320,0,-0.0"),
    *("1.0,2,3,4", "1.5,2,3,4", "127,128,0,0", "-1,0,0,0", "-128,-129,0,0", "255,256,0,0", "32768,65536,0,0"),
    *("2147483648,4294967296,0,0", "9223372036854775807,0,0,0", "9223372036854775808,0,0,0"),
    *("18446744073709551615,0,0,0", "18446744073709551616,0,0,0", f"{10**400},0,0,0", " 1 ,\t2,\n3,4", "01,2,3,4"),
    *("9007199254740993,16777217,0,0", "1e5,2E1,3e-2,4", "٣,2,3,4", "\udcff,2,3,4"),
)


def meaning(read: Callable[[], oip_json.Asked]) -> Any:
    """What a request was found to say, or why it was refused."""
    try:
        asked = read()
    except Refusal as refusal:
        return refusal.status, refusal.message
    job = asked.job
    feeds = {name: (array.dtype, array.shape, array.tobytes()) for name, array in job.feeds.items()}
    return feeds, list(job.wanted), job.rows, job.nbytes, job.deadline, asked.identity, list(asked.binary)


def same_as_first(servable: Servable, body: bytes, length: str | None = None) -> Any:
    """Reads a request as one that may have come before; asserts that the readers of all requests find the same."""
    found = meaning(lambda: repeats.read(servable, body, length, LIMITS))
    if length is None:
        assert found == meaning(lambda: oip_json.read(servable, body, LIMITS)), body
    else:
        assert found == meaning(lambda: oip_binary.read(servable, body, length, LIMITS)), body
    return found


def servable_of(client: TestClient) -> Servable:
    return client.app.repository.get("m")


def in_json(datatype: str, data: str = "1,2,3,4", **more: Any) -> bytes:
    text = orjson.dumps({**more, "inputs": [{"name": "x", "shape": [1, 4], "datatype": datatype, "data": ["@"]}]})
    return text.replace(b'"@"', data.encode("utf-8", "surrogateescape"))


def in_binary(datatype: str, tail: bytes, size: int, **more: Any) -> tuple[bytes, str]:
    tensor = {"name": "x", "shape": [1, 4], "datatype": datatype, "parameters": {"binary_data_size": size}}
    text = orjson.dumps({**more, "inputs": [tensor]})
    return text + tail, str(len(text))


@pytest.fixture(params=NUMBERS)
def typed(request: pytest.FixtureRequest, serve: Serve, identity: Any, onnx_type: Any) -> tuple[str, Servable]:
    """A datatype, and a version that answers four of its numbers as they are."""
    return request.param, servable_of(serve(identity(onnx_type(NUMBERS[request.param]), ["batch", 4])))


def test_lists_of_a_known_form_are_what_they_are_in_a_first_request(typed: tuple[str, Servable]) -> None:
    datatype, servable = typed
    for nested in (False, True):
        for _ in range(2):
            same_as_first(servable, in_json(datatype, "[1,2,3,4]" if nested else "1,2,3,4", id="a"))
        assert len(servable.forms) == 1 + nested
        for odd in ODD:
            same_as_first(servable, in_json(datatype, f"[{odd}]" if nested else odd, id="a"))


def test_bytes_of_a_known_form_are_what_they_are_in_a_first_request(typed: tuple[str, Servable]) -> None:
    datatype, servable = typed
    dtype = np.dtype(NUMBERS[datatype])
    tail = np.arange(4, dtype=dtype).tobytes()
    for _ in range(2):
        same_as_first(servable, *in_binary(datatype, tail, len(tail), id="a"))
    assert len(servable.forms) == 1
    for other in (b"\xff" * len(tail), bytes(len(tail)), tail[:-1], tail + b"\0", b"", tail * 2):
        body, length = in_binary(datatype, other, len(tail), id="a")
        same_as_first(servable, body, length)
        same_as_first(servable, body, str(int(length) - 1))
        same_as_first(servable, body, "0")
        same_as_first(servable, body, "x")


def test_a_known_form_is_not_read_again(
    serve: Serve, identity: Any, onnx_type: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(identity(onnx_type("float32"), ["batch", 4]))
    tail = np.array([1, 2, 3, 4], "<f4").tobytes()
    body, length = in_binary("FP32", tail, 16)
    headers = {"inference-header-content-length": length}
    for _ in range(2):
        client.post("/v2/models/m/infer", in_json("FP32"))
    for _ in range(2):
        client.post("/v2/models/m/infer", body, headers)
    for reader in ("read_json", "read_binary"):
        monkeypatch.setattr(repeats, reader, lambda *ignored: pytest.fail("read as a first request"))
    answer = client.post("/v2/models/m/infer", in_json("FP32", "5,6.5,7,8e3"))
    assert answer.json()["outputs"][0]["data"] == [5, 6.5, 7, 8000]
    answer = client.post("/v2/models/m/infer", body[:-16] + struct.pack("<4f", 8, 7, 6, 5), headers)
    assert answer.json()["outputs"][0]["data"] == [8, 7, 6, 5]


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}],"id":"[1]"}',
        b'{"id":"[1]","inputs":[{"data":[1,2,3,4],"name":"x","datatype":"FP32","shape":[1,4]}]}',
        b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}],"outputs":[]}',
        b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}],"parameters":{"timeout":1000000}}',
        b'{"inputs":[{"name":"x","shape":[0,4],"datatype":"FP32","data":[]}]}',
        b'{"inputs":[{"name":"x","shape":[2,4],"datatype":"FP32","data":[[1,2,3,4],[5,6,7,8]]}]}',
        b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}],"id":"["}',
        b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4],"a":"["}]}',
        b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4],"a":"["}],"outputs":null,"id":"]"}',
    ],
    ids=[
        "text behind",
        "shape behind",
        "outputs behind",
        "deadline",
        "nothing",
        "several rows",
        "opens",
        "opened",
        "odd",
    ],
)
def test_what_has_other_lists_behind_its_data_is_never_a_known_form(
    serve: Serve, identity: Any, onnx_type: Any, body: bytes
) -> None:
    servable = servable_of(serve(identity(onnx_type("float32"), ["batch", 4])))
    for _ in range(3):
        found = meaning(lambda: repeats.read(servable, body, None, LIMITS))
        assert found[0]["x"][0] == np.float32
    assert not any(servable.forms.values())


def test_forms_are_forgotten_before_they_are_many_and_none_is_learned_of_requests_that_all_differ(
    serve: Serve, identity: Any, onnx_type: Any
) -> None:
    servable = servable_of(serve(identity(onnx_type("float32"), ["batch", 4])))
    for number in range(200):
        same_as_first(servable, in_json("FP32", id=f"r{number}"))
    assert not servable.forms
    for number in range(200):
        for _ in range(3):
            assert same_as_first(servable, in_json("FP32", id=f"r{number}"))[5] == f"r{number}"
    assert 0 < len(servable.forms) <= 64


@MODEST
@given(data=st.data())
def test_any_bytes_changed_in_a_known_request(serve: Serve, identity: Any, onnx_type: Any, data: Any) -> None:
    servable = servable_of(serve(identity(onnx_type("float32"), ["batch", 4])))
    length: str | None = None
    if data.draw(st.booleans()):
        good = in_json("FP32", "1,-2.5,3e1,4", id="[a]", parameters={"timeout": 0})
    else:
        good, length = in_binary("FP32", struct.pack("<4f", 1, 2, 3, 4), 16, id="a")
    for _ in range(2):
        same_as_first(servable, good, length)
    body = bytearray(good)
    alphabet = st.sampled_from(b'[]{}",:0123456789.eE-+ tfn\\\xff\0')
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 2))] = bytes(data.draw(st.lists(alphabet, max_size=2)))
    for _ in range(2):
        same_as_first(servable, bytes(body), length)
    same_as_first(servable, good, length)


def test_large_requests_are_read_without_another_copy_of_them(serve: Serve, identity: Any, onnx_type: Any) -> None:
    servable = servable_of(serve(identity(onnx_type("float32"), ["batch", "width"])))
    data = orjson.dumps([0.25] * 250_000)
    body = b'{"inputs":[{"name":"x","shape":[1,250000],"datatype":"FP32","data":%b}]}' % data
    for _ in range(3):
        assert same_as_first(servable, body)[0]["x"][1] == (1, 250_000)
    assert not servable.forms
    assert not servable.met


def test_forms_of_several_clients_that_take_turns_are_known(serve: Serve, identity: Any, onnx_type: Any) -> None:
    servable = servable_of(serve(identity(onnx_type("float32"), ["batch", 4])))
    for _ in range(2):
        for client in range(10):
            same_as_first(servable, in_json("FP32", id=f"client {client}"))
    assert len(servable.forms) == 10
    assert all(servable.forms.values())


# --- Heads.


def reader_of(limits: Limits = LIMITS) -> tuple[Reader, list[Request]]:
    requests: list[Request] = []
    return Reader(Service(App(None, limits)), lambda: None, requests.append), requests  # type: ignore[arg-type]


def heard(reader: Reader, requests: list[Request], data: bytes) -> Any:
    """What a reader makes of bytes: how far it is, and each request, or why it refuses."""
    requests.clear()
    try:
        reader.feed(data)
    except Refusal as refusal:
        return refusal.status, refusal.message, reader.phase, [request.complete for request in requests]
    return (
        reader.phase,
        reader.body_size,
        [(one.head, bytes(one.body), one.keep_alive, one.expects, one.complete, one.gone) for one in requests],
    )


def http(body: bytes, *lines: str, end: str = "\r\n", first: str = "POST /v2?a=b HTTP/1.1") -> bytes:
    return end.join([first, "Host: localhost", *lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


HEADS: dict[str, list[bytes]] = {
    "same": [http(b"1234"), http(b"abcd"), http(b"\r\n\r\n"), http(b"1234")],
    "other length": [http(b"1234"), http(b"12345"), http(b"1234")],
    "no body": [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"] * 3,
    "behind": [http(b"1234") + b"\r\n", http(b"abcd") + b"\r\n", http(b"1234"), http(b"\r\n\r\n") + b"\r\n\r\n"],
    "in front": [b"\r\n" + http(b"1234"), b"\r\n" + http(b"abcd"), http(b"1234")],
    "two": [http(b"1234") * 2, http(b"abcd") * 2, http(b"abcd"), http(b"1234")],
    "two in the length of one": [http(b"x" * len(http(b""))), http(b"") + http(b""), http(b"x" * len(http(b"")))],
    "in pieces": [http(b"1234"), http(b"abcd")[:-2], b"cd", http(b"efgh")],
    "closing": [http(b"1234", "Connection: close")],
    "old": [http(b"1234", first="POST / HTTP/1.0")],
    "expecting": [http(b"1234", "Expect: 100-continue"), http(b"abcd", "Expect: 100-continue")],
    "upgrading": [
        http(b"1234", "Connection: upgrade", "Upgrade: h2c"),
        http(b"ab\r\n", "Connection: upgrade", "Upgrade: h2c"),
    ],
    "lines of one byte": [http(b"\r\n\r\n", end="\n"), http(b"abcd", end="\n")],
    "folded": [http(b"1234", "A: b\r\n c"), http(b"abcd", "A: b\r\n c")],
    "chunked": [
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%d\r\n%b\r\n0\r\n\r\n" % (len(b), b)
        for b in (b"12", b"ab")
    ],
    "too large together": [http(b"x" * 60), http(b"y" * 60), http(b"z" * 60)],
}


@pytest.mark.parametrize("pieces", HEADS.values(), ids=HEADS)
def test_what_follows_on_a_connection_is_read_as_on_a_new_one(pieces: list[bytes]) -> None:
    reader, requests = reader_of(Limits(bodies=150))
    pending = b""
    for piece in pieces:
        found = heard(reader, requests, piece)
        other, others = reader_of(Limits(bodies=150))
        other.service.held = reader.service.held - sum(len(one.body) for one in requests)
        if pending:
            heard(other, others, pending)
        assert found == heard(other, others, piece)
        pending = pending + piece if reader.phase else b""


@MODEST
@given(
    bodies=st.lists(st.binary(max_size=6) | st.just(b"\r\n\r\n"), min_size=1, max_size=4),
    cut=st.integers(0, 3),
    end=st.sampled_from(["\r\n", "\n"]),
    around=st.sampled_from([(b"", b""), (b"\r\n", b""), (b"", b"\r\n"), (b"", b"\r\n\r\n"), (b"", b"\n")]),
)
def test_bodies_are_found_whatever_they_hold(bodies: list[bytes], cut: int, end: str, around: Any) -> None:
    reader, requests = reader_of()
    for body in bodies * 2:
        data = around[0] + http(body, "A: b", end=end) + around[1]
        requests.clear()
        for piece in (data[: len(data) - cut], data[len(data) - cut :]):
            try:
                reader.feed(piece)
            except Refusal:  # such as of lines that end in one byte, by some releases of the parser
                return
        assert [bytes(one.body) for one in requests] == [body]
        assert requests[0].complete


def test_the_parser_is_not_asked_about_a_known_head() -> None:
    reader, requests = reader_of()
    heard(reader, requests, http(b"1234"))
    reader._parser = None
    heard(reader, requests, http(b"abcd"))
    assert [(bytes(one.body), one.complete) for one in requests] == [(b"abcd", True)]


def test_a_known_head_is_let_in_only_as_often_as_its_token_allows(serve: Serve, gemm: bytes) -> None:
    token = "a-token-of-many-letters"
    app = serve(gemm).app
    app.admit = Admission(Tokens(None, f"{token} infer rate=1 burst=3"))
    service = Service(app)
    head = Head("POST", "/v2/models/m/infer", "", {"authorization": f"Bearer {token}"})
    known = service.open(head)
    assert not isinstance(known, Response)
    assert [service.open(head, known) for _ in range(2)] == [known, known]
    refused = service.open(head, known)
    assert isinstance(refused, Response)
    assert refused.status == 429
    app.admit.tokens = Tokens(None, "another-token-of-many-letters infer")
    refused = service.open(head, known)
    assert isinstance(refused, Response)
    assert refused.status == 401
