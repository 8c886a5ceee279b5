"""Requests in every way that HTTP allows, to servers of every kind: by numbers, each as a bare session has them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import uvicorn
from http_draws import Ask, converse, draw_infer, same_but_body
from odd_models import Feeds, build, expected, node, same
from protocol_forms import LENGTH, oip, read_oip
from server_process import PATIENCE, serving, until

from seqc_runtime.server.asgi import Asgi
from seqc_runtime.server.build import build_app
from seqc_runtime.server.settings import Settings

pytestmark = pytest.mark.slow
F32 = np.float32
DRAWS = 60
TOKEN = "a-token-of-the-draws-3f9a"
# What every version of a model is, and its width: samples of the first can run together, those of the second cannot.
WIDTHS = {"apart": 5, "together": 3}


def write_models(root: Path) -> dict[tuple[str, int], Any]:
    """Two models in two versions; a bare session for each."""
    random = np.random.default_rng(3)
    sessions: dict[tuple[str, int], Any] = {}
    for name, width in WIDTHS.items():
        for version in (1, 2):
            weights = {"w": random.standard_normal((width, 4)).astype(F32), "axis": np.array(0, np.int64)}
            nodes = [node("MatMul", ["x", "w"], ["m"]), node("Tanh", ["m"], ["y"])]
            if name == "apart":
                nodes = [node("CumSum", ["x", "axis"], ["c"]), node("MatMul", ["c", "w"], ["y"])]
            used = {key: array for key, array in weights.items() if any(key in one.input for one in nodes)}
            file = build(nodes, {"x": (F32, ["batch", width])}, {"y": (F32, ["batch", 4])}, **used)
            path = root / name / str(version) / "model.onnx"
            path.parent.mkdir(parents=True)
            path.write_bytes(file)
            sessions[name, version] = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        (root / name / "config.pbtxt").write_text('version_policy { all { } }\nbackend: "onnxruntime"\n')
    return sessions


class House:
    """A server: where it listens, under which path, and what it wants besides."""

    def __init__(self, port: int, sessions: Any, root: str = "", headers: dict[str, str] | None = None) -> None:
        self.port = port
        self.sessions = sessions
        self.root = root
        self.headers = headers or {}
        # Under another server than this package's, that one decides about connections.
        self.foreign = bool(root)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)


@contextlib.contextmanager
def mounted(folder: Path, sessions: Any, stripped: bool) -> Iterator[House]:
    """In an application of somebody else's, on a server of his.

    stripped: whether it takes its prefix off the path, as was usual before the specification said otherwise.
    """
    inner = Asgi(build_app(Settings(paths=(str(folder),))))

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/inside/here"):
            path = scope["path"].removeprefix("/inside/here") if stripped else scope["path"]
            await inner({**scope, "path": path, "root_path": "/inside/here"}, receive, send)
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 418, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(outer, lifespan="off", log_config=None, http="h11" if stripped else "httptools")
    )
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        until(lambda: server.started, "the server")
        yield House(listener.getsockname()[1], sessions, "/inside/here")
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()


@contextlib.contextmanager
def reloading(folder: Path, sessions: Any) -> Iterator[House]:
    """With files that are replaced all the time, by such that differ in the names of their classes alone."""
    over = threading.Event()

    def replace() -> None:
        number = 0
        while not over.wait(0.1):
            number += 1
            for file in folder.glob("*/2/model.onnx"):
                model = onnx.load(file)
                onnx.helper.set_model_props(model, {"classes": json.dumps([str(number), "b", "c", "d"])})
                onnx.save(model, file.with_suffix(".new"))
                os.replace(file.with_suffix(".new"), file)

    with serving(folder, "--poll", "0.05") as server:
        thread = threading.Thread(target=replace)
        thread.start()
        try:
            yield House(server.port, sessions)
        finally:
            over.set()
            thread.join()
        for name in WIDTHS:
            status, body = server.get(f"/v2/models/{name}")
            assert status == 200
            assert int(json.loads(body)["labels"]["y"][0]) > 3, "it was hardly ever loaded again"


KINDS: dict[str, list[Any]] = {
    "plain": [],
    "exact": ["--exact"],
    "workers": ["--workers", 2],
    "token": ["--token-file", "TOKENS"],
    "reloading": [],
    "mounted": [],
    "mounted with its path stripped": [],
}


@pytest.fixture(scope="module", params=KINDS)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("draws") / "models"
    sessions = write_models(folder)
    if request.param == "reloading":
        context = reloading(folder, sessions)
    elif request.param.startswith("mounted"):
        context = mounted(folder, sessions, "stripped" in request.param)
    else:
        context = plainly(request.param, folder, sessions)
    with context as house:
        yield house


@contextlib.contextmanager
def plainly(kind: str, folder: Path, sessions: Any) -> Iterator[House]:
    tokens = folder.parent / "tokens"
    tokens.write_text(f"{TOKEN} infer,metadata name=draws\n")
    tokens.chmod(0o600)
    arguments = [tokens if argument == "TOKENS" else argument for argument in KINDS[kind]]
    headers = {"authorization": f"Bearer {TOKEN}"} if kind == "token" else {}
    with serving(folder, *arguments) as server:
        yield House(server.port, sessions, headers=headers)


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


def test_many_at_once_get_what_each_would_get_alone(house: House, request: pytest.FixtureRequest) -> None:
    """Together within the last bits of what they would get alone; where that is promised, exactly it."""
    exact = "exact" in request.node.callspec.id

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
                if exact or name == "apart":
                    assert same(y, wanted)
                else:
                    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-6)

    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(talk, range(8)):
            pass
