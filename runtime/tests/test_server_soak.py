"""A long run of everything at once: good and bad requests in both forms, clients that leave, new versions.

SEQC_SOAK_SECONDS says how long, 60 unless set; an hour before a release: SEQC_SOAK_SECONDS=3600.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest
from server_process import WEIGHT, ServerProcess, children, gemm_answer, gemm_request, serving, write_gemm

SECONDS = float(os.environ.get("SEQC_SOAK_SECONDS", "60"))
GROWTH = 24 << 20
INFER = "/v2/models/gemm/infer"


class Client(threading.Thread):
    """Sends requests on connections it keeps, until it is told to stop, and checks every answer.

    versions: the biases that any loaded version may have.
    """

    def __init__(self, server: ServerProcess, number: int, stop: threading.Event, versions: range) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.random = np.random.default_rng(number)
        self.stop = stop
        self.versions = versions
        self.seen: Counter[str] = Counter()
        self.problems: list[str] = []
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)

    def run(self) -> None:
        kinds: list[Callable[[], None]] = [self.json, self.binary, self.wrong, self.leave, self.read]
        while not self.stop.is_set() and len(self.problems) < 5:
            kind = kinds[self.random.choice(len(kinds), p=[0.4, 0.3, 0.15, 0.05, 0.1])]
            try:
                kind()
                self.seen[kind.__name__] += 1
            except Exception as error:
                self.problems.append(f"{kind.__name__}: {error!r}")

    def ask(self, method: str, path: str, body: bytes, **headers: str) -> tuple[int, bytes, http.client.HTTPResponse]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body, named)
        answer = self.connection.getresponse()
        return answer.status, answer.read(), answer

    def rows(self) -> np.ndarray:
        return self.random.standard_normal((int(self.random.integers(1, 40)), 4)).astype(np.float32)

    def check(self, x: np.ndarray, y: np.ndarray) -> None:
        off = y - x @ WEIGHT
        bias = round(float(off.flat[0]))
        assert bias in self.versions, bias
        assert np.allclose(off, bias, atol=1e-3), off

    def json(self) -> None:
        x = self.rows()
        status, body, _ = self.ask("POST", INFER, gemm_request(x))
        assert status == 200, body
        self.check(x, gemm_answer(body))

    def binary(self) -> None:
        x = self.rows()
        tensor = {"name": "x", "shape": x.shape, "datatype": "FP32", "parameters": {"binary_data_size": x.nbytes}}
        head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
        length = str(len(head))
        status, body, answer = self.ask("POST", INFER, head + x.tobytes(), inference_header_content_length=length)
        assert status == 200, body
        start = int(answer.headers["inference-header-content-length"])
        (output,) = orjson.loads(body[:start])["outputs"]
        self.check(x, np.frombuffer(body[start:], np.float32).reshape(output["shape"]))

    def wrong(self) -> None:
        bodies = [b"", b"{", b"[]", gemm_request(np.ones((2, 5), np.float32)), b'{"inputs":[]}', b"\xff" * 1000]
        status, body, _ = self.ask("POST", INFER, bodies[self.random.integers(len(bodies))])
        assert status == 400, (status, body)
        assert orjson.loads(body)["error"]

    def leave(self) -> None:
        body = gemm_request(self.rows())
        head = b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (INFER.encode(), len(body))
        with socket.create_connection(("127.0.0.1", self.server.port), 120) as connection:
            connection.sendall((head + body)[: self.random.integers(1, len(head) + len(body))])

    def read(self) -> None:
        for path in ("/v2", "/v2/models/gemm", "/metrics", "/v2/health/live"):
            status, body, _ = self.ask("GET", path, b"")
            assert status == 200, body


def private_memory(pid: int) -> int:
    found = re.findall(r"Private_(?:Clean|Dirty):\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text())
    return 1024 * sum(map(int, found))


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.slow
def test_a_long_run_of_everything_loses_nothing_and_keeps_its_memory(tmp_path: Path) -> None:
    models = tmp_path / "models" / "gemm"

    def publish(version: int) -> None:
        fresh = tmp_path / "fresh"
        fresh.mkdir()
        write_gemm(fresh, "model", bias=float(version))
        fresh.rename(models / str(version))
        if version > 3:
            shutil.rmtree(models / str(version - 3))

    models.mkdir(parents=True)
    publish(1)
    with serving(tmp_path / "models", "--workers", 2, "--poll", 0.2) as server:
        pids = [server.process.pid, *children(server.process.pid)]
        stop, newest = threading.Event(), 1
        clients = [Client(server, number, stop, range(1, 100_000)) for number in range(6)]
        for client in clients:
            client.start()
        began, marks = time.monotonic(), []
        warm = began + min(20.0, SECONDS / 3)
        while time.monotonic() < began + SECONDS and not any(client.problems for client in clients):
            time.sleep(1.0)
            newest += 1
            publish(newest)
            if time.monotonic() > warm:
                marks.append([private_memory(pid) for pid in pids])
        stop.set()
        for client in clients:
            client.join(120)
            client.connection.close()
        assert [client.problems for client in clients] == [[]] * 6
        assert children(server.process.pid) == pids[1:]
        time.sleep(1.0)
        last = [private_memory(pid) for pid in pids]
        assert all(after - before < GROWTH for before, after in zip(marks[0], last, strict=True)), (marks[0], last)
        assert all(open_files(pid) < 60 for pid in pids)
        total = sum((client.seen for client in clients), Counter[str]())
        assert set(total) == {"json", "binary", "wrong", "leave", "read"}
        assert server.complaints == []
        assert server.stop() == 0
        print(f"{sum(total.values())} requests in {SECONDS:g} s, memory {marks[0]} -> {last}: {dict(total)}")
