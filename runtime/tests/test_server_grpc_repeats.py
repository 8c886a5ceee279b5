"""gRPC requests that come again around other numbers are read as if each were the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("grpc", reason="the server speaks gRPC with grpcio")
pytest.importorskip("google.protobuf", reason="gRPC's messages are protobuf's")
pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

from seqc_runtime.server.grpc import inference
from seqc_runtime.server.grpc.schema import message
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.testing import TestClient

Request = message("inference.ModelInferRequest")
LIMITS = Limits()
ONES, TWOS = np.ones(4, np.float32).tobytes(), np.full(4, 2, np.float32).tobytes()


@pytest.fixture
def servable(serve: Callable[..., TestClient], identity: Any, onnx_type: Any) -> Servable:
    return serve(identity(onnx_type("float32"), ["batch", 4])).app.repository.get("m")


def request(*contents: bytes, shape: tuple[int, ...] = (1, 4), **more: Any) -> Any:
    made = Request(model_name="m", raw_input_contents=contents, **more)
    made.inputs.add(name="x", datatype="FP32", shape=shape)
    return made


def meaning(read: Callable[[], Any]) -> Any:
    try:
        job = read()
    except Refusal as refusal:
        return refusal.status, refusal.message
    feeds = {name: (array.dtype, array.shape, array.tobytes()) for name, array in job.feeds.items()}
    return feeds, list(job.wanted), job.rows, job.nbytes, job.deadline


def same_as_first(servable: Servable, raw: bytes) -> Any:
    given = Request.FromString(raw)
    found = meaning(lambda: inference.read_again(servable, given, raw, LIMITS))
    assert found == meaning(lambda: inference.read(servable, given, LIMITS))
    return found


def test_contents_of_a_known_form_are_what_they_are_in_a_first_request(servable: Servable) -> None:
    typed = request()
    typed.inputs[0].contents.fp32_contents.extend([1, 2, 3, 4])
    for made in (
        *(request(ONES, id="a"), request(ONES, id="a"), request(TWOS, id="a"), request(TWOS, id="b")),
        *(request(ONES[:-1], id="a"), request(ONES * 2, id="a"), request(b"", id="a"), request(ONES, TWOS, id="a")),
        *(request(ONES * 2, shape=(2, 4)), request(ONES, shape=(2, 4)), request(), typed),
        request(TWOS, id="a"),
    ):
        same_as_first(servable, made.SerializeToString())
    assert sum(form is not None for form in servable.forms.values()) == 1


def test_a_known_form_is_not_read_again(servable: Servable, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        same_as_first(servable, request(ONES).SerializeToString())
    monkeypatch.setattr(inference, "read", lambda *ignored: pytest.fail("read as a first request"))
    given = request(TWOS)
    job = inference.read_again(servable, given, given.SerializeToString(), LIMITS)
    assert job.feeds["x"].tolist() == [[2, 2, 2, 2]]


def test_contents_that_are_not_what_a_message_ends_in_are_no_form(servable: Servable) -> None:
    rest = request().SerializeToString()
    contents = Request(raw_input_contents=[ONES]).SerializeToString()
    name = Request(id="0000").SerializeToString()
    zeros = Request(raw_input_contents=[b"0" * 16]).SerializeToString()
    for raw in (
        contents + rest,
        # The id, or an unknown field, ends in the bytes of the contents.
        zeros + rest + Request(id="0" * 16).SerializeToString(),
        contents + rest + b"\xfa\x01\x10" + ONES,
        contents + rest + name,
    ):
        for _ in range(3):
            assert same_as_first(servable, raw)[0]["x"][1] == (1, 4)
    assert not any(servable.forms.values())


def test_a_deadline_of_a_request_is_its_own(servable: Servable) -> None:
    made = request(ONES)
    made.parameters["timeout"].int64_param = 10**6
    raw = made.SerializeToString()
    found = [inference.read_again(servable, made, raw, LIMITS).deadline for _ in range(4)]
    assert sorted(set(found), key=lambda one: one or 0) == found
    assert len(set(found)) == 4
