"""Every endpoint: (app, head, body, values of the path) -> Response | Pending."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from seqc_runtime.server import live as live_counts
from seqc_runtime.server import (
    metadata,
    metrics,
    oip_binary,
    oip_json,
    openapi,
    plain,
    repeats,
    statistics,
    tfserving,
    triton,
)
from seqc_runtime.server.jobs import Pending
from seqc_runtime.server.messages import Buffer, Head, Response, json_response
from seqc_runtime.server.routes import Route

if TYPE_CHECKING:
    from seqc_runtime.server.app import App


def live(app: App, head: Head, body: Buffer) -> Response:
    """Whether the process answers at all."""
    # KServe's client decodes JSON with "live"; Triton's only looks at the status.
    return json_response({"live": True})


def ready(app: App, head: Head, body: Buffer) -> Response:
    """Whether every model may be asked."""
    now = app.repository.ready() and not app.draining and not app.waiting
    return json_response({"live": True, "ready": now}, 200 if now else 503)


def server(app: App, head: Head, body: Buffer) -> Response:
    """What this server is and which extensions of the protocol it has."""
    return json_response(metadata.server_metadata())


def model(app: App, head: Head, body: Buffer, model: str, version: str | None = None) -> Response:
    """The inputs and outputs of a model."""
    servable = app.repository.get(model, version)
    return json_response(metadata.model_metadata(servable, app.repository.versions(model)))


def model_ready(app: App, head: Head, body: Buffer, model: str, version: str | None = None) -> Response:
    """Whether a model may be asked."""
    servable = app.repository.get(model, version)
    return json_response({"name": servable.name, "ready": True})


def infer(app: App, head: Head, body: Buffer, model: str, version: str | None = None) -> Response | Pending:
    """What a model gives for the tensors in the body."""
    servable = app.repository.get(model, version)
    asked = repeats.read(servable, body, head.headers.get(oip_binary.HEADER_LENGTH), app.limits)
    return Pending(asked.job, partial(oip_binary.respond if True in asked.binary else oip_json.respond, asked))


ROUTES = [
    *statistics.ROUTES,
    *triton.ROUTES,
    *tfserving.ROUTES,
    *plain.ROUTES,
    *openapi.ROUTES,
    Route("/v2", {"GET": server}, "metadata"),
    Route("/v2/health/live", {"GET": live}, "health"),
    Route("/v2/health/ready", {"GET": ready}, "health"),
    Route("/v2/models/{model}", {"GET": model}, "metadata"),
    Route("/v2/models/{model}/versions/{version}", {"GET": model}, "metadata"),
    Route("/v2/models/{model}/ready", {"GET": model_ready}, "health"),
    Route("/v2/models/{model}/versions/{version}/ready", {"GET": model_ready}, "health"),
    Route("/v2/models/{model}/infer", {"POST": infer}, "infer"),
    Route("/v2/models/{model}/versions/{version}/infer", {"POST": infer}, "infer"),
    *live_counts.ROUTES,
    *metrics.ROUTES,
]
