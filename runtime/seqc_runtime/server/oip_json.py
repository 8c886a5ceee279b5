"""Inference requests and answers in the protocol's JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from seqc_runtime.inputs import Array
from seqc_runtime.server import json_data
from seqc_runtime.server.infer_request import check_count, check_datatype, check_shape, find_input, make_job, shown
from seqc_runtime.server.jobs import Job
from seqc_runtime.server.json_text import Parsed, parse
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import JSON_HEADER, Buffer, Refusal, Response
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.signature import Declared

# (declared, its shape, product of the shape, its object in the header, its parameters) -> array; None for data in JSON.
Tail = Callable[[Declared, list[int], int, dict[str, Any], dict[str, Any]], Array | None]


class Asked:
    """An inference request that was read.

    job: what to run. identity: the client's id. binary: which of the wanted outputs the answer has in binary.
    """

    __slots__ = ("binary", "identity", "job")

    def __init__(self, job: Job, identity: str | None, binary: Sequence[bool]) -> None:
        self.job = job
        self.identity = identity
        self.binary = binary


def read(servable: Servable, body: Buffer, limits: Limits, tail: Tail | None = None) -> Asked:
    """Read a request.

    body: its JSON. tail: reads tensors that are not in the JSON.

    Raises Refusal (400) naming the field that is wrong.
    """
    parsed = parse(body, limits)
    request = parsed.value
    if type(request) is not dict:
        raise Refusal(400, f"the body needs an object with the key 'inputs'; got {shown(request)}")
    identity = request.get("id")
    if identity is not None and type(identity) is not str:
        raise Refusal(400, f"id needs a text; got {shown(identity)}")
    parameters = _parameters(request, "parameters")
    feeds = _inputs(servable, parsed, limits, tail)
    wanted, binary = None, None
    if request.get("outputs"):
        wanted, binary = _outputs(servable, request["outputs"], limits)
    elif request.get("outputs") not in (None, []):
        raise Refusal(400, f"outputs needs a list of objects; got {shown(request['outputs'])}")
    job = make_job(servable, feeds, wanted, limits, parameters.get("timeout"))
    everywhere = _flag(parameters, "binary_data_output", "parameters")
    if binary is None:
        return Asked(job, identity, (everywhere or False,) * len(job.wanted))
    return Asked(job, identity, [bool(everywhere if here is None else here) for here in binary])


def _inputs(servable: Servable, parsed: Parsed, limits: Limits, tail: Tail | None) -> dict[str, Array]:
    inputs = _listed(parsed.value, servable)
    check_count(len(inputs), servable.signature.inputs, "inputs", limits)
    feeds: dict[str, Array] = {}
    for place, given in enumerate(inputs):
        if type(given) is not dict:
            raise Refusal(400, f"inputs[{place}] needs an object; got {shown(given)}")
        declared = find_input(servable, given.get("name"), f"inputs[{place}].name")
        if declared.name in feeds:
            raise Refusal(400, f"inputs[{place}].name: input {declared.name!r} is there twice")
        check_datatype(declared, given.get("datatype"))
        shape: Any = given.get("shape")
        count = check_shape(declared, shape, limits)
        array = None
        if tail or "parameters" in given:
            own = _parameters(given, f"inputs[{place}].parameters")
            if tail is None:
                _refuse_size(own, declared.name)
            else:
                array = tail(declared, shape, count, given, own)
        if array is None:
            if "data" not in given:
                raise Refusal(400, f"input {declared.name!r}: data is missing")
            values = json_data.flatten(given["data"], shape, count, declared)
            array = json_data.to_array(values, shape, declared, parsed.booleans)
        feeds[declared.name] = array
    return feeds


def _listed(request: dict[str, Any], servable: Servable) -> list[Any]:
    inputs = request.get("inputs")
    if inputs is None and not servable.signature.inputs:
        return []  # some clients leave out what is empty
    if type(inputs) is list:
        return inputs
    if "inputs" not in request:
        raise Refusal(400, "the body needs the key 'inputs', a list of objects with name, shape, datatype and data")
    raise Refusal(400, f"inputs needs a list of objects; got {shown(inputs)}")


def _refuse_size(parameters: dict[str, Any], name: str) -> None:
    """Refuses an array that is said to stand behind the JSON where there is none."""
    if parameters.get("binary_data_size") is not None:
        raise Refusal(
            400,
            f"input {name!r}: parameters.binary_data_size needs the header "
            "Inference-Header-Content-Length, which says where the JSON ends",
        )


def _outputs(servable: Servable, outputs: object, limits: Limits) -> tuple[list[object], list[bool | None]]:
    if type(outputs) is not list:
        raise Refusal(400, f"outputs needs a list of objects; got {shown(outputs)}")
    check_count(len(outputs), servable.signature.outputs, "outputs", limits)
    names: list[object] = []
    binary: list[bool | None] = []
    for place, given in enumerate(outputs):
        if type(given) is not dict:
            raise Refusal(400, f"outputs[{place}] needs an object; got {shown(given)}")
        where = f"outputs[{place}].parameters"
        own = _parameters(given, where)
        if own.get("classification"):
            raise Refusal(400, f"{where}.classification is not served: ask for the output itself")
        names.append(given.get("name"))
        binary.append(_flag(own, "binary_data", where))
    return names, binary


def _parameters(holder: dict[str, Any], where: str) -> dict[str, Any]:
    parameters = holder.get("parameters")
    if parameters is None:
        return {}
    if type(parameters) is not dict:
        raise Refusal(400, f"{where} needs an object; got {shown(parameters)}")
    for key, value in parameters.items():
        if isinstance(value, list | dict):
            raise Refusal(400, f"{where}.{key[:100]} needs a text, a number, true or false; got {shown(value)}")
    if "shared_memory_region" in parameters:
        raise Refusal(400, f"{where}.shared_memory_region: there is no shared memory here; send the data")
    return parameters


def _flag(parameters: dict[str, Any], key: str, where: str) -> bool | None:
    value = parameters.get(key)
    if value is not None and type(value) is not bool:
        raise Refusal(400, f"{where}.{key} needs true or false; got {shown(value)}")
    return value


def respond(asked: Asked, results: Sequence[Array]) -> Response:
    """The answer, all of it JSON."""
    outputs = [describe(asked, name, result) for name, result in zip(asked.job.wanted, results, strict=True)]
    for output, result in zip(outputs, results, strict=True):
        output["data"] = result.reshape(-1) if result.dtype.kind == "f" else json_data.to_json(result)
    content = answer(asked, outputs)
    text = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    if b"null" in text:  # what NaN and infinities become; looking into the text is faster than into every array
        for output, result in zip(outputs, results, strict=True):
            output["data"] = json_data.to_json(result)
        text = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(200, [JSON_HEADER], (text,))


def answer(asked: Asked, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    """The object around the outputs. The id is only there when the client sent one."""
    servable = asked.job.servable
    content: dict[str, Any] = {
        "model_name": servable.name,
        "model_version": str(servable.version),
        "outputs": outputs,
    }
    if asked.identity is not None:
        content["id"] = asked.identity
    return content


def describe(asked: Asked, name: str, result: Array) -> dict[str, Any]:
    """An output without its data."""
    declared = asked.job.servable.signature.outputs[name]
    return {"name": name, "datatype": declared.datatype, "shape": result.shape}
