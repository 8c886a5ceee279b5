"""The REST interface of TensorFlow Serving: /v1/models/NAME and :predict."""

from __future__ import annotations

import base64
import binascii
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from seqc_runtime.inputs import Array
from seqc_runtime.server import json_data
from seqc_runtime.server.infer_request import find_input, make_job, shown
from seqc_runtime.server.jobs import Pending
from seqc_runtime.server.json_text import parse
from seqc_runtime.server.messages import JSON_HEADER, Buffer, Head, Refusal, Response, json_response
from seqc_runtime.server.routes import Route
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.values import from_lists

if TYPE_CHECKING:
    from seqc_runtime.server.app import App

_SIGNATURE = "serving_default"
_TYPES = {"FP16": "DT_HALF", "FP32": "DT_FLOAT", "FP64": "DT_DOUBLE", "BYTES": "DT_STRING"}


def predict(app: App, head: Head, body: Buffer, model: str, version: str | None = None) -> Pending:
    """What a model gives for rows ("instances") or for columns ("inputs")."""
    servable = app.repository.get(model, version)
    parsed = parse(body, app.limits)
    request = parsed.value
    if type(request) is not dict or ("instances" in request) == ("inputs" in request):
        raise Refusal(400, "the body needs an object with 'instances', a list of rows, or 'inputs', columns by name")
    name = request.get("signature_name", _SIGNATURE)
    if name not in (_SIGNATURE, ""):
        raise Refusal(400, f"signature_name needs {_SIGNATURE!r}, the only one; got {shown(name)}")
    by_row = "instances" in request
    columns = _columns(servable, request["instances"]) if by_row else _named(servable, request["inputs"])
    rows = len(request["instances"]) if by_row else None
    feeds: dict[str, Array] = {}
    for key, data in columns.items():
        declared = find_input(servable, key, "instances[0]" if by_row else "inputs")
        plain = _plain(data) if declared.datatype == "BYTES" else data
        feeds[declared.name], _ = from_lists(plain, declared, parsed.booleans, app.limits, by_row)
    return Pending(make_job(servable, feeds, None, app.limits), partial(_respond, servable, rows))


def _named(servable: Servable, inputs: Any) -> dict[str, Any]:
    names = servable.signature.input_names
    if type(inputs) is dict and not (len(names) == 1 and set(inputs) == {"b64"}):
        return inputs
    if len(names) != 1:
        raise Refusal(400, f"inputs needs an object with the inputs {', '.join(names)}; got {shown(inputs)}")
    return {names[0]: inputs}


def _columns(servable: Servable, instances: Any) -> dict[str, Any]:
    """Rows as columns."""
    if type(instances) is not list:
        raise Refusal(400, f"instances needs a list of rows; got {shown(instances)}")
    names = servable.signature.input_names
    named = bool(instances) and type(instances[0]) is dict and set(instances[0]) != {"b64"}
    if not named:
        if len(names) != 1:
            raise Refusal(400, f"instances[0] needs an object with the inputs {', '.join(names) or 'none'}")
        return {names[0]: instances}
    keys = set(instances[0])
    for place, row in enumerate(instances):
        if type(row) is not dict or set(row) != keys:
            raise Refusal(400, f"instances[{place}] needs the keys {', '.join(sorted(keys))}, as the first row")
    return {key: [row[key] for row in instances] for key in instances[0]}


def _plain(data: Any) -> Any:
    """Texts in place of {"b64": ...}. The depth of a request is limited, so this ends."""
    if type(data) is list:
        return [_plain(item) for item in data]
    if type(data) is dict and set(data) == {"b64"}:
        try:
            return base64.b64decode(data["b64"], validate=True).decode("utf-8")
        except (binascii.Error, ValueError, TypeError) as error:
            raise Refusal(400, f"b64 needs base64 of a text in UTF-8: {error}") from error
    return data


def _respond(servable: Servable, rows: int | None, results: list[Array]) -> Response:
    """rows: of the request, None when it was by columns."""
    columns = dict(zip(servable.signature.output_names, map(json_data.nested, results), strict=True))
    if rows is None:
        content: dict[str, Any] = {"outputs": next(iter(columns.values())) if len(columns) == 1 else columns}
        return _json(content)
    if any(result.shape[:1] != (rows,) for result in results):
        raise Refusal(400, "the outputs do not have one row each per instance: send 'inputs' instead of 'instances'")
    if len(columns) == 1:
        return _json({"predictions": next(iter(columns.values()))})
    values = {name: _by_row(column) for name, column in columns.items()}
    return _json({"predictions": [{name: column[row] for name, column in values.items()} for row in range(rows)]})


def _by_row(column: Any) -> Any:
    """A value for each row that orjson writes: it does not know all of NumPy's types of single integers."""
    return (
        column.tolist() if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind in "iu" else column
    )


def _json(content: object) -> Response:
    return Response(200, [JSON_HEADER], (orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY),))


def classify(app: App, head: Head, body: Buffer, **values: str) -> Response:
    """Refuses what takes tf.Example."""
    raise Refusal(501, f"{head.path[:200]!r} is not served: it takes tf.Example; use :predict")


def models(app: App, head: Head, body: Buffer) -> Response:
    """The names of the models, as the protocol has it that KServe calls V1."""
    return json_response({"models": app.repository.names()})


def status(app: App, head: Head, body: Buffer, model: str, version: str | None = None) -> Response:
    """The versions of a model that are served."""
    versions = app.repository.versions(model)
    if version is not None:
        versions = [app.repository.get(model, version).version]
    states = [
        {"version": str(number), "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        for number in sorted(versions, reverse=True)
    ]
    return json_response({"model_version_status": states})


def metadata(app: App, head: Head, body: Buffer, model: str, version: str | None = None) -> Response:
    """The signature of a model in the words of TensorFlow Serving."""
    servable = app.repository.get(model, version)
    signature = servable.signature
    tensors = {
        role: {
            one.name: {
                "dtype": _TYPES.get(one.datatype, f"DT_{one.datatype}"),
                "tensor_shape": {
                    "dim": [{"size": str(size if isinstance(size, int) else -1), "name": ""} for size in one.shape],
                    "unknown_rank": one.any_shape,
                },
                "name": one.name,
            }
            for one in declared.values()
        }
        for role, declared in (("inputs", signature.inputs), ("outputs", signature.outputs))
    }
    signatures = {"signature_def": {_SIGNATURE: {**tensors, "method_name": "tensorflow/serving/predict"}}}
    return json_response(
        {
            "model_spec": {"name": servable.name, "signature_name": "", "version": str(servable.version)},
            "metadata": {"signature_def": signatures},
        }
    )


def label(app: App, head: Head, body: Buffer, **values: str) -> Response:
    """Refuses labels of versions."""
    raise Refusal(404, f"{head.path[:200]!r}: versions have no labels here; use /versions/NUMBER")


ROUTES = [
    *(
        Route(f"/v1/models/{{model}}{middle}:{verb}", {"POST": handler}, "infer")
        for middle in ("", "/versions/{version}")
        for verb, handler in (("predict", predict), ("classify", classify), ("regress", classify))
    ),
    Route("/v1/models/{model}/labels/{label}", {"GET": label, "POST": label}, "metadata"),
    Route("/v1/models/{model}/metadata", {"GET": metadata}, "metadata"),
    Route("/v1/models/{model}/versions/{version}/metadata", {"GET": metadata}, "metadata"),
    Route("/v1/models/{model}/versions/{version}", {"GET": status}, "metadata"),
    Route("/v1/models/{model}", {"GET": status}, "metadata"),
    Route("/v1/models", {"GET": models}, "metadata"),
]
