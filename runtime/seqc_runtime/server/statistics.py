"""Statistics in the form of Triton's, of what all processes of this server have counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seqc_runtime.server.messages import Buffer, Head, Response, json_response
from seqc_runtime.server.routes import Route
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.stats import BatchCount, Snapshot

if TYPE_CHECKING:
    from seqc_runtime.server.app import App


def every_model(app: App, head: Head, body: Buffer) -> Response:
    """What was counted of each model."""
    return _response(app, app.repository.names())


def model(app: App, head: Head, body: Buffer, model: str, version: str | None = None) -> Response:
    """What was counted of one model."""
    return _response(app, [model], version)


def _response(app: App, names: list[str], version: str | None = None) -> Response:
    counted = app.stats.read_all()
    entries = []
    for name in names:
        for number in [version] if version is not None else map(str, app.repository.versions(name)):
            servable = app.repository.get(name, number)
            snapshot = counted.get((name, servable.version)) or servable.counters.snapshot()
            entries.append(describe(servable, snapshot))
    return json_response({"model_stats": entries})


def describe(servable: Servable, snapshot: Snapshot) -> dict[str, Any]:
    """One version, as Triton has it. Times are nanoseconds, sums over all requests."""
    count = snapshot.success
    times = {
        "success": (count, snapshot.total_ns),
        "fail": (sum(snapshot.fail.values()), snapshot.fail_ns),
        "queue": (count, snapshot.queue_ns),
        "compute_input": (count, snapshot.input_ns),
        "compute_infer": (count, snapshot.infer_ns),
        "compute_output": (count, snapshot.output_ns),
        "cache_hit": (0, 0),
        "cache_miss": (0, 0),
    }
    return {
        "name": servable.name,
        "version": str(servable.version),
        "last_inference": snapshot.last_ms,
        "inference_count": snapshot.rows,
        "execution_count": snapshot.executions,
        "inference_stats": {name: {"count": number, "ns": ns} for name, (number, ns) in times.items()},
        "response_stats": {},
        "batch_stats": [_batch(size, batch) for size, batch in sorted(snapshot.batches.items())],
        "memory_usage": [],
    }


def _batch(size: int, batch: BatchCount) -> dict[str, Any]:
    times = {"compute_input": batch.input_ns, "compute_infer": batch.infer_ns, "compute_output": batch.output_ns}
    return {"batch_size": size, **{name: {"count": batch.count, "ns": ns} for name, ns in times.items()}}


ROUTES = [
    # In front of "/v2/models/{model}": a model of that name has /v2/models/stats/stats.
    Route("/v2/models/stats", {"GET": every_model}, "metadata"),
    Route("/v2/models/{model}/stats", {"GET": model}, "metadata"),
    Route("/v2/models/{model}/versions/{version}/stats", {"GET": model}, "metadata"),
]
