"""The description of the server: every example in it works, and nothing that is served is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

from seqc_runtime.server.endpoints import ROUTES
from seqc_runtime.server.testing import TestClient

Serve = Callable[..., TestClient]
# For programs that know them, and for browsers.
NOT_DESCRIBED = {"/", "/metrics", "/v2/live", "/v1/models/{model}/labels/{label}"}


def fill(path: str) -> str:
    for name, value in (("model", "m"), ("version", "1"), ("label", "l"), ("region", "r")):
        path = path.replace(f"{{{name}}}", value)
    return path


def test_everything_that_is_served_is_described(serve: Serve, gemm: bytes) -> None:
    client = serve(gemm)
    paths = client.get("/openapi.json").json()["paths"]
    for route in ROUTES:
        if route.path in NOT_DESCRIBED:
            continue
        for method in route.methods:
            if route.path not in paths or method.lower() not in paths[route.path]:
                assert client.request(method, fill(route.path)).status == 501, route.path


@pytest.mark.parametrize("name", ["gemm", "two_inputs", "two_outputs", "lstm"])
def test_every_example_is_answered(serve: Serve, request: pytest.FixtureRequest, name: str) -> None:
    client = serve(request.getfixturevalue(name))
    tried = 0
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            body: dict[str, Any] = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            for example in body.get("examples", {}).values():
                answer = TestClient(client.app).post(fill(path), json=example["value"])
                assert answer.status == 200, (path, answer.content)
                tried += 1
            if method == "get":
                assert client.get(fill(path)).status == 200
    assert tried >= 6


def test_references_lead_somewhere_and_names_are_unique(serve: Serve, gemm: bytes) -> None:
    document = serve(gemm).get("/openapi.json").json()
    found: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                found.append(node["$ref"])
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(document)
    assert found
    assert {reference.rpartition("/")[2] for reference in found} <= set(document["components"]["schemas"])
    names = [one["operationId"] for operations in document["paths"].values() for one in operations.values()]
    assert len(names) == len(set(names))
