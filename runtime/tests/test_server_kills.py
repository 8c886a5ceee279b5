"""Workers killed again and again under load: what others have asked is answered, and nothing is counted twice."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import orjson
import pytest
from runtime_kit.effort import effort
from runtime_kit.server_process import (
    WEIGHT,
    ServerProcess,
    children,
    gemm_answer,
    gemm_request,
    serving,
    until,
    write_gemm,
)

pytest.importorskip("prometheus_client", reason="it reads the metrics here")

from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.slow

INFER = "/v2/models/gemm/infer"
# Fewer than in a row end a server.
KILLS = effort(2, 6)
# Names of metrics that say what is now, and of one that has no number.
GAUGES = ("nv_inference_pending", "seqc_runtime_waiting", "seqc_runtime_info")


class Client(threading.Thread):
    """Asks on a connection it keeps; when that closes, on another one. Every answer must be right."""

    def __init__(self, server: ServerProcess, number: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.random = np.random.default_rng(number)
        self.stop = stop
        self.answered = 0
        self.versions: set[int] = set()
        self.closed: list[tuple[float, str]] = []
        self.problems: list[str] = []

    def run(self) -> None:
        connection = self.connect()
        while not self.stop.is_set():
            x = self.random.standard_normal((2, 4)).astype(np.float32)
            try:
                connection.request("POST", INFER, gemm_request(x))
                answer = connection.getresponse()
                body = answer.read()
            except (ConnectionError, http.client.BadStatusLine, http.client.IncompleteRead) as error:
                self.closed.append((time.monotonic(), repr(error)))
                connection.close()  # an answer that was cut off leaves it open on this side
                connection = self.connect()
                continue
            except Exception as error:
                self.problems.append(repr(error))
                break
            self.check(x, answer.status, body)
        connection.close()

    def connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        connection.connect()  # refused by nobody: the socket is there as long as the server
        return connection

    def check(self, x: np.ndarray, status: int, body: bytes) -> None:
        if status != 200:
            self.problems.append(f"{status} {body!r}")
            return
        version = int(orjson.loads(body)["model_version"])
        if not np.allclose(gemm_answer(body), x @ WEIGHT + version, atol=1e-4):
            self.problems.append(f"version {version}: {body!r}")
        self.versions.add(version)
        self.answered += 1


class Watcher(threading.Thread):
    """Reads the metrics all the time: no counter ever falls."""

    def __init__(self, server: ServerProcess, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.stop = stop
        self.last: dict[str, float] = {}
        self.reads = 0
        self.problems: list[str] = []

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                found = read(self.server)
            except (ConnectionError, ValueError, IndexError):  # the worker that was asked was killed
                continue
            self.problems += [f"{k}: {v} -> {found.get(k)}" for k, v in self.last.items() if found.get(k, -1) < v]
            self.last = found
            self.reads += 1


def read(server: ServerProcess) -> dict[str, float]:
    """The counters, by name and labels. ValueError for an answer that was cut off."""
    status, body = server.get("/metrics")
    if status != 200 or b"seqc_runtime_batch_rows_sum" not in body:
        raise ValueError(f"{status} {body[:200]!r}")
    return {
        f"{sample.name} {sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if not sample.name.startswith(GAUGES)
    }


def _answered_more(clients: list[Client], before: list[int]) -> bool:
    return all(client.answered > count + 20 for client, count in zip(clients, before, strict=True))


def kill_one(server: ServerProcess, random: np.random.Generator) -> float:
    """Kill a worker, wait for another one in its place, and tell when that was done."""
    before = children(server.process.pid)
    os.kill(int(random.choice(before)), signal.SIGKILL)
    when = time.monotonic()
    until(lambda: len(set(children(server.process.pid)) - set(before)) == 1, "another worker")
    until(lambda: server.get("/v2/health/ready")[0] == 200, "all workers to be ready")
    return when


@pytest.mark.parametrize("reloading", [False, True], ids=["", "while-versions-are-loaded"])
def test_only_who_is_connected_to_a_killed_worker_notices_and_counters_never_fall(
    tmp_path: Path, reloading: bool
) -> None:
    folder = tmp_path / "models" / "gemm"
    random = np.random.default_rng(0)

    def publish(version: int) -> None:
        fresh = tmp_path / "fresh"
        fresh.mkdir()
        write_gemm(fresh, "model", bias=float(version))
        fresh.rename(folder / str(version))

    folder.mkdir(parents=True)
    publish(1)
    with serving(tmp_path / "models", "--workers", 2, "--poll", 0.05) as server:
        stop = threading.Event()
        clients = [Client(server, number, stop) for number in range(6)]
        watcher = Watcher(server, stop)
        for thread in (*clients, watcher):
            thread.start()
        killed: list[float] = []
        for number in range(KILLS):
            before = [client.answered for client in clients]
            if reloading:
                publish(number + 2)
                time.sleep(random.uniform(0.0, 0.3))  # anywhere between the look at the folder and the swap
            killed.append(kill_one(server, random))
            until(partial(_answered_more, clients, before), "answers")
        if reloading:
            until(lambda: all(KILLS + 1 in client.versions for client in clients), "the last version everywhere")
        stop.set()
        for thread in (*clients, watcher):
            thread.join(60)
        assert [client.problems for client in clients] == [[]] * 6
        # A connection is closed at a kill, at once, and once for each.
        for client in clients:
            assert len(client.closed) <= KILLS
            assert all(min(abs(when - kill) for kill in killed) < 10 for when, _ in client.closed), client.closed
        assert sum(len(client.closed) for client in clients) < 6 * KILLS
        assert watcher.problems == []
        assert watcher.reads > KILLS
        # Every answer is counted once; what a killed worker had counted and not yet sent can come on top, one for each
        # connection that was closed.
        answered = sum(client.answered for client in clients)
        counted = sum(v for k, v in read(server).items() if k.startswith("nv_inference_request_success "))
        assert answered <= counted <= answered + sum(len(client.closed) for client in clients)
        assert len(server.complaints) == KILLS
        assert all("SIGKILL" in line for line in server.complaints)
        assert server.stop() == 0
