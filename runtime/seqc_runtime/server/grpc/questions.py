"""Which HTTP request each method of the service stands for, so that both are answered by the same code."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from seqc_runtime.server.endpoints import model
from seqc_runtime.server.messages import Refusal


def model_path(name: str, version: str = "") -> str:
    """The path of a model, of its latest version when that is empty. Raises Refusal: 400, 404."""
    if not name:
        raise Refusal(400, "the name of the model is empty")
    for word, text in (("model", name), ("version", version)):
        # It must not lead to another path.
        if "/" in text:
            raise Refusal(404, f"there is no {word} {text[:200]!r}")
    return f"/v2/models/{name}/versions/{version}" if version else f"/v2/models/{name}"


def parameter(given: Any) -> Any:
    """The value of an InferParameter or ModelRepositoryParameter, as in JSON."""
    kind = given.WhichOneof("parameter_choice")
    value = getattr(given, kind) if kind else None
    return b64encode(value).decode() if isinstance(value, bytes) else value


@dataclass(frozen=True)
class Question:
    """One method of the service as a request over HTTP.

    method: GET or POST. path, body: of a request message. fields: of the response message, from the JSON answered.
    told: statuses besides 200 whose answer is one the response message can hold. handler: what answers, where that is
    not what is at the path.
    """

    method: str
    path: Callable[[Any], str]
    body: Callable[[Any], bytes] = lambda request: b""
    fields: Callable[[Any], Any] = lambda content: content
    told: tuple[int, ...] = ()
    handler: Callable[..., Any] | None = None


def _of_model(suffix: str) -> Callable[[Any], str]:
    return lambda request: model_path(request.name, request.version) + suffix


def _metadata_path(request: Any) -> str:
    path = model_path(request.name, request.version)
    # A model may be called so; at its path are the statistics of all.
    return f"{path}/config" if path == "/v2/models/stats" else path


def _statistics_path(request: Any) -> str:
    return f"{model_path(request.name, request.version)}/stats" if request.name else "/v2/models/stats"


def _repository_path(verb: str) -> Callable[[Any], str]:
    return lambda request: f"/v2/repository{model_path(request.model_name).removeprefix('/v2')}/{verb}"


def _parameters(request: Any) -> bytes:
    return orjson.dumps({"parameters": {name: parameter(given) for name, given in request.parameters.items()}})


QUESTIONS: Mapping[str, Question] = {
    "ServerLive": Question("GET", lambda request: "/v2/health/live"),
    "ServerReady": Question("GET", lambda request: "/v2/health/ready", told=(503,)),
    "ServerMetadata": Question("GET", lambda request: "/v2"),
    # Not an error: clients ask so until a model is there, or is gone.
    "ModelReady": Question(
        "GET", _of_model("/ready"), fields=lambda content: {"ready": content.get("ready", False)}, told=(404, 503)
    ),
    "ModelMetadata": Question("GET", _metadata_path, handler=model),
    "ModelConfig": Question("GET", _of_model("/config"), fields=lambda content: {"config": content}),
    "ModelStatistics": Question("GET", _statistics_path),
    "RepositoryIndex": Question(
        "POST",
        lambda request: "/v2/repository/index",
        body=lambda request: orjson.dumps({"ready": request.ready}),
        fields=lambda content: {"models": content},
    ),
    "RepositoryModelLoad": Question("POST", _repository_path("load"), body=_parameters, fields=lambda content: {}),
    "RepositoryModelUnload": Question("POST", _repository_path("unload"), body=_parameters, fields=lambda content: {}),
}
