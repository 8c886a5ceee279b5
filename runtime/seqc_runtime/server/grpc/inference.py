"""ModelInfer: from its message to a checked job, and from the results to the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc_runtime.inputs import Array
from seqc_runtime.server.app import App
from seqc_runtime.server.grpc.questions import parameter
from seqc_runtime.server.grpc.schema import ModelInferResponse
from seqc_runtime.server.infer_request import check_count, check_datatype, check_shape, find_input, make_job
from seqc_runtime.server.jobs import Job, Pending
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Buffer, Head, Refusal, Response
from seqc_runtime.server.oip_binary import decode, encode
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.signature import Declared

# Where the elements of each datatype are when they do not come as bytes. FP16 has no place.
_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
# No protobuf message is larger.
_MOST_BYTES = (1 << 31) - (1 << 16)


class Inference:
    """One ModelInferRequest; its `handler` takes the place of that of an HTTP request for the same model.

    deadline: on the clock time.monotonic, in seconds, or None. gone: set when the client has gone away.
    """

    __slots__ = ("deadline", "gone", "request")

    def __init__(self, request: Any, deadline: float | None) -> None:
        self.request = request
        self.deadline = deadline
        self.gone = False

    def handler(self, app: App, head: Head, body: Buffer, model: str, version: str | None = None) -> Pending:
        """The job of the request. Raises Refusal (400, 404)."""
        job = read(app.repository.get(model, version), self.request, app.limits)
        if self.deadline is not None:
            job.deadline = self.deadline if job.deadline is None else min(job.deadline, self.deadline)
        job.gone = lambda: self.gone
        return Pending(job, lambda results: respond(job, self.request, results))


def read(servable: Servable, request: Any, limits: Limits) -> Job:
    """The job of a ModelInferRequest. Raises Refusal (400) naming the field that is wrong."""
    check_count(len(request.inputs), servable.signature.inputs, "inputs", limits)
    check_count(len(request.outputs), servable.signature.outputs, "outputs", limits)
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise Refusal(
            400, f"raw_input_contents needs one entry for each of the {len(request.inputs)} inputs; got {len(raw)}"
        )
    feeds: dict[str, Array] = {}
    for place, given in enumerate(request.inputs):
        declared = find_input(servable, given.name, f"inputs[{place}].name")
        if declared.name in feeds:
            raise Refusal(400, f"inputs[{place}].name: input {declared.name!r} is there twice")
        check_datatype(declared, given.datatype)
        shape = list(given.shape)
        count = check_shape(declared, shape, limits)
        _check_parameters(given.parameters, f"inputs[{place}].parameters")
        if not raw:
            feeds[declared.name] = _typed(given.contents, shape, count, declared)
        elif given.contents.ByteSize():
            raise Refusal(400, f"input {declared.name!r} has contents, and the request raw_input_contents: send one")
        else:
            feeds[declared.name] = decode(memoryview(raw[place]), shape, count, declared)
    for place, asked in enumerate(request.outputs):
        _check_parameters(asked.parameters, f"outputs[{place}].parameters")
    wanted = [asked.name for asked in request.outputs] or None
    timeout = request.parameters.get("timeout")
    return make_job(servable, feeds, wanted, limits, None if timeout is None else parameter(timeout))


def _check_parameters(parameters: Any, where: str) -> None:
    if "shared_memory_region" in parameters:
        raise Refusal(400, f"{where}.shared_memory_region: there is no shared memory here; send the data")
    if "classification" in parameters and parameter(parameters["classification"]):
        raise Refusal(400, f"{where}.classification is not served: ask for the output itself")


def _typed(contents: Any, shape: Sequence[int], count: int, declared: Declared) -> Array:
    """An array of the elements in InferTensorContents."""
    field = _CONTENTS.get(declared.datatype)
    odd = next((found.name for found, _ in contents.ListFields() if found.name != field), None)
    if odd or (field is None and count):
        needed = f"contents.{field} or raw_input_contents" if field else "raw_input_contents"
        raise Refusal(400, f"input {declared.name!r}: {declared.datatype} needs {needed}; got {odd or 'neither'}")
    values = getattr(contents, field) if field else ()
    if len(values) != count:
        raise Refusal(400, f"input {declared.name!r}: shape {shape} needs {count} elements; got {len(values)}")
    if declared.dtype.kind == "O":
        return _texts(values, count, declared).reshape(shape)
    if declared.dtype.kind not in "iu" or declared.dtype.itemsize >= 4:
        return np.fromiter(values, declared.dtype, count).reshape(shape)
    wide = np.fromiter(values, np.int64, count)
    limits = np.iinfo(declared.dtype)
    if count and (wide.min() < limits.min or wide.max() > limits.max):
        raise Refusal(
            400,
            f"input {declared.name!r}: {declared.datatype} needs numbers from {limits.min} to {limits.max}; got "
            f"{wide.min()} to {wide.max()}",
        )
    return wide.astype(declared.dtype).reshape(shape)


def _texts(values: Sequence[bytes], count: int, declared: Declared) -> Array:
    texts = np.empty(count, object)
    for place, value in enumerate(values):
        try:
            texts[place] = value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refusal(
                400,
                f"input {declared.name!r}: element {place} of BYTES is not UTF-8, which the model's texts are: {error}",
            ) from error
    return texts


def respond(job: Job, request: Any, results: Sequence[Array]) -> Response:
    """The ModelInferResponse, serialized. Its tensors are raw whatever those of the request were."""
    answer = ModelInferResponse(model_name=job.servable.name, model_version=str(job.servable.version), id=request.id)
    size = 0
    for name, result in zip(job.wanted, results, strict=True):
        answer.outputs.add(name=name, datatype=job.servable.signature.outputs[name].datatype, shape=result.shape)
        piece = encode(result)
        size += len(piece)
        if size > _MOST_BYTES:
            raise Refusal(413, "the answer is larger than the 2 GiB of a gRPC message: ask for fewer rows or outputs")
        answer.raw_output_contents.append(bytes(piece))
    if _wants_final(request):
        answer.parameters["triton_final_response"].bool_param = True
    return Response(200, [], (answer.SerializeToString(),))


def _wants_final(request: Any) -> bool:
    """Whether a streaming client counts on being told which answer to a request is the last: the only one, here."""
    asked = request.parameters
    return "triton_enable_empty_final_response" in asked and bool(
        parameter(asked["triton_enable_empty_final_response"])
    )
