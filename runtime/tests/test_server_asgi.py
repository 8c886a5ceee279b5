"""The application under servers that are not this package's, and inside applications that are not."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from runtime_kit.server_process import WEIGHT, gemm_answer, gemm_request, read_all, split, until, write_gemm
from runtime_kit.serving_models import looped

import seqc_runtime
from seqc_runtime.server.app import App, Exchange
from seqc_runtime.server.asgi import Asgi
from seqc_runtime.server.build import build_app
from seqc_runtime.server.endpoints import ROUTES
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.observe import make_observer
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.routes import _REMEMBERED, Router
from seqc_runtime.server.scheduling import Scheduler
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.settings import Settings

X = np.arange(8, dtype=np.float32).reshape(2, 4)


@pytest.fixture
def app(tmp_path: Path) -> App:
    repository = Repository()
    repository.add(Servable("gemm", 1, seqc_runtime.load(write_gemm(tmp_path), device="cpu", threads=1)))
    return App(repository, Limits(body=1 << 20))


class Connection:
    """One request as an ASGI server hands it over, piece by piece, and the answer."""

    def __init__(self, *pieces: bytes, gone: bool = False) -> None:
        self.events: list[dict[str, Any]] = [
            {"type": "http.request", "body": piece, "more_body": number < len(pieces) - 1 or gone}
            for number, piece in enumerate(pieces)
        ]
        self.sent: list[Any] = []
        self.asked = 0

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        return self.events.pop(0) if self.events else {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        result: int = self.sent[0]["status"]
        return result

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])


def scope(path: str, method: str = "POST", **more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [],
        **more,
    }


def call(
    asgi: Callable[..., Coroutine[Any, Any, None]], given: dict[str, Any], *pieces: bytes, gone: bool = False
) -> Connection:
    connection = Connection(*pieces, gone=gone)
    asyncio.run(asgi(given, connection.receive, connection.send))
    return connection


INFER = "/v2/models/gemm/infer"


def test_a_body_in_pieces_is_read_without_any_lifespan(app: App) -> None:
    body = gemm_request(X)
    connection = call(Asgi(app), scope(INFER), body[:7], b"", body[7:])
    assert connection.status == 200
    assert np.allclose(gemm_answer(connection.body), X @ WEIGHT, atol=1e-5)


def test_settings_hold_for_pages_under_whatever_name_it_is_called(tmp_path: Path) -> None:
    settings = Settings(
        paths=(str(write_gemm(tmp_path)),),
        threads=1,
        cors_origins=("https://a.example",),
        access_log="-",
        limits={"compress_from": 1 << 30},
    )
    asgi = Asgi(build_app(settings), observer=make_observer(settings))
    host, origin = (b"host", b"ray-head-svc:8000"), (b"origin", b"https://a.example")
    for path in ("/v2", "/"):  # the page is made once
        for headers in ([host, origin], [host], [host, origin]):
            (start, *_) = call(asgi, scope(path, "GET", headers=headers), b"").sent
            names = [name for name, _ in start["headers"]]
            assert start["status"] == 200
            assert names.count(b"access-control-allow-origin") == (origin in headers)
            assert names.count(b"traceresponse") == 1
    asked = [host, origin, (b"access-control-request-method", b"POST")]
    assert call(asgi, scope(INFER, "OPTIONS", headers=asked), b"").status == 204


@pytest.mark.parametrize("inline", [0.0, 1.0])
def test_it_answers_in_one_event_loop_after_the_other(app: App, inline: float) -> None:
    asgi = Asgi(app, Scheduler(app.limits, inline=inline))

    async def several() -> list[int]:
        connections = [Connection(gemm_request(X)) for _ in range(5)]
        for connection in connections:
            connection.events.append({"type": "http.disconnect"})
        await asyncio.gather(*(asgi(scope(INFER), one.receive, one.send) for one in connections))
        return [one.status for one in connections]

    for _ in range(3):
        assert asyncio.run(asyncio.wait_for(several(), 20)) == [200] * 5


def test_jobs_of_a_loop_that_was_closed_do_not_keep_the_next_from_its_answers(app: App) -> None:
    app.repository.add(Servable("slow", 1, seqc_runtime.load(looped(30_000_000), device="cpu", threads=1)))
    asgi = Asgi(app, Scheduler(app.limits, inline=0.0, cpus=1))
    body = orjson.dumps({"inputs": [{"name": "x", "shape": [1, 64], "datatype": "FP32", "data": [0] * 64}]})

    async def left() -> None:
        connection = Connection(body)
        task = asyncio.create_task(asgi(scope(INFER.replace("gemm", "slow")), connection.receive, connection.send))
        await asyncio.sleep(0.2)
        assert not task.done()

    asyncio.run(left())
    assert call(asgi, scope(INFER), gemm_request(X)).status == 200
    asgi.scheduler.close()


def test_two_event_loops_at_a_time_are_an_error_that_says_so(app: App) -> None:
    asgi = Asgi(app)

    async def outer() -> None:
        one = Connection(gemm_request(X))
        await asgi(scope(INFER), one.receive, one.send)
        with pytest.raises(RuntimeError, match="make an application for each"):
            await asyncio.to_thread(call, asgi, scope(INFER), gemm_request(X))

    asyncio.run(outer())
    assert call(asgi, scope(INFER), gemm_request(X)).status == 200


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("/api/models", "/api/models" + INFER),
        ("/api/models", INFER),
        ("/api/models/", "/api/models/" + INFER),
        ("/api/models/", "/api/models" + INFER),
        ("/", "/" + INFER),
        ("/", INFER),
        ("", INFER),
    ],
)
def test_it_answers_under_the_path_where_it_is_mounted(app: App, root: str, path: str) -> None:
    connection = call(Asgi(app), scope(path, root_path=root), gemm_request(X))
    assert connection.status == 200


def test_a_root_that_only_looks_like_the_path_is_not_taken_off(app: App) -> None:
    assert call(Asgi(app), scope("/v2", "GET", root_path="/v"), b"").status == 200


def test_a_client_that_goes_before_its_body_is_complete_gets_nothing(app: App) -> None:
    assert call(Asgi(app), scope(INFER), b"{", gone=True).sent == []


def test_a_body_over_the_limit_is_refused_as_soon_as_that_is_known(app: App) -> None:
    headers = [(b"content-length", b"2000000")]
    connection = call(Asgi(app), scope(INFER, headers=headers), b"x" * 2_000_000)
    assert (connection.status, connection.asked) == (413, 0)
    connection = call(Asgi(app), scope(INFER), *[b"x" * 600_000] * 5)
    assert (connection.status, connection.asked) == (413, 2)


def test_a_length_that_is_no_number_is_left_to_the_server_that_let_it_through(app: App) -> None:
    connection = call(Asgi(app), scope(INFER, headers=[(b"content-length", b"\xb2")]), gemm_request(X))
    assert connection.status == 200


def test_a_big_answer_comes_in_pieces(app: App) -> None:
    x = np.random.default_rng(0).standard_normal((40_000, 4)).astype(np.float32)
    big = Asgi(App(app.repository))
    connection = call(big, scope(INFER), gemm_request(x))
    assert connection.status == 200
    assert len(connection.sent) > 2
    assert max(len(message["body"]) for message in connection.sent[1:]) <= 1 << 20
    assert int(dict(connection.sent[0]["headers"])[b"content-length"]) == len(connection.body)
    assert np.allclose(gemm_answer(connection.body), x @ WEIGHT, atol=1e-4)


@pytest.mark.slow
def test_others_are_answered_while_a_large_body_is_read_and_a_large_answer_is_written(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    asgi = Asgi(App(app.repository))
    x = np.random.default_rng(0).standard_normal((60_000, 4)).astype(np.float32)
    answered = {name: threading.Event() for name in ("start", "finish")}

    def slowly(name: str) -> None:
        plain = getattr(Exchange, name)

        def held(exchange: Exchange, *arguments: Any) -> Any:
            small = name == "finish" and len(arguments[1][0]) == len(X)
            if exchange.head.path == INFER and not small:
                assert answered[name].wait(60), "nobody else was answered meanwhile"
            return plain(exchange, *arguments)

        monkeypatch.setattr(Exchange, name, held)

    for name in answered:
        slowly(name)

    async def main() -> None:
        large, body = Connection(gemm_request(x)), gzip.compress(gemm_request(X) + b" " * 2_000_000)
        packed = Connection(body)
        tasks = [
            asyncio.create_task(asgi(scope(INFER), large.receive, large.send)),
            asyncio.create_task(
                asgi(scope(INFER, headers=[(b"content-encoding", b"gzip")]), packed.receive, packed.send)
            ),
        ]
        for name in answered:
            for _ in range(20):
                other = Connection(b"")
                await asgi(scope("/v2/health/live", "GET"), other.receive, other.send)
                assert other.status == 200
                await asyncio.sleep(0.01)
            answered[name].set()
            if name == "finish":
                await asyncio.gather(*tasks)
        assert np.allclose(gemm_answer(large.body), x @ WEIGHT, atol=1e-4)
        assert np.allclose(gemm_answer(packed.body), X @ WEIGHT, atol=1e-5)

    asyncio.run(main())


def test_a_client_that_goes_while_its_job_waits_is_known_to_be_gone(app: App) -> None:
    asgi = Asgi(app)
    seen: list[bool] = []

    async def submit(job: Any) -> list[np.ndarray]:
        until_gone = 0
        while not job.gone() and until_gone < 3000:
            await asyncio.sleep(0.01)
            until_gone += 1
        seen.append(job.gone())
        return [X @ WEIGHT]

    asgi.scheduler.submit = submit  # type: ignore[method-assign]
    call(asgi, scope(INFER), gemm_request(X))
    assert seen == [True]


@pytest.mark.slow
@pytest.mark.parametrize("outcome", [[X @ WEIGHT], Refusal(499, "the client has gone")], ids=["answered", "dropped"])
def test_a_client_that_closes_its_connection_is_known_to_be_gone_without_a_task_for_it(
    app: App, outcome: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[bool] = []

    async def main() -> None:
        from seqc_runtime.server.http_server import HttpServer

        asgi = Asgi(app)
        connections: list[socket.socket] = []
        tasks: list[Any] = []

        async def watch(job: Any, done: Any) -> None:
            assert not job.gone()
            connections.pop().close()
            for _ in range(3000):
                if job.gone():
                    break
                await asyncio.sleep(0.01)
            seen.append(job.gone())
            done(outcome)

        asgi.scheduler.at_once = lambda job: None  # type: ignore[method-assign]
        asgi.scheduler.queue = lambda job, done: tasks.append(  # type: ignore[method-assign, assignment, return-value]
            asyncio.ensure_future(watch(job, done))
        )
        listener = socket.create_server(("127.0.0.1", 0))
        server = HttpServer(asgi, listener)
        port = listener.getsockname()[1]
        serving = asyncio.ensure_future(server.serve())
        await server.wait_started()
        connections.append(socket.create_connection(("127.0.0.1", port)))
        body = gemm_request(X)
        head = b"POST %s HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % (INFER.encode(), len(body))
        connections[0].sendall(head + body)
        while not seen:
            await asyncio.sleep(0.01)
        server.stop()
        await serving

    asyncio.run(main())
    assert seen == [True]
    assert not caplog.records


def test_the_lifespan_protocol_and_websockets_are_answered(app: App) -> None:
    sent: list[Any] = []

    async def lifespan() -> None:
        events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

        async def receive() -> Any:
            return events.pop(0)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await Asgi(app)({"type": "lifespan"}, receive, send)

    asyncio.run(lifespan())
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    connection = Connection()
    asyncio.run(Asgi(app)({"type": "websocket", "path": "/"}, connection.receive, connection.send))
    assert connection.sent[0]["type"] == "websocket.close"


def test_paths_that_are_asked_for_once_do_not_fill_the_memory() -> None:
    router = Router(ROUTES)
    for number in range(3 * _REMEMBERED):
        assert router.find(f"/v2/models/m{number}/infer")[1] == {"model": f"m{number}"}
    assert len(router._found) <= _REMEMBERED


SCRIPT = """
import sys
import seqc_runtime
from seqc_runtime.server.app import App
from seqc_runtime.server.asgi import Asgi
from seqc_runtime.server.observe import make_observer
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.settings import Settings

repository = Repository()
repository.add(Servable("gemm", 1, seqc_runtime.load({path!r}, device="cpu", threads=1)))
models = Asgi(App(repository))

async def app(scope, receive, send):
    if scope["type"] == "http" and scope["path"].startswith("/models/"):
        await models(dict(scope, root_path="/models"), receive, send)
    elif scope["type"] == "http":
        await send({{"type": "http.response.start", "status": 204, "headers": []}})
        await send({{"type": "http.response.body", "body": b""}})
    else:
        await models(scope, receive, send)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("uvicorn", ["uvicorn", "host_app:app", "--port", "{port}", "--log-level", "error"]),
        ("granian", ["granian", "--interface", "asgi", "--port", "{port}", "--no-log", "host_app:app"]),
    ],
)
def test_it_runs_inside_an_application_under_another_server(tmp_path: Path, package: str, command: list[str]) -> None:
    pytest.importorskip(package, reason="a server to run under")
    (tmp_path / "host_app.py").write_text(SCRIPT.format(path=str(write_gemm(tmp_path))))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    root = str(Path(seqc_runtime.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-m", *(part.format(port=port) for part in command)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, str(tmp_path)])},
    )
    try:

        def ask(head: str, body: bytes = b"") -> bytes:
            with socket.create_connection(("127.0.0.1", port), 60) as connection:
                connection.sendall(f"{head} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n".encode())
                connection.sendall(b"content-length: %d\r\n\r\n" % len(body) + body)
                return read_all(connection)

        def listening() -> bool:
            assert process.poll() is None
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listening, "the other server")
        assert split(ask("GET /elsewhere"))[0] == 204
        answers: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: answers.append(ask(f"POST /models{INFER}", gemm_request(X))))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [split(answer)[0] for answer in answers] == [200] * 8
        _, _, body = answers[0].partition(b"\r\n\r\n")
        assert np.allclose(gemm_answer(body[body.index(b"{") : body.rindex(b"}") + 1]), X @ WEIGHT, atol=1e-5)
        assert orjson.loads(ask("GET /models/v2/health/ready").partition(b"\r\n\r\n")[2])["ready"] is True
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
