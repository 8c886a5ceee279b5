"""The comparison of servers: what is measured, kept and reported. Installs and starts none of the servers."""

from __future__ import annotations

import http.server
import json
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from serving import openloop, protocols
from serving.load import Load
from serving.models import Served
from serving.results import Results
from serving.tables import Facts, report

SAMPLE = np.array([[0.5, 0.25]], np.float32)
SERVED = Served("m", Path("m/1/model.onnx"), "x", "y", SAMPLE, 2 * SAMPLE)
FACTS = Facts("the command", "2026-01-01", "2 cores", "3.11", 0.5, 5, {}, {"seqc": 190.0})


def _load(requests_per_s: float, p50_us: float = 100.0) -> Load:
    return Load(requests_per_s, p50_us, 2 * p50_us, 0.25, 1000)


def _fill(results: Results, peer: str, requests_per_s: float) -> None:
    for concurrency in (1, 64):
        for number in range(3):
            load = _load(requests_per_s * (0.5 + 0.5 * (concurrency == 64)) + number)
            results.add(peer, "mlp-8", "closed", "JSON", concurrency=concurrency, round=number, load=load, cpu_us=50.0)


def test_a_run_goes_on_where_one_ended_and_forgets_only_what_it_is_told_to(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    _fill(Results(path), "seqc", 9000)
    _fill(Results(path), "litserve", 900)
    again = Results(path)
    assert again.rounds("seqc", "mlp-8", "closed", "JSON", 64) == 3
    assert again.median("requests_per_s", "seqc", "mlp-8", "closed", "JSON", 64) == 9001
    assert again.best("litserve", "mlp-8", "JSON") == 901
    again.forget(["seqc"])
    left = Results(path)
    assert left.rounds("seqc", "mlp-8", "closed", "JSON", 64) == 0
    assert left.rounds("litserve", "mlp-8", "closed", "JSON", 64) == 3


def test_the_report_shows_ratios_of_the_most_requests_and_which_targets_are_met(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.csv")
    results.add("onnxruntime", "mlp-8", "run", p50_us=10.0)
    _fill(results, "seqc", 9000)
    _fill(results, "litserve", 900)
    _fill(results, "mlserver", 1800)
    text = report(results, FACTS, {"ray with mlp-8": "it ended"})
    assert "- [x] 5x the requests per second of LitServe: MLP 8-32-16-3 JSON 10.0x" in text
    assert "- [ ] 8x the requests per second of MLServer: MLP 8-32-16-3 JSON 5.0x" in text
    assert "- [x] p50 at most 100 us over `run`, one connection: MLP 8-32-16-3 JSON 90 us" in text
    assert "- not measured: 8x the requests per second of KServe" in text
    assert "- [x] installed at most 200 MB: all 190 MB" in text
    assert "| LitServe | JSON | 451 | 901 | 50 | 100 | 200 | 200 | - | 9.99x |" in text
    assert text.index("| **seqc-runtime** | JSON") < text.index("| MLServer | JSON") < text.index("| LitServe | JSON")
    assert "- ray with mlp-8: it ended" in text


def _infer_request() -> Any:
    """Returns an empty ModelInferRequest with the fields that are written, as the protocol numbers them."""
    file = descriptor_pb2.FileDescriptorProto(name="infer.proto", package="p")
    text, octets, whole, inner = 9, 12, 3, 11
    messages = {
        "Tensor": [("name", 1, text, 1), ("datatype", 2, text, 1), ("shape", 3, whole, 3)],
        "Request": [("model_name", 1, text, 1), ("inputs", 5, inner, 3), ("raw_input_contents", 7, octets, 3)],
    }
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, number, kind, label in fields:
            added = message.field.add(name=field, number=number, type=kind, label=label)
            if kind == inner:
                added.type_name = ".p.Tensor"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("p.Request"))()


def test_the_grpc_message_is_what_protobuf_reads() -> None:
    framed = protocols.oip_grpc(SERVED).body
    assert struct.unpack(">?I", framed[:5]) == (False, len(framed) - 5)
    request = _infer_request()
    request.ParseFromString(framed[5:])
    assert request.model_name == "m"
    (tensor,) = request.inputs
    assert (tensor.name, tensor.datatype, list(tensor.shape)) == ("x", "FP32", [1, 2])
    assert list(request.raw_input_contents) == [SAMPLE.tobytes()]


def test_answers_of_each_protocol_are_read() -> None:
    output = {"name": "y", "datatype": "FP32", "shape": [1, 2]}
    as_json = json.dumps({"outputs": [output | {"data": [1.0, 0.5]}]}).encode()
    as_binary = json.dumps({"outputs": [output | {"parameters": {"binary_data_size": 8}}]}).encode()
    answers = {
        protocols.oip_json: as_json,
        protocols.oip_binary: as_binary + SERVED.expected.tobytes(),
        protocols.own_json("/"): b'{"outputs": [[1.0, 0.5]]}',
        protocols.own_binary("/"): SERVED.expected.tobytes(),
    }
    for make, body in answers.items():
        assert np.array_equal(make(SERVED).read(body), SERVED.expected)


class _Stalls(http.server.BaseHTTPRequestHandler):
    """Answers at once, but for one request that holds up all others for a while."""

    protocol_version = "HTTP/1.1"
    count, stall_s, lock = 0, 0.3, threading.Lock()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.lock:
            type(self).count += 1
            if self.count == 60:
                time.sleep(self.stall_s)
            body = b"yes"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256


@pytest.fixture
def port() -> Iterator[int]:
    server = _Server(("127.0.0.1", 0), _Stalls)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_requests_that_were_due_during_a_stall_count_it_as_latency(port: int) -> None:
    request = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\nhi"
    found = openloop.run(request, port, rate=100, seconds=1.0)
    assert found["answered"] == 120
    # 30 of 100 requests were due while the server stood still: a closed loop would have sent one of them, and called
    # that the slowest in a hundred.
    assert found["p99_us"] > 0.8e6 * _Stalls.stall_s
