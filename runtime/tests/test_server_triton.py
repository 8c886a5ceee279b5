"""What Triton's clients and perf_analyzer ask beside inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

from seqc_runtime.server.testing import TestClient

Serve = Callable[..., TestClient]
REQUEST = {"inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP32", "data": [0.0] * 8}]}


@pytest.mark.parametrize("path", ["/v2/models/m/config", "/v2/models/m/versions/1/config"])
def test_the_configuration_leaves_the_batch_axis_to_max_batch_size(serve: Serve, gemm: bytes, path: str) -> None:
    config = serve(gemm).get(path).json()
    assert (config["name"], config["platform"], config["backend"]) == ("m", "onnxruntime_onnx", "onnxruntime")
    assert config["max_batch_size"] > 1
    (given,), (result,) = config["input"], config["output"]
    assert (given["name"], given["data_type"], given["dims"]) == ("x", "TYPE_FP32", [4])
    assert (result["name"], result["data_type"], result["dims"]) == ("y", "TYPE_FP32", [3])


def test_a_model_without_a_batch_axis_has_whole_shapes(serve: Serve, relu: Callable[..., bytes]) -> None:
    config = serve(relu([2, 3], [2, 3])).get("/v2/models/m/config").json()
    assert config["max_batch_size"] == 0
    assert config["input"][0]["dims"] == [2, 3]


@pytest.mark.parametrize("path", ["/v2/models/stats", "/v2/models/m/stats", "/v2/models/m/versions/1/stats"])
def test_statistics_count_requests_rows_and_refusals(serve: Serve, gemm: bytes, path: str) -> None:
    client = serve(gemm)

    def stats() -> dict[str, Any]:
        (entry,) = client.get(path).json()["model_stats"]
        result: dict[str, Any] = entry
        return result

    assert stats()["inference_count"] == 0
    for _ in range(3):
        assert client.post("/v2/models/m/infer", json=REQUEST).status == 200
    assert client.post("/v2/models/m/infer", json={"inputs": []}).status == 400
    entry = stats()
    assert (entry["inference_count"], entry["execution_count"]) == (6, 3)
    times = entry["inference_stats"]
    assert times["success"]["count"] == times["compute_infer"]["count"] == 3
    assert times["fail"]["count"] == 1
    assert times["success"]["ns"] >= times["compute_infer"]["ns"] > 0
    assert entry["batch_stats"][0]["batch_size"] == 2
    assert entry["last_inference"] > 0


def test_the_repository_lists_its_models(serve: Serve, gemm: bytes) -> None:
    client = serve(gemm)
    listed = [{"name": "m", "version": "1", "state": "READY", "reason": ""}]
    for body in (b"", b"{}", b'{"ready": true}'):
        assert client.post("/v2/repository/index", body).json() == listed
    (model,) = client.get("/v2/models").json()["models"]
    assert (model["name"], model["versions"], model["state"]) == ("m", ["1"], "READY")


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_models_are_not_loaded_on_request_unless_that_was_asked_for(serve: Serve, gemm: bytes, verb: str) -> None:
    answer = serve(gemm).post(f"/v2/repository/models/m/{verb}", json={})
    assert answer.status == 400
    assert "--model-control explicit" in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/systemsharedmemory/status"),
        ("GET", "/v2/cudasharedmemory/status"),
        ("POST", "/v2/systemsharedmemory/region/r/register"),
        ("POST", "/v2/cudasharedmemory/unregister"),
        ("GET", "/v2/trace/setting"),
        ("POST", "/v2/logging"),
        ("POST", "/v2/models/m/generate"),
    ],
)
def test_what_is_not_served_says_so(serve: Serve, gemm: bytes, method: str, path: str) -> None:
    answer = serve(gemm).request(method, path)
    assert answer.status == 501
    assert "not served" in answer.json()["error"]
