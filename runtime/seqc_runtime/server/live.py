"""What the page's charts are drawn from: totals since the start, of which a reader takes the differences."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from seqc_runtime.server.messages import Buffer, Head, Response, json_response
from seqc_runtime.server.page import page
from seqc_runtime.server.routes import Route
from seqc_runtime.server.stats import BUCKETS, Snapshot, bucket_end

if TYPE_CHECKING:
    from seqc_runtime.server.app import App

_BOUNDS_US = [bucket_end(number) / 1000 for number in range(BUCKETS)]


def live(app: App, head: Head, body: Buffer) -> Response:
    """The counts of every version, and its latencies in buckets; `bounds_us` are their upper ends in microseconds."""
    models = [_model(name, version, counted) for (name, version), counted in app.stats.read_all().items()]
    return json_response({"time": time.time(), "bounds_us": _BOUNDS_US, "models": models})


def _model(name: str, version: int, counted: Snapshot) -> dict[str, Any]:
    return {
        "name": name,
        "version": str(version),
        "count": counted.success,
        "failures": sum(counted.fail.values()),
        "rows": counted.rows,
        "runs": counted.executions,
        "waiting": counted.pending,
        "buckets": counted.latency,
    }


def show(app: App, head: Head, body: Buffer) -> Response:
    """The page."""
    return page()


ROUTES = [
    Route("/", {"GET": show}, "health"),
    Route("/v2/live", {"GET": live}, "metadata"),
]
