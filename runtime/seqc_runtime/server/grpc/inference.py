"""ModelInfer: from its message to a checked job, and from the results to the answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
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
from seqc_runtime.server.oip_binary import aligned, decode, encode
from seqc_runtime.server.oip_json import Asked
from seqc_runtime.server.repeats import LARGEST, LONGEST, learn
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
# Names that clients give their requests, up to which what answers begin with is remembered.
_LONGEST_ID = 100
# No protobuf message is larger.
_MOST_BYTES = (1 << 31) - (1 << 16)


class Inference:
    """One ModelInferRequest; its `handler` takes the place of that of an HTTP request for the same model.

    raw: its bytes, empty where they are not known. deadline: on the clock time.monotonic, in seconds, or None.
    gone: set when the client has gone away.
    """

    __slots__ = ("deadline", "gone", "raw", "request")

    def __init__(self, request: Any, raw: bytes, deadline: float | None) -> None:
        self.request = request
        self.raw = raw
        self.deadline = deadline
        self.gone = False

    def handler(self, app: App, head: Head, body: Buffer, model: str, version: str | None = None) -> Pending:
        """The job of the request. Raises Refusal (400, 404)."""
        job = read_again(app.repository.get(model, version), self.request, self.raw, app.limits)
        if self.deadline is not None:
            job.deadline = self.deadline if job.deadline is None else min(job.deadline, self.deadline)
        job.gone = lambda: self.gone
        return Pending(job, lambda results: respond(job, self.request, results))


def read_again(servable: Servable, request: Any, raw: bytes, limits: Limits) -> Job:
    """The same as `read`, sooner where the request says what an earlier one did around other numbers: see `repeats`.

    raw: the bytes of the request, which end in its numbers where they are a form.
    """
    if len(raw) > LARGEST:
        return read(servable, request, limits)
    contents = request.raw_input_contents
    tail = contents[0] if len(contents) == 1 else b""
    before = raw[: len(raw) - len(tail)]
    if not tail or len(before) > LONGEST or not raw.endswith(tail):
        return read(servable, request, limits)
    form = ("gRPC", before)
    known = servable.forms.get(form)
    if known is not None and known.limits is limits:
        return known.asked(servable, aligned(np.frombuffer(tail, known.declared.dtype))).job
    job = read(servable, request, limits)
    learn(servable, form, Asked(job, request.id, ()), limits, lambda: _ends_in(type(request), before, len(tail)))
    return job


def _ends_in(kind: Any, before: bytes, size: int) -> bool:
    """Whether so many bytes behind these, whatever they are, are all that a message has as raw contents."""
    tails = (b"\0" * size, b"\xff" * size)
    return all(kind.FromString(before + tail).raw_input_contents == [tail] for tail in tails)


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
    pieces = [encode(result) for result in results]
    if sum(map(len, pieces)) > _MOST_BYTES:
        raise Refusal(413, "the answer is larger than the 2 GiB of a gRPC message: ask for fewer rows or outputs")
    declared = job.servable.signature.outputs
    outputs = tuple((name, declared[name].datatype, one.shape) for name, one in zip(job.wanted, results, strict=True))
    about = (job.servable.name, job.servable.version, request.id, outputs, _wants_final(request))
    start = _start(*about) if len(request.id) < _LONGEST_ID else _start.__wrapped__(*about)
    # Messages behind one another are one message.
    contents = ModelInferResponse(raw_output_contents=map(bytes, pieces)).SerializeToString()
    return Response(200, [], (start, contents))


@lru_cache(256)
def _start(
    name: str, version: int, identity: str, outputs: Sequence[tuple[str, str, Sequence[int]]], final: bool
) -> bytes:
    """A ModelInferResponse without what is in its tensors, serialized."""
    answer = ModelInferResponse(model_name=name, model_version=str(version), id=identity)
    for output, datatype, shape in outputs:
        answer.outputs.add(name=output, datatype=datatype, shape=shape)
    if final:
        answer.parameters["triton_final_response"].bool_param = True
    return bytes(answer.SerializeToString())


def _wants_final(request: Any) -> bool:
    """Whether a streaming client counts on being told which answer to a request is the last: the only one, here."""
    asked = request.parameters
    return "triton_enable_empty_final_response" in asked and bool(
        parameter(asked["triton_enable_empty_final_response"])
    )
