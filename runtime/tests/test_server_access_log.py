"""The access log: what it says of requests that waited, and what becomes of it on a disk that is full or rotated."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from runtime_kit.server_process import gemm_request, serving, write_gemm

import seqc_runtime
from seqc_runtime.server import access_log
from seqc_runtime.server.access_log import AccessLog, Observation
from seqc_runtime.server.app import App
from seqc_runtime.server.asgi import Asgi
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Head, Response
from seqc_runtime.server.observe import Observer
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.scheduling import Scheduler
from seqc_runtime.server.servable import Batching, Servable

INFER = "/v2/models/gemm/infer"
X = np.ones((1, 4), np.float32)


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


async def ask(asgi: Asgi, timeout_us: int = 0) -> int:
    body = orjson.loads(gemm_request(X)) | {"parameters": {"timeout": timeout_us}}
    events = [{"type": "http.request", "body": orjson.dumps(body)}]
    sent: list[Any] = []

    async def receive() -> Any:
        return events.pop() if events else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    head = {"type": "http", "method": "POST", "path": INFER, "query_string": b"", "headers": []}
    await asgi(head, receive, send)
    return int(sent[0]["status"])


@pytest.mark.slow
def test_queue_ms_is_how_long_a_request_waited_for_the_run_it_was_in(tmp_path: Path) -> None:
    model = seqc_runtime.load(write_gemm(tmp_path), device="cpu", threads=1)
    # As if every run took long, so that none is on the loop.
    servable = Servable("gemm", 1, model, batching=Batching(16, fixed=1.0))
    plain, go = servable.run, threading.Event()

    def gated(*arguments: Any) -> Any:
        assert go.wait(60)
        return plain(*arguments)

    servable.run = gated  # type: ignore[method-assign, assignment]
    repository = Repository()
    repository.add(servable)
    log = tmp_path / "access.log"

    async def main() -> None:
        asgi = Asgi(App(repository), Scheduler(Limits(), cpus=1), Observer(AccessLog(str(log)), None))
        first = asyncio.create_task(ask(asgi))
        await asyncio.sleep(0.1)
        others = [asyncio.create_task(ask(asgi)) for _ in range(3)]
        late = asyncio.create_task(ask(asgi, timeout_us=200_000))
        assert await late == 504
        await asyncio.sleep(0.1)
        go.set()
        assert await asyncio.gather(first, *others) == [200] * 4

    asyncio.run(main())
    late, first, *others = lines(log)
    assert servable.counters.snapshot().batches.keys() == {1, 3}
    assert first["queue_ms"] < first["duration_ms"] - 200
    assert all(200 < entry["queue_ms"] <= entry["duration_ms"] for entry in [late, *others])
    assert late["duration_ms"] - late["queue_ms"] < 150
    answered = servable.counters.snapshot().queue_ns / 1e6
    assert sum(entry["queue_ms"] for entry in [first, *others]) == pytest.approx(answered, abs=1)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="it stands for a disk that is full")
def test_requests_are_answered_although_the_disk_of_the_access_log_is_full(tmp_path: Path) -> None:
    with serving(write_gemm(tmp_path), "--access-log", "/dev/full") as server:
        for _ in range(3):
            assert server.post(INFER, gemm_request(X))[0] == 200
        assert server.stop() == 0
    assert len(server.complaints) == 1
    assert "No space left on device" in server.complaints[0]


def test_a_log_that_is_rotated_is_begun_anew_and_one_on_a_full_disk_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(access_log, "LOOK", 0.0)
    path = tmp_path / "access.log"
    log = AccessLog(str(path))

    def write(name: str) -> None:
        log.write(Observation(Head("GET", name)), Response(200, []))

    write("/one")
    path.rename(tmp_path / "access.log.1")
    write("/two")
    path.unlink()
    write("/three")
    assert [entry["path"] for entry in lines(path)] == ["/three"]
    assert [entry["path"] for entry in lines(tmp_path / "access.log.1")] == ["/one"]
    path.unlink()
    path.symlink_to("/dev/full")
    write("/four")
    write("/five")
    path.unlink()
    write("/six")
    assert [entry["path"] for entry in lines(path)] == ["/six"]
    assert [record.message for record in caplog.records] == [
        "the access log cannot be written, its lines are lost: No space left on device",
        "the access log can be written again; 2 lines were lost",
    ]
