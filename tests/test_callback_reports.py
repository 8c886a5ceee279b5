"""Callbacks that report a run to others: what arrives there."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest

import seqc as keras
from kit.callback_runs import X, Y, model
from seqc import callbacks
from seqc.errors import ConfigError, MissingDependencyError


@contextmanager
def server() -> Iterator[tuple[str, list[tuple[str, str, str, str]]]]:
    """Gives the address of a server and the requests it gets: path, content type, a header, body."""
    got: list[tuple[str, str, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            got.append((self.path, self.headers["Content-Type"], self.headers.get("X-Key", ""), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}", got
        finally:
            listening.shutdown()
            thread.join()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_server_gets_the_logs_of_every_epoch(as_json: bool) -> None:
    with server() as (root, got):
        monitor = callbacks.RemoteMonitor(root, "/runs", "run", {"X-Key": "7"}, send_as_json=as_json)
        history = model(metrics=["mae"]).fit(X, Y, epochs=2, verbose=0, callbacks=[monitor]).history
    kind = "application/json" if as_json else "application/x-www-form-urlencoded"
    assert [request[:3] for request in got] == [("/runs", kind, "7")] * 2
    sent = [json.loads(body if as_json else parse_qs(body)["run"][0]) for *_, body in got]
    assert sent == [{"epoch": i, "loss": history["loss"][i], "mae": history["mae"][i]} for i in range(2)]


def test_a_server_that_is_not_there_is_said_and_training_goes_on() -> None:
    with server() as (root, _):
        pass
    with pytest.warns(UserWarning, match=f"Could not reach RemoteMonitor root server at {root}"):
        model().fit(X, Y, verbose=0, callbacks=[callbacks.RemoteMonitor(root)])
    with pytest.raises(ConfigError, match="begins with http:// or https://; got 'file:///etc/'"):
        callbacks.RemoteMonitor("file:///etc/")


def test_a_progress_logger_shows_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    for verbose in (0, 2):
        shown = []
        for given in ([], [callbacks.ProgbarLogger()]):
            keras.utils.set_random_seed(1)
            model().fit(X, Y, verbose=verbose, callbacks=given)
            shown.append([word for word in capsys.readouterr().out.split() if not word.endswith(("s", "step"))])
        assert shown[0] == shown[1]


def events(folder: Path) -> dict[tuple[str, int], Any]:
    """Reads the files of events in a folder: by tag and step the number, or the count of a histogram's elements."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[tuple[str, int], Any] = {}
    for file in sorted(folder.glob("events*")):
        data = file.read_bytes()
        while data:  # length, its checksum, the event, its checksum
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            for value in event.summary.value:
                found[value.tag, event.step] = value.histo.num if value.HasField("histo") else value.simple_value
    return found


@pytest.mark.parametrize("wrapped", [False, True])
def test_tensorboard_gets_the_metrics_under_the_names_of_keras(tmp_path: Path, wrapped: bool) -> None:
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    net = model(metrics=["mae"])
    if wrapped:
        net.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01)), "mse", metrics=["mae"])
    board = callbacks.TensorBoard(tmp_path, histogram_freq=2, update_freq=2, write_steps_per_second=True)
    history = net.fit(X, Y, batch_size=8, epochs=3, verbose=0, validation_data=(X, Y), callbacks=[board]).history
    train, validation = events(tmp_path / "train"), events(tmp_path / "validation")
    batches = -(-len(X) // 8)
    steps = [3 * batches // 3 * i for i in (1, 2, 3)]
    for i in range(3):
        for name in ("loss", "mae"):
            assert train[f"epoch_{name}", i] == pytest.approx(history[name][i])
            assert validation[f"epoch_{name}", i] == pytest.approx(history[f"val_{name}"][i])
            assert validation[f"evaluation_{name}_vs_iterations", steps[i]] == pytest.approx(history[f"val_{name}"][i])
        assert train["epoch_learning_rate", i] == pytest.approx(float(net.optimizer.learning_rate))
        assert train["epoch_steps_per_second", i] > 0
    assert {step for tag, step in train if tag == "batch_loss"} == set(range(2, 3 * batches + 1, 2))
    histograms = {(tag, step): count for (tag, step), count in train.items() if tag.endswith("/histogram")}
    assert histograms == {(f"{w.path}/histogram", i): np.size(w.array) for w in net.weights for i in (0, 2)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"update_freq": 0}, "`update_freq` must be 'epoch', 'batch' or a number of batches."),
        ({"update_freq": "step"}, "Received: update_freq='step'."),
    ],
)
def test_what_tensorboard_does_not_get_is_said(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        callbacks.TensorBoard(**arguments)
    assert message in str(error.value)


def test_tensorboard_warns_that_it_writes_no_profile() -> None:
    with pytest.warns(UserWarning, match=r"no profile, which profile_batch=\(1, 3\) asks for"):
        callbacks.TensorBoard(profile_batch=(1, 3))


def test_without_its_package_tensorboard_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'seqc\[tensorboard\]'"):
        callbacks.TensorBoard()
