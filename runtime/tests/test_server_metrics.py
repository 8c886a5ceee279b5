"""What the server counts, read as Prometheus reads it."""

from __future__ import annotations

import gzip
import os
import signal
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime_kit.server_process import ServerProcess, alive, children, gemm_request, serving, until, write_gemm

pytest.importorskip("prometheus_client", reason="it writes the metrics, and reads them here")

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

INFER = "/v2/models/gemm/infer"
X = np.ones((3, 4), np.float32)


def read(server: ServerProcess) -> dict[str, float]:
    """Every sample by its name and labels."""
    status, body = server.get("/metrics")
    assert status == 200
    return flat(text_string_to_metric_families(body.decode()))


def _ended(pid: int) -> bool:
    return not alive(pid)


def flat(families: Iterable[Any]) -> dict[str, float]:
    return {
        f"{sample.name} {' '.join(f'{key}={value}' for key, value in sorted(sample.labels.items()))}": sample.value
        for family in families
        for sample in family.samples
    }


GEMM = "model=gemm version=1"


@pytest.mark.slow
def test_each_request_is_counted_once_under_the_names_that_dashboards_know(tmp_path: Path) -> None:
    with serving(write_gemm(tmp_path), "--limit", "compress_from=1000") as server:
        before = read(server)
        assert before[f"nv_inference_request_success {GEMM}"] == 0
        for _ in range(5):
            assert server.post(INFER, gemm_request(X))[0] == 200
        now = read(server)
        assert now[f"nv_inference_request_success {GEMM}"] == 5
        assert now[f"nv_inference_count {GEMM}"] == 15
        assert now[f"nv_inference_exec_count {GEMM}"] == 5
        assert now[f"nv_inference_pending_request_count {GEMM}"] == 0
        assert (
            0 < now[f"nv_inference_compute_infer_duration_us {GEMM}"] <= now[f"nv_inference_request_duration_us {GEMM}"]
        )
        assert {key for key in now if key.startswith("nv_inference_request_failure")} == {
            f"nv_inference_request_failure model=gemm reason={reason} version=1"
            for reason in ("REJECTED", "CANCELED", "BACKEND", "OTHER")
        }
        assert now["seqc_runtime_requests_total model=gemm outcome=answered version=1"] == 5
        name = "seqc_runtime_request_duration_seconds"
        assert now[f"{name}_count {GEMM}"] == 5
        assert now[f"{name}_sum {GEMM}"] == pytest.approx(
            now[f"nv_inference_request_duration_us {GEMM}"] / 1e6, abs=1e-5
        )
        buckets = [(key, value) for key, value in now.items() if key.startswith(f"{name}_bucket")]
        assert [value for _, value in buckets] == sorted(value for _, value in buckets)
        assert buckets[-1][1] == 5
        assert now[f"seqc_runtime_batch_rows_bucket le=2.0 {GEMM}"] == 0
        assert now[f"seqc_runtime_batch_rows_bucket le=4.0 {GEMM}"] == 5
        head, _, packed = server.send(
            b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\naccept-encoding: gzip\r\n\r\n"
        ).partition(b"\r\n\r\n")
        assert b"content-encoding: gzip" in head
        assert 'nv_inference_request_success{model="gemm",version="1"} 5.0' in gzip.decompress(packed).decode()


@pytest.mark.slow
def test_openmetrics_is_given_to_who_accepts_it(tmp_path: Path) -> None:
    with serving(write_gemm(tmp_path)) as server:
        server.post(INFER, gemm_request(X))
        status, body = server.get("/metrics", "accept: application/openmetrics-text; version=1.0.0")
        assert status == 200
        assert body.endswith(b"# EOF\n")
        families: Any = openmetrics.text_string_to_metric_families(body.decode())  # type: ignore[no-untyped-call]
        found = flat(families)
        assert found[f"nv_inference_request_success {GEMM}"] == 1
        assert read(server) == {key: value for key, value in found.items() if not key.startswith("#")}


@pytest.mark.slow
def test_the_numbers_of_several_workers_are_exact_and_never_go_back_when_some_are_killed(tmp_path: Path) -> None:
    with serving(write_gemm(tmp_path), "--workers", 3, TMPDIR=str(tmp_path)) as server:
        sent = 0
        for _ in range(3):
            for _ in range(20):
                assert server.post(INFER, gemm_request(X))[0] == 200
                sent += 1
            assert read(server)[f"nv_inference_request_success {GEMM}"] == sent
            victim = children(server.process.pid)[0]
            os.kill(victim, signal.SIGKILL)
            until(partial(_ended, victim), "the worker to end")
            assert read(server)[f"nv_inference_request_success {GEMM}"] == sent
            until(lambda: server.get("/v2/health/ready")[0] == 200, "another worker")
            assert read(server)[f"nv_inference_count {GEMM}"] == 3 * sent
            # A new process goes on in the file of the one that is gone.
            assert len(list(tmp_path.glob("seqc-runtime-*/*.stats"))) == 3
        assert server.stop() == 0
    assert list(tmp_path.glob("seqc-runtime-*")) == []


@pytest.mark.slow
def test_metrics_are_on_the_administrators_port_only_when_there_is_one(tmp_path: Path) -> None:
    with serving(write_gemm(tmp_path), "--admin-port", 0, "--workers", 2) as server:
        main = server.port
        admin = int(server.lines[0].partition(" (admin)")[0].rpartition(":")[2])
        assert server.post(INFER, gemm_request(X))[0] == 200
        assert server.get("/metrics")[0] == 404
        server.port = admin
        assert read(server)[f"nv_inference_request_success {GEMM}"] == 1
        assert server.get("/v2/health/ready")[0] == 200
        server.port = main
        assert server.stop() == 0
