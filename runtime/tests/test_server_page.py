"""The page as a document: whole, and bound to this server. Browsers look at it in the project's slow tests."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

import numpy as np

import seqc_runtime
from seqc_runtime.server.app import App
from seqc_runtime.server.messages import Response
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.stats import Stats
from seqc_runtime.server.testing import TestClient


@pytest.fixture
def client(gemm: bytes) -> TestClient:
    stats, repository = Stats(), Repository()
    model = seqc_runtime.load(gemm, device="cpu", threads=1)
    repository.add(Servable("gemm", 1, model, counters=stats.model("gemm", 1)))
    return TestClient(App(repository, stats=stats))


def document(client: TestClient) -> tuple[str, str]:
    answer: Response = client.get("/")
    headers = dict(answer.headers)
    assert (answer.status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    return answer.content.decode(), headers["content-security-policy"]


def test_the_page_names_nothing_outside_of_itself(client: TestClient) -> None:
    text, _ = document(client)
    outside = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
    assert outside == set()
    assert re.findall(r"<(?:script|link|img|iframe)[^>]*\s(?:src|href)=\"(?!data:)", text) == []


@pytest.mark.parametrize("tag", ["style", "script"])
def test_a_browser_runs_what_the_page_has_and_nothing_else(client: TestClient, tag: str) -> None:
    text, policy = document(client)
    (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    assert f"{tag}-src 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy


def test_charts_get_what_was_counted(client: TestClient) -> None:
    request = {"inputs": [{"name": "x", "shape": [3, 4], "datatype": "FP32", "data": np.ones(12).tolist()}]}
    for _ in range(5):
        assert client.post("/v2/models/gemm/infer", json=request).status == 200
    content = client.get("/v2/live").json()
    (model,) = content["models"]
    assert (model["name"], model["version"], model["count"], model["rows"]) == ("gemm", "1", 5, 15)
    assert sum(model["buckets"]) == 5
    assert len(model["buckets"]) == len(content["bounds_us"])
    assert content["bounds_us"] == sorted(content["bounds_us"])
