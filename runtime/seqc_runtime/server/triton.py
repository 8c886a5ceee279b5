"""What Triton adds to the protocol: the model repository, configurations, statistics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from seqc_runtime.server.config import BACKEND, PLATFORM, ModelConfig
from seqc_runtime.server.infer_request import shown
from seqc_runtime.server.jobs import Blocking
from seqc_runtime.server.json_text import parse
from seqc_runtime.server.messages import Buffer, Head, Refusal, Response, json_response
from seqc_runtime.server.repository import describe_index
from seqc_runtime.server.routes import Route
from seqc_runtime.server.servable import Batching, Servable
from seqc_runtime.server.signature import Declared

if TYPE_CHECKING:
    from seqc_runtime.server.app import App


def models(app: App, head: Head, body: Buffer) -> Response:
    """Every model with the versions that can be used, and the state of those that cannot."""
    return json_response({"models": describe_index(app.repository.index())})


def config(app: App, head: Head, body: Buffer, model: str, version: str | None = None) -> Response:
    """The configuration of a model as Triton tells it."""
    return json_response(model_config(app.repository.get(model, version), app.limits.rows))


def model_config(servable: Servable, rows: int) -> dict[str, Any]:
    """A model's configuration in the form of Triton's.

    rows: the most of one request; they are `max_batch_size` when axis 0 is the batch, which shapes then leave out, and
    not the only axis of an input.
    """
    signature = servable.signature
    outputs = signature.outputs.values()
    # An input of one axis would have no dims, from which perf_analyzer cannot make a shape.
    batched = all(len(one.shape) > 1 for one in signature.inputs.values()) and signature.batched
    batched = batched and all(one.shape and isinstance(one.shape[0], str) for one in outputs)
    content: dict[str, Any] = {
        "name": servable.name,
        "platform": PLATFORM,
        "backend": BACKEND,
        "version_policy": _policy(servable.config),
        "max_batch_size": rows if batched else 0,
        "input": [
            {**_tensor(one, batched), "format": "FORMAT_NONE", "optional": False} for one in signature.inputs.values()
        ],
        "output": [{**_tensor(one, batched), "label_filename": "", "is_shape_tensor": False} for one in outputs],
        "instance_group": [{"name": servable.name, "kind": f"KIND_{_kind(servable)}", "count": 1}],
        "default_model_filename": servable.config.file,
        "parameters": _parameters_of(servable.batching),
        "model_transaction_policy": {"decoupled": False},
    }
    if batched and servable.max_batch > 1:
        delay = round(servable.batching.max_delay * 1e6)
        content["dynamic_batching"] = {"max_queue_delay_microseconds": delay}
    return content


def _policy(config: ModelConfig) -> dict[str, Any]:
    """Which versions are served."""
    if config.versions is not None:
        return {"specific": {"versions": sorted(config.versions)}}
    return {"all": {}} if config.latest is None else {"latest": {"num_versions": config.latest}}


def _parameters_of(batching: Batching) -> dict[str, Any]:
    """How requests run together.

    So many rows at most, and how far answers may be from those given alone, relative to the largest number of the
    output (0: the same bits).
    """
    said = {"batching_rows": batching.max_rows, "batching_tolerance": batching.tolerance}
    return {name: {"string_value": f"{value:g}"} for name, value in said.items()} if batching.max_rows > 1 else {}


def _kind(servable: Servable) -> str:
    return "GPU" if servable.model.device == "cuda" else "CPU"


def _tensor(declared: Declared, batched: bool) -> dict[str, Any]:
    name = "STRING" if declared.datatype == "BYTES" else declared.datatype
    dims = [size if isinstance(size, int) else -1 for size in declared.shape[batched:]]
    return {"name": declared.name, "data_type": f"TYPE_{name}", "dims": dims}


def index(app: App, head: Head, body: Buffer) -> Response:
    """The models of the repository, or those of them that are ready."""
    asked = _object(body, app)
    ready = asked.get("ready", False)
    if type(ready) is not bool:
        raise Refusal(400, f"ready needs true or false; got {shown(ready)}")
    return json_response(app.repository.index(ready))


def load(app: App, head: Head, body: Buffer, model: str) -> Blocking:
    """Loads a model, or loads it again, where models are loaded on request."""
    _check_explicit(app)
    for name in _parameters(body, app):
        what = "files come from the repository's folder" if name.startswith("file:") else "it is not served"
        raise Refusal(400, f"parameters.{name[:100]}: {what}")
    return Blocking(partial(_done, app.repository.load, model))


def unload(app: App, head: Head, body: Buffer, model: str) -> Blocking:
    """Unloads a model where models are loaded on request."""
    _check_explicit(app)
    for name in _parameters(body, app):
        if name != "unload_dependents":  # no model depends on another here
            raise Refusal(400, f"parameters.{name[:100]}: it is not served")
    return Blocking(partial(_done, app.repository.unload, model))


def _done(change: Callable[[str], None], model: str) -> Response:
    change(model)
    return json_response({})


def _check_explicit(app: App) -> None:
    if not app.repository.explicit:
        raise Refusal(400, "models are loaded and unloaded on request only with --model-control explicit")


def _object(body: Buffer, app: App) -> dict[str, Any]:
    asked = parse(body, app.limits).value if len(body) else {}
    if type(asked) is not dict:
        raise Refusal(400, f"the body needs an object; got {shown(asked)}")
    return asked


def _parameters(body: Buffer, app: App) -> dict[str, Any]:
    parameters = _object(body, app).get("parameters") or {}
    if type(parameters) is not dict:
        raise Refusal(400, f"parameters needs an object; got {shown(parameters)}")
    return parameters


def not_served(app: App, head: Head, body: Buffer, **values: str) -> Response:
    """Refuses what there is nothing to set for."""
    raise Refusal(501, f"{head.path[:200]!r} is not served: there is no shared memory, tracing or logging to set")


def no_text(app: App, head: Head, body: Buffer, **values: str) -> Response:
    """Refuses to generate text."""
    raise Refusal(501, f"{head.path[:200]!r} is not served: it is for models of language; POST tensors to .../infer")


_REGION_VERBS = ("register", "unregister", "status")
_ANY = {"GET": not_served, "POST": not_served}

ROUTES = [
    Route("/v2/models", {"GET": models}, "metadata"),
    Route("/v2/models/{model}/config", {"GET": config}, "metadata"),
    Route("/v2/models/{model}/versions/{version}/config", {"GET": config}, "metadata"),
    Route("/v2/repository/index", {"POST": index}, "metadata"),
    Route("/v2/repository/models/{model}/load", {"POST": load}, "admin"),
    Route("/v2/repository/models/{model}/unload", {"POST": unload}, "admin"),
    *(Route(f"/v2/models/{{model}}/{verb}", {"POST": no_text}, "infer") for verb in ("generate", "generate_stream")),
    *(Route(f"/v2/{kind}sharedmemory/status", {"GET": not_served}, "metadata") for kind in ("system", "cuda")),
    *(
        Route(f"/v2/{kind}sharedmemory/{what}", _ANY, "admin")
        for kind in ("system", "cuda")
        for what in ("register", "unregister", *(f"region/{{region}}/{verb}" for verb in _REGION_VERBS))
    ),
    Route("/v2/trace/setting", _ANY, "admin"),
    Route("/v2/models/{model}/trace/setting", _ANY, "admin"),
    Route("/v2/logging", _ANY, "admin"),
]
