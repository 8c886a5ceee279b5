"""A client that calls the application in the same process, without sockets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from seqc_runtime.server.app import App
from seqc_runtime.server.messages import Buffer, Response


class TestClient:
    """`TestClient(app).post("/v2/models/m/infer", json={...})`: the answer the server would give."""

    __test__ = False

    def __init__(self, app: App) -> None:
        self.app = app

    def request(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: Buffer = b"") -> Response:
        """Any request. path: with its query. headers: names in any case."""
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        answer = self.app.handle(method, path, lower, body)
        if method == "HEAD":
            answer.body = ()
        return answer

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Response:
        """GET `path`."""
        return self.request("GET", path, headers)

    def post(
        self, path: str, body: Buffer = b"", headers: Mapping[str, str] | None = None, json: Any = None
    ) -> Response:
        """POST `body`, or `json` as JSON."""
        return self.request("POST", path, headers, orjson.dumps(json) if json is not None else body)
