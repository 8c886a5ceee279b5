"""The description of everything that is served, for tools: OpenAPI 3.1, with the loaded models as examples."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import seqc_runtime
from seqc_runtime.server.datatypes import DATATYPES
from seqc_runtime.server.messages import Buffer, Head, Response, json_response
from seqc_runtime.server.routes import Route
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.signature import Declared

if TYPE_CHECKING:
    from seqc_runtime.server.app import App

_MOST_EXAMPLES = 5
_LARGEST_EXAMPLE = 1000
_JSON = "application/json"
_ANY_JSON: dict[str, Any] = {}
_OBJECT = {"type": "object"}
_PARAMETERS = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
_NAME = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"}
_VERSION = {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _shaped(size: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": size}


_SCHEMAS: dict[str, Any] = {
    "Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
    "Ready": {"type": "object", "properties": {"live": {"type": "boolean"}, "ready": {"type": "boolean"}}},
    "Server": {
        "type": "object",
        "required": ["name", "version", "extensions"],
        "properties": {
            "name": {"type": "string"},
            "version": {"type": "string"},
            "extensions": _shaped({"type": "string"}),
        },
    },
    "TensorInfo": {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"},
            "datatype": {"enum": sorted(DATATYPES.values())},
            "shape": _shaped({"type": "integer", "minimum": -1}),
        },
    },
    "Model": {
        "type": "object",
        "required": ["name", "versions", "platform", "inputs", "outputs"],
        "properties": {
            "name": {"type": "string"},
            "versions": _shaped({"type": "string"}),
            "platform": {"type": "string"},
            "inputs": _shaped(_ref("TensorInfo")),
            "outputs": _shaped(_ref("TensorInfo")),
            "labels": {"type": "object", "additionalProperties": _shaped({"type": "string"})},
        },
    },
    "Tensor": {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"},
            "datatype": {"enum": sorted(DATATYPES.values())},
            "shape": _shaped({"type": "integer", "minimum": 0}),
            "parameters": _PARAMETERS,
            "data": {"description": "row-major, flat or nested as the shape says; missing where it is binary"},
        },
    },
    "Inference": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": _PARAMETERS,
            "inputs": _shaped(_ref("Tensor")),
            "outputs": _shaped(
                {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}, "parameters": _PARAMETERS},
                }
            ),
        },
    },
    "Inferred": {
        "type": "object",
        "required": ["model_name", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": _shaped(_ref("Tensor")),
        },
    },
    "Prediction": {
        "type": "object",
        "properties": {"signature_name": {"type": "string"}, "instances": {"type": "array"}, "inputs": {}},
        "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    },
}
_BINARY = {"type": "string", "contentMediaType": "application/octet-stream"}
_PLAIN_BODIES = ("application/x-npy", "application/x-npz", "text/csv", "image/png", "image/jpeg")

# (path, method) -> what it does, what it takes, what it gives; None for no body.
_ENDPOINTS: dict[tuple[str, str], tuple[str, dict[str, Any] | None, dict[str, Any]]] = {
    ("/v2", "GET"): ("About the server", None, _ref("Server")),
    ("/v2/health/live", "GET"): ("Is the process alive?", None, _ref("Ready")),
    ("/v2/health/ready", "GET"): ("Are the models ready?", None, _ref("Ready")),
    ("/v2/models", "GET"): ("The models", None, _OBJECT),
    ("/v2/models/{model}", "GET"): ("Inputs and outputs of a model", None, _ref("Model")),
    ("/v2/models/{model}/ready", "GET"): ("Is a model ready?", None, _OBJECT),
    ("/v2/models/{model}/infer", "POST"): ("Run a model on tensors", _ref("Inference"), _ref("Inferred")),
    ("/v2/models/{model}/config", "GET"): ("The configuration, in Triton's form", None, _OBJECT),
    ("/v2/models/{model}/stats", "GET"): ("Counts and times, in Triton's form", None, _OBJECT),
    ("/v2/models/stats", "GET"): ("Counts and times of all models", None, _OBJECT),
    ("/v2/repository/index", "POST"): (
        "Every version with its state",
        {"type": "object", "properties": {"ready": {"type": "boolean"}}},
        {"type": "array"},
    ),
    ("/v2/repository/models/{model}/load", "POST"): ("Load a model", _OBJECT, _OBJECT),
    ("/v2/repository/models/{model}/unload", "POST"): ("Serve a model no more", _OBJECT, _OBJECT),
    ("/v1/models", "GET"): ("The names of the models, in KServe's form", None, _OBJECT),
    ("/v1/models/{model}", "GET"): ("The state of a model, in TensorFlow Serving's form", None, _OBJECT),
    ("/v1/models/{model}/metadata", "GET"): ("The signature of a model", None, _OBJECT),
    ("/v1/models/{model}:predict", "POST"): ("Run a model on rows", _ref("Prediction"), _OBJECT),
    ("/models/{model}/predict", "POST"): ("Run a model on JSON, npy, npz, CSV or an image", _ANY_JSON, _OBJECT),
    ("/predict", "POST"): ("Run the only model on JSON, npy, npz, CSV or an image", _ANY_JSON, _OBJECT),
    ("/openapi.json", "GET"): ("This description", None, _OBJECT),
}
_VERSIONS = re.compile(r"/versions/\{version\}")


def describe(app: App, routes: Sequence[Route]) -> dict[str, Any]:
    """The document. routes: of which those that are known here are described."""
    servables = [app.repository.get(name) for name in app.repository.names()[:_MOST_EXAMPLES]]
    paths: dict[str, Any] = {}
    for route in routes:
        for method in route.methods:
            known = _ENDPOINTS.get((_VERSIONS.sub("", route.path), method))
            if known is not None:
                paths.setdefault(route.path, {})[method.lower()] = _operation(route, method, known, servables)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "seqc-runtime",
            "version": seqc_runtime.__version__,
            "description": "Inference with ONNX models: the Open Inference Protocol, Triton's extensions to it, "
            "TensorFlow Serving's REST interface, and plain POST of data.",
        },
        "paths": paths,
        "components": {"schemas": _SCHEMAS},
    }


def _operation(
    route: Route,
    method: str,
    known: tuple[str, dict[str, Any] | None, dict[str, Any]],
    servables: Sequence[Servable],
) -> dict[str, Any]:
    summary, taken, given = known
    names = re.findall(r"\{(\w+)\}", route.path)
    example = servables[0] if servables else None
    content: dict[str, Any] = {_JSON: {"schema": given}}
    if route.path.endswith("/infer"):
        content["application/octet-stream"] = {"schema": _BINARY}
    if route.path.endswith("predict") and ":" not in route.path:
        content |= {kind: {"schema": _BINARY} for kind in _PLAIN_BODIES[:3]}
    operation: dict[str, Any] = {
        "summary": summary,
        "operationId": re.sub(r"\W+", "_", f"{method.lower()}{route.path}").strip("_"),
        "parameters": [_parameter(name, example) for name in names],
        "responses": {
            "200": {"description": "done", "content": content},
            "4XX": {"description": "a mistake of the client", "content": {_JSON: {"schema": _ref("Error")}}},
            "5XX": {"description": "not now, or a mistake here", "content": {_JSON: {"schema": _ref("Error")}}},
        },
    }
    if route.path == "/v2/health/ready":
        operation["responses"]["503"] = {"description": "not ready", "content": {_JSON: {"schema": given}}}
    if taken is not None:
        operation["requestBody"] = {"required": route.scope == "infer", "content": _bodies(route, taken, servables)}
    return operation


def _parameter(name: str, example: Servable | None) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "in": "path", "required": True}
    found["schema"] = _NAME if name == "model" else _VERSION
    if example is not None:
        found["example"] = example.name if name == "model" else str(example.version)
    return found


def _bodies(route: Route, taken: dict[str, Any], servables: Sequence[Servable]) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": taken}
    bodies = {_JSON: body}
    if route.scope == "infer":
        examples = {servable.name: {"value": _example(route, servable)} for servable in servables if _small(servable)}
        if examples:
            body["examples"] = examples
        if "predict" in route.path and ":" not in route.path:
            bodies |= {kind: {"schema": _BINARY} for kind in _PLAIN_BODIES}
    return bodies


def _example(route: Route, servable: Servable) -> Any:
    declared = servable.signature.inputs.values()
    if route.path.endswith("/infer"):
        return {
            "inputs": [
                {"name": one.name, "shape": _shape(one), "datatype": one.datatype, "data": _zeros(one, [_count(one)])}
                for one in declared
            ]
        }
    return {"inputs": {one.name: _zeros(one, _shape(one)) for one in declared}}


def _shape(declared: Declared) -> list[int]:
    return [size if isinstance(size, int) else 1 for size in declared.shape]


def _count(declared: Declared) -> int:
    return math.prod(_shape(declared))


def _small(servable: Servable) -> bool:
    return sum(map(_count, servable.signature.inputs.values())) <= _LARGEST_EXAMPLE


def _zeros(declared: Declared, shape: Sequence[int]) -> Any:
    zero: Any = {"b": False, "O": "", "f": 0.0}.get(declared.dtype.kind, 0)
    for size in reversed(shape):
        zero = [zero] * size
    return zero


def document(app: App, head: Head, body: Buffer) -> Response:
    """The description of every route."""
    from seqc_runtime.server.endpoints import ROUTES as EVERY  # which has this route, too

    return json_response(describe(app, EVERY))


ROUTES = [Route("/openapi.json", {"GET": document}, "metadata")]
