"""Inference for people and small scripts: POST what you have, JSON, npy, npz, CSV or an image, and get numbers.

The content-type says what comes, `accept` what goes back. One sample without a batch axis gives one answer without it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import numpy as np
import orjson

from seqc_runtime.inputs import Array, cast
from seqc_runtime.server import json_data
from seqc_runtime.server.infer_request import check_shape, find_input, make_job
from seqc_runtime.server.jobs import Pending
from seqc_runtime.server.json_text import parse
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import JSON_HEADER, Buffer, Head, Refusal, Response
from seqc_runtime.server.metadata import class_labels
from seqc_runtime.server.pictures import read_picture
from seqc_runtime.server.plain_files import read_csv, read_npy, read_npz, write_csv
from seqc_runtime.server.routes import Route
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.signature import Declared
from seqc_runtime.server.values import fit, from_lists

if TYPE_CHECKING:
    from seqc_runtime.server.app import App

Found = tuple[dict[str, Array], bool]
_JSON, _NPY, _NPZ, _CSV = "application/json", "application/x-npy", "application/x-npz", "text/csv"
_ANSWERS = (_JSON, _NPY, _NPZ, _CSV)
_SAME = {"application/npy": _NPY, "application/octet-stream+npy": _NPY, "application/npz": _NPZ, "": _JSON}
_EVERYTHING = ", ".join((_JSON, _NPY, _NPZ, _CSV, "image/png", "image/jpeg"))


def predict(app: App, head: Head, body: Buffer, model: str | None = None, version: str | None = None) -> Pending:
    """What a model gives for a body of any kind in `_READERS`, or a picture, in the kind that the client accepts."""
    servable = app.repository.get(model if model is not None else _only(app), version)
    kind = _media(head.headers.get("content-type", ""))
    read = _READERS.get(kind)
    if read is None and kind.startswith("image/"):
        read = _image
    if read is None:
        raise Refusal(415, f"content-type needs one of {_EVERYTHING}; got {kind[:100]!r}")
    wanted = _accepted(head.headers.get("accept", ""))
    feeds, alone = read(servable, body, head, app.limits)
    job = make_job(servable, feeds, None, app.limits)
    if wanted == _NPY and len(job.wanted) > 1:
        raise Refusal(406, f"accept: {_NPY} has one array, and there are {len(job.wanted)} outputs: accept {_NPZ}")
    return Pending(job, partial(_respond, servable, wanted, alone))


def _only(app: App) -> str:
    names = app.repository.names()
    if len(names) != 1:
        raise Refusal(404, f"/predict is for the only model, and there are {len(names)}: POST to /models/NAME/predict")
    return names[0]


def _media(text: str) -> str:
    kind = text.partition(";")[0].strip().lower()
    # What command line tools send when nobody told them anything.
    return _JSON if kind == "application/x-www-form-urlencoded" else _SAME.get(kind, kind)


def _accepted(accept: str) -> str:
    """The first that can be written, of those a client names."""
    for part in accept.split(","):
        kind = _media(part) if part.strip() else "*/*"
        if kind in ("*/*", "application/*"):
            return _JSON
        if kind in _ANSWERS:
            return kind
        if kind == "text/*":
            return _CSV
    raise Refusal(406, f"accept needs one of {', '.join(_ANSWERS)}; got {accept[:100]!r}")


def _json(servable: Servable, body: Buffer, head: Head, limits: Limits) -> Found:
    parsed = parse(body, limits)
    data = parsed.value
    names = servable.signature.input_names
    if type(data) is dict:
        if set(data) in ({"instances"}, {"inputs"}) and not set(data) & set(names):
            data = next(iter(data.values()))
        if type(data) is dict:
            return _by_name(servable, data, parsed.booleans, limits)
    if type(data) is list and data and all(type(row) is dict for row in data):
        keys = set(data[0])
        for place, row in enumerate(data):
            if set(row) != keys:
                raise Refusal(400, f"row {place} needs the keys {', '.join(sorted(keys))}, as the first")
        columns = {key: [row[key] for row in data] for key in data[0]}
        return _by_name(servable, columns, parsed.booleans, limits, rows=True)
    declared = _single(servable, "a list")
    array, alone = from_lists(data, declared, parsed.booleans, limits)
    return {declared.name: array}, alone


def _by_name(servable: Servable, data: dict[str, Any], booleans: bool, limits: Limits, rows: bool = False) -> Found:
    feeds: dict[str, Array] = {}
    lonely = []
    for key, value in data.items():
        declared = find_input(servable, key, "the body")
        feeds[declared.name], alone = from_lists(value, declared, booleans, limits, rows)
        lonely.append(alone)
    return feeds, bool(lonely) and all(lonely)


def _single(servable: Servable, what: str) -> Declared:
    names = servable.signature.input_names
    if not names:
        raise Refusal(400, f"the body is {what}, and the model has no inputs: send {{}} as JSON")
    if len(names) != 1:
        raise Refusal(400, f"the body is {what}, and the model has the inputs {', '.join(names)}: give them by name")
    return servable.signature.inputs[names[0]]


def _shaped(array: Array, declared: Declared, limits: Limits) -> tuple[Array, bool]:
    """An array that came as one, in the declared dtype and shape; numbers that do not fit are refused, as in JSON."""
    shape, alone = fit(declared, list(array.shape))
    check_shape(declared, shape, limits)
    try:
        with np.errstate(over="raise"):
            return cast(array, declared.info).reshape(shape), alone
    except FloatingPointError as error:
        raise Refusal(
            400, f"input {declared.name!r}: needs {declared}; the array has numbers that do not fit it"
        ) from error


def _npy(servable: Servable, body: Buffer, head: Head, limits: Limits) -> Found:
    declared = _single(servable, "one array")
    array, alone = _shaped(read_npy(body, limits), declared, limits)
    return {declared.name: array}, alone


def _npz(servable: Servable, body: Buffer, head: Head, limits: Limits) -> Found:
    feeds: dict[str, Array] = {}
    lonely = []
    for name, array in read_npz(body, servable.signature, limits).items():
        declared = find_input(servable, name, "the file")
        feeds[declared.name], alone = _shaped(array, declared, limits)
        lonely.append(alone)
    return feeds, bool(lonely) and all(lonely)


def _csv(servable: Servable, body: Buffer, head: Head, limits: Limits) -> Found:
    declared = _single(servable, "a table")
    array = read_csv(body, declared, limits, _header(head.headers.get("content-type", "")))
    return {declared.name: _shaped(array, declared, limits)[0]}, False


def _header(kind: str) -> bool | None:
    """Whether a first line holds names, as `text/csv; header=...` says (RFC 4180); None when it says nothing."""
    for part in kind.split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "header":
            said = value.strip().strip('"').lower()
            if said not in ("present", "absent"):
                raise Refusal(400, f"header of text/csv needs present or absent; got {said[:100]!r}")
            return said == "present"
    return None


def _image(servable: Servable, body: Buffer, head: Head, limits: Limits) -> Found:
    declared = _single(servable, "an image")
    options = dict(parse_qsl(head.query))
    scale = options.get("scale", servable.model.metadata.get("image_scale", "1"))
    layout = servable.model.metadata.get("seqc.input_layout")
    array = read_picture(body, declared, scale, layout, limits)
    check_shape(declared, list(array.shape), limits)
    return {declared.name: array}, True


_READERS: dict[str, Callable[[Servable, Buffer, Head, Limits], Found]] = {
    _JSON: _json,
    _NPY: _npy,
    _NPZ: _npz,
    _CSV: _csv,
}


def _respond(servable: Servable, wanted: str, alone: bool, results: list[Array]) -> Response:
    if alone:
        # Not result[0], which of a list of texts is no array.
        results = [result.reshape(result.shape[1:]) if result.shape[:1] == (1,) else result for result in results]
    names = servable.signature.output_names
    if wanted == _JSON:
        return _json_answer(servable, results, names)
    file = io.BytesIO()
    if wanted == _CSV:
        return Response(200, [("content-type", "text/csv; charset=utf-8")], (write_csv(names, results, alone),))
    if any(result.dtype.kind == "O" for result in results):
        raise Refusal(406, f"texts cannot be written as {wanted}: accept {_JSON}")
    if wanted == _NPY:
        np.save(file, results[0], allow_pickle=False)
    else:
        arrays: dict[str, Any] = dict(zip(names, results, strict=True))
        np.savez(file, **arrays)
    return Response(200, [("content-type", wanted)], (file.getvalue(),))


def _json_answer(servable: Servable, results: list[Array], names: list[str]) -> Response:
    content: dict[str, Any] = {"model": servable.name, "version": str(servable.version)}
    content["outputs"] = {name: json_data.nested(result) for name, result in zip(names, results, strict=True)}
    labels = class_labels(servable)
    chosen = {
        name: np.array(labels[name], object)[np.argmax(result, axis=-1)]
        for name, result in zip(names, results, strict=True)
        if name in labels and result.size
    }
    if chosen:
        content["classes"] = {
            name: one.tolist() if isinstance(one, np.ndarray) else one for name, one in chosen.items()
        }
        content["labels"] = {name: labels[name] for name in chosen}
    return Response(200, [JSON_HEADER], (orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY),))


ROUTES = [
    Route("/predict", {"POST": predict}, "infer"),
    Route("/models/{model}/predict", {"POST": predict}, "infer"),
    Route("/models/{model}/versions/{version}/predict", {"POST": predict}, "infer"),
]
