"""The core without I/O: one request in, one answer out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

import orjson

import seqc_runtime
from seqc_runtime.server.app import App
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.testing import TestClient

Reference = Callable[[np.ndarray], np.ndarray]


@pytest.fixture
def client(gemm: bytes) -> TestClient:
    repository = Repository()
    repository.add(Servable("gemm", 1, seqc_runtime.load(gemm, device="cpu", threads=1)))
    return TestClient(App(repository))


def test_an_inference_gives_the_models_numbers(client: TestClient, gemm_reference: Reference) -> None:
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    request = {"id": "a", "inputs": [{"name": "x", "shape": [5, 4], "datatype": "FP32", "data": x.tolist()}]}
    answer = client.post("/v2/models/gemm/infer", json=request)
    assert answer.status == 200
    content = orjson.loads(answer.content)
    assert {"model_name": "gemm", "model_version": "1", "id": "a"}.items() <= content.items()
    (output,) = content["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("y", "FP32", [5, 3])
    assert np.allclose(np.array(output["data"]).reshape(5, 3), gemm_reference(x))


def test_the_model_says_what_it_needs(client: TestClient) -> None:
    content = orjson.loads(client.get("/v2/models/gemm").content)
    assert content["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert content["versions"] == ["1"]


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2/health/live", "/v2/health/ready", "/v2/models/gemm/ready"])
def test_what_clients_ask_first_is_there(client: TestClient, path: str) -> None:
    assert client.get(path).status == 200


def test_an_unknown_model_is_404_and_an_unknown_method_405(client: TestClient) -> None:
    assert client.get("/v2/models/none").status == 404
    answer = client.get("/v2/models/gemm/infer")
    assert answer.status == 405
    assert ("allow", "OPTIONS, POST") in answer.headers
