"""The command line of `seqc-runtime serve`: what is wrong is one line, before anything starts."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import orjson
import pytest
from runtime_kit.server_process import gemm_request, read_all, serving, split, until, write_gemm

import seqc_runtime

PATH = "/v2/models/gemm/infer"
X = np.ones((3, 4), np.float32)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What the command says in this process, where it starts nothing."""
    from seqc_runtime.cli.commands import run as command

    assert command(["serve", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    return err


WRONG = {
    "no such file": (["{none}"], "there is no file or folder"),
    "not a model": (["{text}"], "not an ONNX model"),
    "port": (["{model}", "--port", "70000"], "--port needs 0 to 65535"),
    "port in use": (["{model}", "--port", "{taken}"], "--port takes another port"),
    "port in use for gRPC": (
        ["{model}", "--grpc-port", "{taken}"],
        "Address already in use; --grpc-port takes another",
    ),
    "one port for two": (["{model}", "--port", "7001", "--grpc-port", "7001"], "--port and --grpc-port need different"),
    "address of another machine": (["{model}", "--host", "192.0.2.1", "--insecure"], "--host needs an address of this"),
    "address": (["{model}", "--host", "300.1.1.1", "--insecure"], "is not one of this machine"),
    "workers": (["{model}", "--workers", "many"], "--workers needs a number or auto"),
    "no workers": (["{model}", "--workers", "0"], "--workers needs 1 to"),
    "limit": (["{model}", "--limit", "bodies=x"], "--limit needs NAME=NUMBER"),
    "unknown limit": (["{model}", "--limit", "size=5"], "there is no limit 'size'"),
    "limit of less than nothing": (["{model}", "--limit", "body=-5"], "body needs a positive whole number; got -5"),
    "infinite limit": (["{model}", "--limit", "body=inf"], "body needs at most 9007199254740992; got inf"),
    "infinite time": (["{model}", "--limit", "keep_alive=inf"], "keep_alive needs at most 86400; got inf"),
    "limit that is an option": (["{model}", "--limit", "drain=5"], "--limit drain is --drain-timeout"),
    "client without an authority": (["{model}", "--tls-client-name", "a"], "--tls-client-name needs --tls-client-ca"),
    "delay": (["{model}", "--max-delay", "-1"], "--max-delay needs 0 to 86400000 milliseconds; got -1"),
    "poll": (["{model}", "--poll", "-1"], "--poll needs 0 to 86400 seconds; got -1"),
    "origin": (["{model}", "--cors-origin", "foo"], "--cors-origin needs an origin such as https://example.org"),
    "origin of all": (["{model}", "--cors-origin", "*"], "--cors-origin needs an origin such as https://example.org"),
    "origin of many": (
        ["{model}", "--cors-origin", "https://*.a.b"],
        "--cors-origin needs an origin such as https://ex",
    ),
    "origin not ASCII": (
        ["{model}", "--cors-origin", "https://ü.b"],
        "--cors-origin needs an origin such as https://ex",
    ),
    "origin with a path": (["{model}", "--cors-origin", "http://a.b/"], "as browsers send it, here http://a.b; got"),
    "origin with its port": (["{model}", "--cors-origin", "https://A.b:443"], "as browsers send it, here https://a.b;"),
    "certificate alone": (["{model}", "--tls-cert", "{text}"], "--tls-cert and --tls-key need each other"),
    "certificate": (["{model}", "--tls-cert", "{text}", "--tls-key", "{text}"], "certificates cannot be used"),
    "tokens": (["{model}", "--token-file", "{text}"], "line 1: a token needs 16"),
    "no tokens": (["{model}", "--token-file", "{none}"], "--token-file: there is no file"),
    "access log": (["{model}", "--access-log", "{none}/access.log"], "--access-log: "),
    "name of two": (["{model}", "{model}", "--name", "a"], "--name names the model of one path"),
    "bad name": (["{model}", "--name", "../x"], "'../x'"),
    "threads": (["{model}", "--threads", "0"], "threads needs a positive integer"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_value_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    text = tmp_path / "text"
    text.write_text("hello\n")
    text.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        names = {
            "none": tmp_path / "none",
            "text": text,
            "model": write_gemm(tmp_path),
            "taken": taken.getsockname()[1],
        }
        arguments, wanted = WRONG[kind]
        port = () if "--port" in arguments else ("--port", 0)
        assert wanted in run(capsys, *(part.format(**names) for part in arguments), *port)


@pytest.mark.slow
def test_the_first_line_says_what_is_served_where_and_how_long_that_took_from_the_start(tmp_path: Path) -> None:
    began = time.monotonic()
    with serving(write_gemm(tmp_path), "--name", "other") as server:
        took = time.monotonic() - began
        found = re.fullmatch(
            r"serving other \(version 1, cpu\) on http://127\.0\.0\.1:(\d+), ready in (\d+\.\d\d) s\n", server.lines[0]
        )
        assert found
        assert int(found[1]) == server.port
        # Python itself and the imports count, too.
        assert 0.05 < float(found[2]) < took + 0.1
        assert server.get("/v2/models/other/ready")[0] == 200
        assert len(server.lines) == 1


@pytest.mark.slow
def test_a_server_whose_standard_files_are_closed_serves_and_ends_well(tmp_path: Path) -> None:
    code = (
        "import os, sys; os.close(0); os.close(1); "
        "os.execv(sys.executable, [sys.executable, '-m', 'seqc_runtime', 'serve', *sys.argv[1:]])"
    )
    place = tmp_path / "s"
    command = [sys.executable, "-c", code, str(write_gemm(tmp_path)), "--uds", str(place)]
    path = str(Path(seqc_runtime.__file__).parents[1])
    with subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}) as process:
        try:
            until(lambda: place.exists() or process.poll() is not None, "a server to be ready")
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(place))
                connection.sendall(b"GET /v2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                assert split(read_all(connection))[0] == 200
                # Nothing but what was opened in their place is at 0 and 1.
                links = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in (0, 1)]
                assert links == [os.devnull] * 2
        finally:
            process.terminate()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.slow
def test_a_unix_socket_serves_and_is_gone_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:  # as a server that was killed leaves it
        left.bind(str(place))
    with serving(write_gemm(tmp_path), "--uds", place, port=None) as server:
        assert place.stat().st_mode & 0o777 == 0o660
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(place))
            connection.sendall(b"GET /v2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert split(read_all(connection))[0] == 200
        assert "cannot listen" in run(capsys, write_gemm(tmp_path), "--uds", place)
        assert server.stop() == 0
    assert not place.exists()


@pytest.mark.slow
def test_a_line_of_json_is_written_for_every_request(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with serving(write_gemm(tmp_path), "--access-log", log, "--workers", 2) as server:
        assert server.post(PATH, gemm_request(X), f"traceparent: {parent}", "x-request-id: r1")[0] == 200
        assert server.get("/v2/models/%0a%22nothing%1b[31m", "traceparent: 00-0-0-0", "x-request-id: a b")[0] == 404
        answer = server.send(
            f"GET /v2 HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntraceparent: {parent}\r\n\r\n".replace(
                "host: a", "host: localhost"
            ).encode()
        )
        assert b"traceresponse: 00-0af7651916cd43dd8448eb211c80319c-" in answer
        assert b" 400 " in server.send(b"nonsense\r\n\r\n")
        server.stop(signal.SIGTERM)
    lines = log.read_text().splitlines()
    assert len(lines) == 4
    entries = [orjson.loads(line) for line in lines]
    assert (entries[3]["status"], entries[3]["method"], entries[3]["client"]) == (400, "", "127.0.0.1")
    infer = entries[0]
    assert (infer["method"], infer["path"], infer["status"]) == ("POST", PATH, 200)
    assert (infer["model"], infer["version"], infer["client"]) == ("gemm", 1, "127.0.0.1")
    assert (infer["trace_id"], infer["request_id"]) == ("0af7651916cd43dd8448eb211c80319c", "r1")
    assert infer["bytes"] > 50
    assert 0 <= infer["queue_ms"] < infer["duration_ms"] < 60_000
    assert [entry["queue_ms"] for entry in entries[1:]] == [None] * 3
    other = entries[1]
    assert (other["status"], other["request_id"], other["model"]) == (404, None, None)
    assert other["path"] == '/v2/models/\n"nothing\x1b[31m'
    assert len(other["trace_id"]) == 32
    assert other["trace_id"] != infer["trace_id"]
    assert not any(character < " " for line in lines for character in line)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ", ".join(["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"] * 2),
    ],
)
def test_a_traceparent_that_is_not_exactly_one_begins_a_new_trace(header: str) -> None:
    from seqc_runtime.server.access_log import trace_of
    from seqc_runtime.server.messages import Head

    first, second = (trace_of(Head("GET", "/", headers={"traceparent": header})) for _ in range(2))
    assert first.parent is None
    assert first.trace_id != second.trace_id


def test_a_traceparent_of_a_later_version_is_understood() -> None:
    from seqc_runtime.server.access_log import trace_of
    from seqc_runtime.server.messages import Head

    header = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"
    trace = trace_of(Head("GET", "/", headers={"traceparent": header}))
    assert (trace.parent, trace.header[:36]) == ("b7ad6b7169203331", "00-0af7651916cd43dd8448eb211c80319c-")


def test_spans_go_to_opentelemetry_as_children_of_the_callers() -> None:
    pytest.importorskip("opentelemetry.sdk", reason="spans need OpenTelemetry")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from seqc_runtime.server.messages import Head, Response
    from seqc_runtime.server.observe import Observer
    from seqc_runtime.server.tracing import Spans

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    observer = Observer(None, Spans(provider))
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for status, headers in ((200, {"traceparent": parent}), (500, {})):
        watch = observer.begin(Head("GET", "/v2", headers=headers))
        watch.end(Response(status, []))
    child, root = exporter.get_finished_spans()
    assert f"{child.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{child.parent.span_id:016x}" == "b7ad6b7169203331"
    assert child.attributes["http.response.status_code"] == 200
    assert root.parent is None
    assert not root.status.is_ok
