"""A server as its users start one: a process of its own, on a free port."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest

for _package in ("onnx", "orjson", "uvicorn", "httptools", "click"):
    pytest.importorskip(_package, reason="servers in tests need it")

import orjson  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

# The machine may be many times slower than an idle one.
PATIENCE = 60.0


class ServerProcess:
    """A running `seqc-runtime serve`."""

    def __init__(self, process: subprocess.Popen[str], lines: list[str], complaints: list[str]) -> None:
        self.process = process
        self.lines = lines
        self.complaints = complaints
        self.port = 0

    def connect(self, timeout: float = PATIENCE) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def send(self, data: bytes, timeout: float = PATIENCE) -> bytes:
        """Everything it answers to these bytes until it closes the connection."""
        with self.connect(timeout) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(data)
            return read_all(connection)

    def get(self, path: str, *lines: str) -> tuple[int, bytes]:
        """Status and body of a GET."""
        head = "".join(f"{line}\r\n" for line in lines)
        answer = self.send(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{head}\r\n".encode())
        return split(answer)

    def post(self, path: str, body: bytes, *lines: str) -> tuple[int, bytes]:
        """Status and body of a POST."""
        head = "".join(f"{line}\r\n" for line in lines)
        start = f"POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {len(body)}\r\n"
        return split(self.send(f"{start}{head}\r\n".encode() + body))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def memory(self, pid: int | None = None) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{pid or self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def files(self) -> int:
        """Open file descriptors."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def threads(self) -> int:
        """Threads."""
        return len(os.listdir(f"/proc/{self.process.pid}/task"))


def read_all(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    pieces = []
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def split(answer: bytes) -> tuple[int, bytes]:
    """Status and body of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


def error_of(answer: bytes) -> tuple[int, str]:
    """Status and message of an answer that refuses."""
    status, body = split(answer)
    return status, orjson.loads(body)["error"]


def until(done: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until `done()`."""
    end = time.monotonic() + patience
    while not done():
        assert time.monotonic() < end, f"waited {patience} s for {what}"
        time.sleep(0.02)


@contextlib.contextmanager
def serving(*arguments: object, port: object = 0, **environment: str) -> Iterator[ServerProcess]:
    """`seqc-runtime serve ARGUMENTS --port 0`, ready."""
    import seqc_runtime

    path = str(Path(seqc_runtime.__file__).parents[1])
    command = [sys.executable, "-m", "seqc_runtime", "serve", *map(str, arguments)]
    if port is not None:
        command += ["--port", str(port)]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    complaints: list[str] = []
    assert process.stdout is not None
    assert process.stderr is not None
    readers = [
        threading.Thread(target=_collect, args=(process.stdout, lines), daemon=True),
        threading.Thread(target=_collect, args=(process.stderr, complaints), daemon=True),
    ]
    for reader in readers:
        reader.start()
    server = ServerProcess(process, lines, complaints)
    try:
        until(lambda: any("ready in" in line for line in lines) or process.poll() is not None, "a server to be ready")
        assert process.poll() is None, "".join(complaints)
        found = re.search(r"://[^ ]*:(\d+)", next(line for line in lines if "ready in" in line))
        server.port = int(found[1]) if found else 0
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for reader in readers:
            reader.join(PATIENCE)
        process.stdout.close()
        process.stderr.close()


def _collect(stream: IO[str], lines: list[str]) -> None:
    lines.extend(stream)  # each as it comes


WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3) / 10 - 0.5


def write_gemm(folder: Path, name: str = "gemm", bias: float = 0.0) -> Path:
    """x W + bias, x float32[batch, 4], as a file."""
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(WEIGHT, "w"), numpy_helper.from_array(np.full(3, bias, np.float32), "b")],
    )
    path = folder / f"{name}.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def gemm_request(x: np.ndarray, identity: str = "") -> bytes:
    """An inference request in JSON."""
    tensor = {"name": "x", "shape": x.shape, "datatype": "FP32", "data": x.ravel().tolist()}
    return orjson.dumps({"id": identity, "inputs": [tensor]} if identity else {"inputs": [tensor]})


def gemm_answer(body: bytes) -> np.ndarray:
    """The array in an inference answer."""
    (output,) = orjson.loads(body)["outputs"]
    return np.array(output["data"], np.float32).reshape(output["shape"])


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
