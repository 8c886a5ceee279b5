"""New versions under load as clients see it: over connections that are kept, from several workers."""

from __future__ import annotations

import http.client
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from runtime_kit.effort import effort
from runtime_kit.server_process import PATIENCE, ServerProcess, serving

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

import orjson
from runtime_kit.serving_models import adder

pytestmark = pytest.mark.slow
RELOADS, REQUESTS, CLIENTS = effort(20, 50), effort(2000, 10_000), 6


def put(root: Path, version: int) -> None:
    """Publish a version that adds its number."""
    folder = root / "m" / str(version)
    folder.mkdir(parents=True)
    (folder / "beside").write_bytes(adder(version))
    os.replace(folder / "beside", folder / "model.onnx")


class Client(threading.Thread):
    """Asks until it is told to stop; every answer must have the numbers of the version that it names.

    published: the newest version that is on the disk.
    """

    def __init__(self, server: ServerProcess, number: int, published: list[int], stop: threading.Event) -> None:
        super().__init__()
        self.server, self.published, self.stop = server, published, stop
        self.random = np.random.default_rng(number)
        self.versions: list[int] = []
        self.problem: str | None = None

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)
        try:
            while not self.stop.is_set():
                self.versions.append(self.ask(connection))
        except Exception as error:
            self.problem = f"{type(error).__name__}: {error}"
        finally:
            connection.close()

    def ask(self, connection: http.client.HTTPConnection) -> int:
        x = self.random.integers(0, 1000, (1, 4)).astype(np.float32)
        tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": x.ravel().tolist()}
        connection.request("POST", "/v2/models/m/infer", orjson.dumps({"inputs": [tensor]}))
        answer = connection.getresponse()
        content = orjson.loads(answer.read())
        assert answer.status == 200, content
        version = int(content["model_version"])
        assert content["outputs"][0]["data"] == (x.ravel() + version).tolist()
        assert 1 <= version <= self.published[0]
        return version


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("how", ["poll", "explicit"])
def test_no_request_is_lost_or_answered_by_the_wrong_version(tmp_path: Path, workers: int, how: str) -> None:
    put(tmp_path, 1)
    options = ["--poll", 0.05] if how == "poll" else ["--model-control", "explicit"]
    with serving(tmp_path, "--workers", workers, *options) as server:

        def load() -> None:
            if how == "explicit":
                status, said = server.post("/v2/repository/models/m/load", b"")
                assert status == 200, said

        load()
        published, stop = [1], threading.Event()
        clients = [Client(server, number, published, stop) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            for version in range(2, RELOADS + 2):
                published[0] = version
                put(tmp_path, version)
                load()
                time.sleep(0.15)
            end = time.monotonic() + PATIENCE
            while sum(len(client.versions) for client in clients) < REQUESTS and time.monotonic() < end:
                time.sleep(0.1)
            time.sleep(1.0)
        finally:
            stop.set()
            for client in clients:
                client.join(PATIENCE)
    assert [client.problem for client in clients] == [None] * CLIENTS
    assert sum(len(client.versions) for client in clients) >= REQUESTS
    # All of them have arrived at the last one.
    assert {client.versions[-1] for client in clients} == {RELOADS + 1}
    assert len({version for client in clients for version in client.versions}) > RELOADS // 4
