"""Inference requests and answers in the protocol's JSON."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import orjson

from seqc_runtime.inputs import Array
from seqc_runtime.server.datatypes import datatype
from seqc_runtime.server.jobs import Job, Pending
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import JSON_HEADER, Buffer, Refusal, Response
from seqc_runtime.server.servable import Servable


def infer(servable: Servable, body: Buffer, limits: Limits) -> Pending:
    """The job of a request in JSON. Raises Refusal (400) naming the field that is wrong."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"the body is not JSON: {error}") from error
    feeds = {given["name"]: _tensor(servable, given) for given in request["inputs"]}
    wanted = [info.name for info in servable.outputs]
    identity = request.get("id")
    job = Job(servable, feeds, wanted, rows=None)
    return Pending(job, lambda results: _respond(servable, wanted, identity, results))


def _tensor(servable: Servable, given: dict[str, Any]) -> Array:
    info = servable.input_by_name[given["name"]]
    shape = given["shape"]
    array = np.array(given["data"], info.numpy_dtype)
    if array.size != math.prod(shape):
        raise Refusal(400, f"input {info.name!r}: shape {shape} does not fit {array.size} elements of data")
    return array.reshape(shape)


def _respond(servable: Servable, wanted: list[str], identity: str | None, results: list[Array]) -> Response:
    outputs = [
        {
            "name": name,
            "datatype": datatype(servable.output_by_name[name]),
            "shape": result.shape,
            "data": np.ascontiguousarray(result).reshape(-1),
        }
        for name, result in zip(wanted, results, strict=True)
    ]
    content: dict[str, Any] = {"model_name": servable.name, "model_version": str(servable.version), "outputs": outputs}
    if identity is not None:
        content["id"] = identity
    return Response(200, [JSON_HEADER], (orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY),))
