"""Servers of every kind, of two models in two versions each, for requests that are drawn by chance."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="servers in tests need it")
pytest.importorskip("onnx", reason="models in tests are built with onnx")

import onnx
import onnxruntime
import uvicorn

from runtime_kit.odd_models import build, node
from runtime_kit.server_process import PATIENCE, ServerProcess, serving, until
from seqc_runtime.server.asgi import Asgi
from seqc_runtime.server.build import build_app
from seqc_runtime.server.settings import Settings

F32 = np.float32
TOKEN = "a-token-of-the-draws-3f9a"
# What every version of a model is, and its width: samples of the first can run together, those of the second cannot.
WIDTHS = {"apart": 5, "together": 3}


def write_models(root: Path) -> dict[tuple[str, int], Any]:
    """Two models in two versions; a bare session for each."""
    random = np.random.default_rng(3)
    sessions: dict[tuple[str, int], Any] = {}
    for name, width in WIDTHS.items():
        for version in (1, 2):
            weights: dict[str, Any] = {
                "w": random.standard_normal((width, 4)).astype(F32),
                "axis": np.array(0, np.int64),
            }
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
    """A server: where it listens, under which path, and what it wants besides. grpc: its address, when it has one."""

    def __init__(
        self,
        port: int,
        sessions: Any,
        root: str = "",
        headers: dict[str, str] | None = None,
        server: ServerProcess | None = None,
    ) -> None:
        self.port = port
        self.grpc = server.lines[0].partition("grpc://")[2].partition(",")[0] if server is not None else ""
        self.sessions = sessions
        self.root = root
        self.headers = headers or {}
        # Whether answers are promised to be those that each request would get alone, to the last bit.
        self.exact = False

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

    with serving(folder, "--poll", "0.05", "--grpc-port", 0) as server:

        def replaced(least: int) -> bool:
            answers = [server.get(f"/v2/models/{name}") for name in WIDTHS]
            assert all(status == 200 for status, _ in answers)
            labels = [json.loads(body).get("labels", {"y": [0]})["y"] for _, body in answers]
            return all(int(first) >= least for first, *_ in labels)

        thread = threading.Thread(target=replace)
        thread.start()
        try:
            until(lambda: replaced(1), "the first files that were replaced")
            yield House(server.port, sessions, server=server)
            until(lambda: replaced(4), "files that were replaced four times")
        finally:
            over.set()
            thread.join()


KINDS: dict[str, list[Any]] = {
    "plain": [],
    "exact": ["--exact"],
    "workers": ["--workers", 2],
    "token": ["--token-file", "TOKENS"],
    "reloading": [],
    "mounted": [],
    "mounted with its path stripped": [],
}


@contextlib.contextmanager
def plainly(kind: str, folder: Path, sessions: Any) -> Iterator[House]:
    tokens = folder.parent / "tokens"
    tokens.write_text(f"{TOKEN} infer,metadata name=draws\n")
    tokens.chmod(0o600)
    arguments = [tokens if argument == "TOKENS" else argument for argument in KINDS[kind]]
    headers = {"authorization": f"Bearer {TOKEN}"} if kind == "token" else {}
    with serving(folder, "--grpc-port", 0, *arguments) as server:
        house = House(server.port, sessions, headers=headers, server=server)
        house.exact = kind == "exact"
        yield house


def open_house(kind: str, folder: Path) -> contextlib.AbstractContextManager[House]:
    """A running server of this kind, whose models are in the folder."""
    sessions = write_models(folder)
    if kind == "reloading":
        return reloading(folder, sessions)
    if kind.startswith("mounted"):
        return mounted(folder, sessions, "stripped" in kind)
    return plainly(kind, folder, sessions)
