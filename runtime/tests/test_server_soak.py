"""A long run of everything at once: good and bad requests in both forms, clients that leave, new versions.

SEQC_SOAK_SECONDS says how long, 15 unless set, 60 in a thorough run; with 3600 it is an hour:
SEQC_SOAK_SECONDS=3600 pytest -m slow FILE.
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
from runtime_kit.effort import effort
from runtime_kit.server_process import WEIGHT, ServerProcess, children, gemm_answer, gemm_request, serving, write_gemm

SECONDS = float(os.environ.get("SEQC_SOAK_SECONDS", effort(15, 60)))
# Of a process, from when it has warmed up to the end, however long that is.
GROWTH = 8 << 20
# So many versions are served at a time.
SERVED = 2
MODEL = "/v2/models/gemm"
INFER = f"{MODEL}/infer"


class Publisher:
    """Writes versions 1, 2, ...; version n adds n. Older ones are taken away."""

    def __init__(self, root: Path) -> None:
        self.fresh = root / "fresh"
        self.folder = root / "models" / "gemm"
        self.folder.mkdir(parents=True)
        (self.folder / "seqc.json").write_text(f'{{"versions": {{"latest": {SERVED}}}}}')
        self.newest = 0

    def publish(self) -> None:
        self.fresh.mkdir()
        write_gemm(self.fresh, "model", bias=float(self.newest + 1))
        self.newest += 1  # before it can be served, so that nobody takes it for one that was never there
        self.fresh.rename(self.folder / str(self.newest))
        if self.newest > SERVED + 1:
            shutil.rmtree(self.folder / str(self.newest - SERVED - 1))


class Client(threading.Thread):
    """Sends requests on a connection it keeps, until it is told to stop, and checks every answer.

    One worker answers all of them, so that what was the newest version stays at least that.
    """

    def __init__(self, server: ServerProcess, number: int, stop: threading.Event, publisher: Publisher) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.random = np.random.default_rng(number)
        self.stop = stop
        self.publisher = publisher
        self.known = 1
        self.seen: Counter[str] = Counter()
        self.problems: list[str] = []
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)

    def run(self) -> None:
        kinds: list[Callable[[], None]] = [self.json, self.binary, self.named, self.wrong, self.leave, self.read]
        while not self.stop.is_set() and len(self.problems) < 5:
            kind = kinds[self.random.choice(len(kinds), p=[0.3, 0.2, 0.2, 0.15, 0.05, 0.1])]
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

    def check(self, x: np.ndarray, y: np.ndarray, version: str) -> None:
        """The numbers are those of the version that the answer names."""
        off = y - x @ WEIGHT - int(version)
        assert np.abs(off).max() < 1e-3, (version, off)

    def check_newest(self, version: str) -> None:
        assert self.known <= int(version) <= self.publisher.newest, (self.known, version)
        self.known = int(version)

    def json(self) -> None:
        x = self.rows()
        status, body, _ = self.ask("POST", INFER, gemm_request(x))
        assert status == 200, body
        version = orjson.loads(body)["model_version"]
        self.check(x, gemm_answer(body), version)
        self.check_newest(version)

    def binary(self) -> None:
        x = self.rows()
        tensor = {"name": "x", "shape": x.shape, "datatype": "FP32", "parameters": {"binary_data_size": x.nbytes}}
        head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
        length = str(len(head))
        status, body, answer = self.ask("POST", INFER, head + x.tobytes(), inference_header_content_length=length)
        assert status == 200, body
        start = int(answer.headers["inference-header-content-length"])
        told = orjson.loads(body[:start])
        (output,) = told["outputs"]
        self.check(x, np.frombuffer(body[start:], np.float32).reshape(output["shape"]), told["model_version"])
        self.check_newest(told["model_version"])

    def named(self) -> None:
        """Who names a version gets its numbers; nothing, when it is served no more or was never there."""
        x = self.rows()
        version = self.known + int(self.random.choice([-SERVED - 5, -1, 0, 0, 0, 1000]))
        status, body, _ = self.ask("POST", f"{MODEL}/versions/{version}/infer", gemm_request(x))
        if status == 200:
            assert orjson.loads(body)["model_version"] == str(version), body
            self.check(x, gemm_answer(body), str(version))
            assert 0 < version <= self.publisher.newest
            self.seen["answers of a version that was named"] += 1
        else:
            assert status == 404, (status, body)
            gone = version <= self.publisher.newest - SERVED
            assert gone or version > self.known or version < 1, (version, self.known, body)

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
        for path in ("/v2", MODEL, "/metrics", "/v2/health/live"):
            status, body, _ = self.ask("GET", path, b"")
            assert status == 200, body


def private_memory(pid: int) -> int:
    found = re.findall(r"Private_(?:Clean|Dirty):\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text())
    return 1024 * sum(map(int, found))


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.slow
def test_a_long_run_of_everything_loses_nothing_and_keeps_its_memory(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    publisher.publish()
    with serving(tmp_path / "models", "--workers", 2, "--poll", 0.2) as server:
        pids = [server.process.pid, *children(server.process.pid)]
        stop = threading.Event()
        clients = [Client(server, number, stop, publisher) for number in range(6)]
        for client in clients:
            client.start()
        began, marks = time.monotonic(), []
        # By then the metrics have as many versions as they ever show.
        warm = began + min(80.0, SECONDS / 3)
        while time.monotonic() < began + SECONDS and not any(client.problems for client in clients):
            time.sleep(1.0)
            publisher.publish()
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
        answered = total.pop("answers of a version that was named")
        assert set(total) == {"json", "binary", "named", "wrong", "leave", "read"}
        assert answered > total["named"] / 2
        assert all(client.known > publisher.newest - 20 for client in clients)
        assert server.complaints == []
        assert server.stop() == 0
        grown = [(after - before) / 2**20 for before, after in zip(marks[0], last, strict=True)]
        print(f"{sum(total.values())} requests in {SECONDS:g} s over {publisher.newest} versions: {dict(total)}")
        print(
            f"MiB of each process when warm {[round(m / 2**20, 1) for m in marks[0]]}, then {np.round(grown, 2)} more"
        )
        way = [round(sum(mark) / 2**20, 1) for mark in marks[:: max(1, len(marks) // 10)]]
        print(f"MiB of all together, on the way: {way}")
