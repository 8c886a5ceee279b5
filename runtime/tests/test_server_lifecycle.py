"""How the server ends: what it accepted is answered."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from runtime_kit.server_process import (
    WEIGHT,
    ServerProcess,
    gemm_answer,
    gemm_request,
    read_all,
    serving,
    split,
    until,
    write_gemm,
)

PATH = "/v2/models/gemm/infer"
LOAD = b"POST /v2/repository/models/endless/load HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}"


class Client(threading.Thread):
    """Sends one request after the other on connections it keeps, until nobody listens any more."""

    def __init__(self, port: int, keep: bool) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.keep = keep
        self.answered = 0
        self.problems: list[str] = []

    def run(self) -> None:
        random = np.random.default_rng(self.ident)
        connection = None
        while True:
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                try:
                    connection.connect()
                except ConnectionRefusedError:
                    return
            x = random.standard_normal((2, 4)).astype(np.float32)
            try:
                connection.request("POST", PATH, gemm_request(x))
                answer = connection.getresponse()
                body = answer.read()
            except Exception as error:
                self.problems.append(repr(error))
                return
            if answer.status != 200 or not np.allclose(gemm_answer(body), x @ WEIGHT, atol=1e-5):
                self.problems.append(f"{answer.status} {body!r}")
            self.answered += 1
            if answer.will_close or not self.keep:
                connection.close()
                connection = None


@pytest.mark.parametrize(
    ("workers", "number"),
    [
        (2, signal.SIGTERM),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [
                (1, signal.SIGTERM),
                *((workers, number) for number in (signal.SIGINT, signal.SIGHUP) for workers in (1, 2)),
            ]
        ),
    ],
)
def test_a_server_told_to_end_under_load_loses_no_request(tmp_path: Path, workers: int, number: int) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("the tests were started under nohup, and so a server ignores SIGHUP, as it should")
    with serving(write_gemm(tmp_path), "--workers", workers) as server:
        clients = [Client(server.port, keep=n % 4 > 0) for n in range(8)]
        for client in clients:
            client.start()
        until(lambda: all(client.answered > 20 for client in clients), "every client to be served")
        before = sum(client.answered for client in clients)
        status = server.stop(number)
        for client in clients:
            client.join(60)
    assert [client.problems for client in clients] == [[]] * 8
    assert status == 0
    assert sum(client.answered for client in clients) > before
    assert server.complaints == []


def half_request(server: ServerProcess) -> tuple[socket.socket, bytes]:
    connection = server.connect()
    body = gemm_request(np.ones((1, 4), np.float32))
    connection.sendall(
        b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (PATH.encode(), len(body))
    )
    connection.sendall(body[:10])
    assert server.get("/v2")[0] == 200  # so the half before it was read
    return connection, body[10:]


def test_a_request_under_way_is_answered_and_the_server_is_not_ready_meanwhile(tmp_path: Path) -> None:
    with serving(write_gemm(tmp_path)) as server:
        idle = server.connect()
        connection, rest = half_request(server)
        server.process.send_signal(signal.SIGTERM)
        idle.sendall(b"GET /v2/health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n")
        answer = read_all(idle)
        if answer:  # the signal may have been seen first
            assert b"connection: close" in answer or split(answer)[0] == 200
        time.sleep(1)
        connection.sendall(rest)
        answer = read_all(connection)
        assert split(answer)[0] == 200
        assert b"connection: close" in answer
        assert server.process.wait(60) == 0
        connection.close()
        idle.close()


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_second_signal_ends_the_server_at_once(tmp_path: Path, workers: int) -> None:
    with serving(write_gemm(tmp_path), "--workers", workers) as server:
        connection, _ = half_request(server)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert server.process.poll() is None
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 15
        connection.close()


@pytest.mark.slow
def test_a_drain_has_an_end(tmp_path: Path) -> None:
    with serving(write_gemm(tmp_path), "--drain-timeout", 1) as server:
        connection, _ = half_request(server)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 20
        connection.close()


ENDLESS_LOADS = """
import time
from seqc_runtime.server.loading import Loader
plain = Loader.__call__
Loader.__call__ = lambda self, name, *rest: time.sleep(600) if name == "endless" else plain(self, name, *rest)
"""


@pytest.mark.parametrize(
    ("options", "signals"),
    [
        (("--poll", 0.05), 2),
        pytest.param(("--model-control", "explicit", "--drain-timeout", 1), 1, marks=pytest.mark.slow),
        pytest.param(("--model-control", "explicit"), 2, marks=pytest.mark.slow),
        pytest.param(("--model-control", "explicit", "--workers", 2), 2, marks=pytest.mark.slow),
    ],
)
def test_a_model_that_is_being_loaded_holds_up_no_end(
    tmp_path: Path, options: tuple[object, ...], signals: int
) -> None:
    import seqc_runtime

    folders = [tmp_path / "models" / name / "1" for name in ("gemm", "endless")]
    folders[0].mkdir(parents=True)
    write_gemm(folders[0], "model")
    (tmp_path / "sitecustomize.py").write_text(ENDLESS_LOADS)
    path = os.pathsep.join([str(tmp_path), str(Path(seqc_runtime.__file__).parents[1])])
    with serving(tmp_path / "models", *options, PYTHONPATH=path) as server:
        folders[1].mkdir(parents=True)
        write_gemm(folders[1], "model")
        asking = threading.Thread(target=server.send, args=(LOAD,), daemon=True)
        asking.start()
        until(lambda: b"LOADING" in server.post("/v2/repository/index", b"{}")[1], "the load to begin")
        began = time.monotonic()
        for _ in range(signals):
            time.sleep(0.5)
            server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        assert time.monotonic() - began < 20
        asking.join(60)


@pytest.mark.slow
def test_a_server_under_nohup_goes_on_when_its_terminal_closes(tmp_path: Path) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup leaves it to the programs it starts
    try:
        with serving(write_gemm(tmp_path), "--workers", 2) as server:
            server.process.send_signal(signal.SIGHUP)
            time.sleep(1)
            assert server.get("/v2/health/ready")[0] == 200
            assert server.stop() == 0
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
