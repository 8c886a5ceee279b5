"""Requests in every way that HTTP and gRPC allow, to servers of every kind: by numbers, as a bare session has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from runtime_kit.effort import effort
from runtime_kit.houses import F32, KINDS, WIDTHS, House, open_house
from runtime_kit.http_draws import Ask, converse, draw_infer, same_but_body
from runtime_kit.odd_models import Feeds, expected, same
from runtime_kit.protocol_forms import LENGTH, from_binary, oip, read_oip
from runtime_kit.server_process import PATIENCE

pytest.importorskip("grpc", reason="gRPC is an extra")

import grpc

from seqc_runtime.server.grpc import schema

pytestmark = pytest.mark.slow
DRAWS = effort(25, 60)
PACKINGS = [grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate]


@pytest.fixture(scope="module", params=KINDS)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(request.param, tmp_path_factory.mktemp("draws") / "models") as house:
        yield house


class Draw:
    """A request, and what must come of it: numbers, or a status and a word of its message."""

    def __init__(self, random: np.random.Generator, house: House) -> None:
        self.house = house
        self.name = str(random.choice(list(WIDTHS)))
        self.version = int(random.choice([0, 1, 2, 2, 3]))
        count = int(random.choice([0, 1, 2, 7, 300]))
        self.feeds: Feeds = {"x": random.standard_normal((count, WIDTHS[self.name])).astype(F32)}
        middle = f"/versions/{self.version}" if self.version else ""
        self.status, self.says = (404, "version") if self.version == 3 else (200, "")
        path = f"{house.root}/v2/models/{self.name}{middle}"
        kind = random.random()
        if kind < 0.75:
            self.ask = draw_infer(random, f"{path}/infer", self.feeds)
        else:
            self.ask = Ask("HEAD" if kind < 0.85 else "GET", path)
        self.ask.headers |= house.headers
        if house.headers and random.random() < 0.2:
            del self.ask.headers["authorization"]
            self.status, self.says = 401, "token"
        elif kind < 0.05:
            self.ask.method, self.ask.packing, self.ask.framing, self.ask.body = "HEAD", "", "length", b""
            self.status = 405

    def check(self, got: Any) -> None:
        told = (self.ask, got.status, got.headers, got.body[:300])
        assert got.status == self.status, told
        if self.ask.method == "HEAD":
            assert int(got.headers["content-length"]) > 0, told
        elif self.status != 200:
            assert self.says in json.loads(got.body)["error"], told
        elif self.ask.method == "GET":
            assert json.loads(got.body)["name"] == self.name, told
        else:
            wanted = expected(self.house.sessions[self.name, self.version or 2], self.feeds)
            outputs = read_oip(got.body, got.headers.get(LENGTH))
            assert list(outputs) == list(wanted), told
            assert same(outputs["y"], wanted["y"]), told

    def ends_connection(self) -> bool:
        """Whether the server may close after it: it has not read the body of what it refused."""
        return self.status != 200 and self.ask.method == "POST"


def test_every_way_to_ask_gives_the_numbers_of_a_bare_session(house: House) -> None:
    """Several requests on one connection, sent at once, cut anywhere."""
    random = np.random.default_rng(11)
    for _ in range(DRAWS):
        draws = [Draw(random, house)]
        while len(draws) < 5 and not draws[-1].ends_connection() and random.random() < 0.7:
            draws.append(Draw(random, house))
        if not draws[-1].ends_connection() and draws[-1].ask.framing == "length" and random.random() < 0.3:
            draws[-1].ask.old = True
        with house.connect() as connection:
            answers = converse(connection, [draw.ask for draw in draws], random)
            for draw, got in zip(draws, answers, strict=True):
                draw.check(got)


def test_the_head_of_an_answer_is_the_same_without_its_body(house: House) -> None:
    random = np.random.default_rng(0)
    for path in ("/v2", "/v2/models/apart", "/v2/models/none", "/v2/models/apart/config", "/openapi.json"):
        for packing in ("", "gzip"):
            headers = {**house.headers, **({"accept-encoding": packing} if packing else {})}
            asks = [Ask(method, house.root + path, headers) for method in ("GET", "HEAD", "GET")]
            with house.connect() as connection:
                first, head, again = converse(connection, asks, random)
            assert first.status == head.status == again.status
            assert same_but_body(first.headers, head.headers), (first.headers, head.headers)
            assert first.body == again.body


def test_many_at_once_get_what_each_would_get_alone(house: House) -> None:
    """Together within the last bits of what they would get alone; where that is promised, exactly it."""

    def talk(seed: int) -> None:
        random = np.random.default_rng(seed)
        with house.connect() as connection:
            for _ in range(15):
                name = str(random.choice(list(WIDTHS)))
                feeds = {"x": random.standard_normal((int(random.integers(1, 9)), WIDTHS[name])).astype(F32)}
                body, headers = oip(feeds, binary_in=True, binary_out=True, id="i" * int(random.integers(9)))
                path = f"{house.root}/v2/models/{name}/infer"
                (got,) = converse(connection, [Ask("POST", path, {**headers, **house.headers}, body)], random)
                assert got.status == 200, got.body
                (y,) = read_oip(got.body, got.headers[LENGTH]).values()
                wanted = expected(house.sessions[name, 2], feeds)["y"]
                assert y.shape == wanted.shape
                if house.exact or name == "apart":
                    assert same(y, wanted)
                else:
                    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-6)

    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(talk, range(8)):
            pass


def test_every_call_of_grpc_gives_the_numbers_of_a_bare_session(house: House) -> None:
    """Many calls at once on each of a few connections, packed or not, as bytes or numbers, with and without a token."""
    if not house.grpc:
        pytest.skip("another application's server speaks HTTP alone")
    question, answer = (schema.message(f"inference.ModelInfer{what}") for what in ("Request", "Response"))
    random = np.random.default_rng(5)
    calls = []
    channels = [grpc.insecure_channel(house.grpc, options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(3)]
    for number in range(3 * DRAWS):
        name, version = str(random.choice(list(WIDTHS))), int(random.choice([0, 1, 2, 2, 3]))
        feeds: Feeds = {"x": random.standard_normal((int(random.integers(9)), WIDTHS[name])).astype(F32)}
        request = question(model_name=name, model_version=str(version or ""), id=f"{number} ß")
        tensor = request.inputs.add(name="x", datatype="FP32", shape=feeds["x"].shape)
        if random.integers(2):
            request.raw_input_contents.append(feeds["x"].tobytes())
        else:
            tensor.contents.fp32_contents.extend(feeds["x"].ravel().tolist())
        code = grpc.StatusCode.NOT_FOUND if version == 3 else grpc.StatusCode.OK
        metadata = list(house.headers.items())
        if metadata and random.random() < 0.2:
            metadata, code = [], grpc.StatusCode.UNAUTHENTICATED
        call = channels[number % 3].unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        packing = PACKINGS[random.integers(3)]
        waiting = call.future(request, timeout=PATIENCE, metadata=metadata, compression=packing)
        calls.append((waiting, code, name, version or 2, feeds, request.id))
        if random.random() < 0.2:
            waiting.exception()  # which waits for it
    for waiting, code, name, version, feeds, identity in calls:
        waiting.exception()
        assert waiting.code() == code, waiting.details()
        if code == grpc.StatusCode.OK:
            got = waiting.result()
            assert (got.id, got.model_name, got.model_version) == (identity, name, str(version))
            (output,), (content,) = got.outputs, got.raw_output_contents
            y, wanted = (
                from_binary(content, list(output.shape), output.datatype),
                expected(house.sessions[name, version], feeds),
            )
            if house.exact or name == "apart":
                assert same(y, wanted["y"])
            else:
                np.testing.assert_allclose(y, wanted["y"], rtol=1e-5, atol=1e-6)
    for channel in channels:
        channel.close()
