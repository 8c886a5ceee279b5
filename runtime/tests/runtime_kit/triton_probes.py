"""Requests that are sent to Triton and to our server, to compare their answers."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

X = np.arange(8, dtype="<f4").reshape(2, 4)
A = np.arange(6, dtype="<f4").reshape(3, 2)
N = np.array([[1, -2, 2**40]], "<i8")
# A classifier, a difference of two inputs, and whole numbers as they come: m (relu of a Gemm), sub, whole.
INFER = "/v2/models/m/infer"
LENGTH = "inference-header-content-length"


@dataclass(frozen=True)
class Probe:
    """A request. `expected`: outputs by name, where it is one that both answer with numbers."""

    name: str
    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    expected: tuple[str, ...] = ()


def tensor(called: str, array: np.ndarray, /, **changes: Any) -> dict[str, Any]:
    kind = {"f": "FP32", "i": "INT64"}[array.dtype.kind]
    made = {"name": called, "shape": list(array.shape), "datatype": kind, "data": array.ravel().tolist(), **changes}
    return {key: value for key, value in made.items() if value is not ...}


def x(**changes: Any) -> dict[str, Any]:
    return tensor("x", X, **changes)


def js(name: str, content: Any, path: str = INFER, expected: tuple[str, ...] = (), **headers: str) -> Probe:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Probe(
        name, "POST", path, content if isinstance(content, bytes) else json.dumps(content).encode(), named, expected
    )


def binary(name: str, content: Any, data: bytes, length: str | None = None, expected: tuple[str, ...] = ()) -> Probe:
    header = json.dumps(content).encode()
    told = {LENGTH: str(len(header)) if length is None else length}
    return Probe(name, "POST", INFER, header + data, told, expected)


def bare(**parameters: Any) -> dict[str, Any]:
    return x(data=..., parameters={"binary_data_size": X.nbytes, **parameters})


def asking(**parameters: Any) -> dict[str, Any]:
    return {"inputs": [x()], "outputs": [{"name": "y", "parameters": parameters}]}


def get(path: str) -> Probe:
    return Probe(f"GET {path}", "GET", path)


PLACES = [
    get(path)
    for path in (
        "/v2", "/v2/", "/v2/health/live", "/v2/health/ready", "/v2/models/m", "/v2/models/m/versions/1",
        "/v2/models/m/versions/2", "/v2/models/m/versions/0", "/v2/models/m/versions/a", "/v2/models/none",
        "/v2/models/m/ready", "/v2/models/m/versions/1/ready", "/v2/models/none/ready", "/v2/models/m/versions/9/ready",
        "/v2/models/m/config", "/v2/models/m/versions/1/config", "/v2/models/none/config", "/v2/models/m/stats",
        "/v2/models/m/versions/1/stats", "/v2/models/stats", "/v2/models/none/stats", "/v2/nothing", "/nothing",
        "/v2/models", "/v2/models/", "/v2/models/m/infer", "/v2/models/m/versions/1/infer", "/v3/models/m",
        "/v2/models/m/nothing", "/v2/models/sub", "/v2/models/whole/config", "/v2/models/%6d",
        "/v2/models/m/versions/01", "/v2/models/m/versions/-1", "/v2/models/m/versions/99999999999999999999",
    )
]  # fmt: skip
METHODS = [
    Probe(f"{method} {path}", method, path)
    for method, path in (
        ("POST", "/v2"), ("POST", "/v2/health/live"), ("POST", "/v2/models/m"), ("DELETE", "/v2/models/m"),
        ("PUT", INFER), ("DELETE", INFER), ("GET", "/v2/repository/index"),
    )
]  # fmt: skip
REPOSITORY = [
    js("index", {}, "/v2/repository/index"),
    Probe("index without a body", "POST", "/v2/repository/index"),
    js("index of what is ready", {"ready": True}, "/v2/repository/index"),
    js("index with bad JSON", b"{", "/v2/repository/index"),
    js("load without control", {}, "/v2/repository/models/m/load"),
    js("unload without control", {}, "/v2/repository/models/m/unload"),
]
ANSWERED = [
    js("infer", {"inputs": [x()]}, expected=("y",)),
    js("infer of a version", {"inputs": [x()]}, "/v2/models/m/versions/1/infer", ("y",)),
    js("infer with an id", {"id": "a b", "inputs": [x()]}, expected=("y",)),
    js("infer with nested data", {"inputs": [x(data=X.tolist())]}, expected=("y",)),
    js("infer with an output named", {"inputs": [x()], "outputs": [{"name": "y"}]}, expected=("y",)),
    js("infer with whole numbers for floats", {"inputs": [x(data=list(range(8)))]}, expected=("y",)),
    js("infer of one row", {"inputs": [x(shape=[1, 4], data=[0, 1, 2, 3])]}, expected=("y",)),
    js("infer with parameters", {"inputs": [x(parameters={"a": 1})], "parameters": {"b": "c"}}, expected=("y",)),
    js("infer with unknown keys", {"inputs": [x(more=1)], "more": [1]}, expected=("y",)),
    js("infer of two inputs", {"inputs": [tensor("b", A), tensor("a", A * 3)]}, "/v2/models/sub/infer", ("y",)),
    js("infer of whole numbers", {"inputs": [tensor("x", N)]}, "/v2/models/whole/infer", ("y",)),
    js("infer with a type told", {"inputs": [x()]}, expected=("y",), content_type="application/json"),
    js("infer with another type told", {"inputs": [x()]}, expected=("y",), content_type="text/plain"),
    js("binary output", asking(binary_data=True), expected=("y",)),
    js("binary outputs", {"inputs": [x()], "parameters": {"binary_data_output": True}}, expected=("y",)),
    js(
        "an output's own word goes first",
        {**asking(binary_data=False), "parameters": {"binary_data_output": True}},
        expected=("y",),
    ),
    binary("binary input", {"inputs": [bare()]}, X.tobytes(), expected=("y",)),
    binary("binary both ways", {**asking(binary_data=True), "inputs": [bare()]}, X.tobytes(), expected=("y",)),
    binary("JSON with its length", {"inputs": [x()]}, b"", expected=("y",)),
    Probe("raw request", "POST", INFER, X[:1].tobytes(), {LENGTH: "0"}, ("y",)),
    js(
        "gzip", gzip.compress(json.dumps({"inputs": [x()]}).encode(), mtime=0), expected=("y",), content_encoding="gzip"
    ),
    js("deflate", zlib.compress(json.dumps({"inputs": [x()]}).encode()), expected=("y",), content_encoding="deflate"),
]
REFUSED = [
    js("no body", b""),
    js("bad JSON", b'{"inputs": ['),
    js("a list", []),
    js("a number", b"7"),
    js("no inputs", {}),
    js("inputs of another kind", {"inputs": 1}),
    js("empty inputs", {"inputs": []}),
    js("an input of another kind", {"inputs": [1]}),
    js("no name", {"inputs": [x(name=...)]}),
    js("a name of another kind", {"inputs": [x(name=1)]}),
    js("an unknown input", {"inputs": [x(name="z")]}),
    js("an input twice", {"inputs": [x(), x()]}),
    js("an input too few", {"inputs": [tensor("a", A)]}, "/v2/models/sub/infer"),
    js("no datatype", {"inputs": [x(datatype=...)]}),
    js("another datatype", {"inputs": [x(datatype="INT32", data=list(range(8)))]}),
    js("a datatype that is none", {"inputs": [x(datatype="FLOAT")]}),
    js("no shape", {"inputs": [x(shape=...)]}),
    js("a shape of another kind", {"inputs": [x(shape="2,4")]}),
    js("a negative size", {"inputs": [x(shape=[-2, 4])]}),
    js("a size that is no whole number", {"inputs": [x(shape=[2.5, 4])]}),
    js("another rank", {"inputs": [x(shape=[8])]}),
    js("another size", {"inputs": [x(shape=[4, 2])]}),
    js("a shape that overflows", {"inputs": [x(shape=[2**62, 8])]}),
    js("more rows than max_batch_size", {"inputs": [x(shape=[65, 4], data=[0.0] * 260)]}),
    js("no rows", {"inputs": [x(shape=[0, 4], data=[])]}),
    js("no data", {"inputs": [x(data=...)]}),
    js("data too short", {"inputs": [x(data=[1, 2])]}),
    js("data too long", {"inputs": [x(data=[0] * 9)]}),
    js("data of another kind", {"inputs": [x(data="abc")]}),
    js("texts for numbers", {"inputs": [x(data=["1"] * 8)]}),
    js("null among numbers", {"inputs": [x(data=[None] * 8)]}),
    js("objects among numbers", {"inputs": [x(data=[{}] * 8)]}),
    js("NaN", b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[NaN,1,2,3]}]}'),
    js("1e400", b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1e400,1,2,3]}]}'),
    js("a fraction for whole numbers", {"inputs": [tensor("x", N, data=[1.5, 2, 3])]}, "/v2/models/whole/infer"),
    js("a number beyond INT64", {"inputs": [tensor("x", N, data=[2**63, 2, 3])]}, "/v2/models/whole/infer"),
    js("deeply nested", b'{"inputs":' + b"[" * 120 + b"]" * 120 + b"}"),
    js("an unknown output", {"inputs": [x()], "outputs": [{"name": "z"}]}),
    js("an output twice", {"inputs": [x()], "outputs": [{"name": "y"}, {"name": "y"}]}),
    js("outputs of another kind", {"inputs": [x()], "outputs": 1}),
    js("an output without a name", {"inputs": [x()], "outputs": [{}]}),
    js("an id of another kind", {"id": 7, "inputs": [x()]}),
    js("parameters of another kind", {"inputs": [x()], "parameters": 1}),
    js("an unknown model", {"inputs": [x()]}, "/v2/models/none/infer"),
    js("an unknown version", {"inputs": [x()]}, "/v2/models/m/versions/9/infer"),
    binary("a length that is no number", {"inputs": [bare()]}, X.tobytes(), "abc"),
    binary("a length beyond the body", {"inputs": [bare()]}, X.tobytes(), "99999999999"),
    binary("a negative length", {"inputs": [bare()]}, X.tobytes(), "-5"),
    binary("a length too short", {"inputs": [bare()]}, X.tobytes(), "10"),
    binary("binary data too short", {"inputs": [bare()]}, X.tobytes()[:-4]),
    binary("binary data too long", {"inputs": [bare()]}, X.tobytes() + b"1234"),
    binary("a binary size that does not fit", {"inputs": [bare(binary_data_size=28)]}, X.tobytes()[:28]),
    binary("a negative binary size", {"inputs": [bare(binary_data_size=-1)]}, X.tobytes()),
    binary("a binary size of another kind", {"inputs": [bare(binary_data_size="32")]}, X.tobytes()),
    binary("data both ways at once", {"inputs": [x(parameters={"binary_data_size": 32})]}, X.tobytes()),
    Probe("a raw request that does not fit", "POST", INFER, X.tobytes()[:15], {LENGTH: "0"}),
    Probe("an empty raw request", "POST", INFER, b"", {LENGTH: "0"}),
    js("bad gzip", b"no gzip", content_encoding="gzip"),
    js("an unknown encoding", {"inputs": [x()]}, content_encoding="br"),
    js("not UTF-8", b'{"inputs": "\xff"}'),
]
# Triton does not survive this one.
LAST = js("a huge shape", {"inputs": [x(shape=[2**40, 4])]})
PROBES = [*PLACES, *METHODS, *REPOSITORY, *ANSWERED, *REFUSED, LAST]
