"""Inference in JSON: every datatype and shape gives what a bare session gives, and nothing is converted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")
from onnx import TensorProto, helper

from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Response
from seqc_runtime.server.testing import TestClient

Serve = Callable[..., TestClient]


def ask(client: TestClient, shape: Any, datatype: Any, data: Any, **more: Any) -> Response:
    tensor = {"name": "x", "shape": shape, "datatype": datatype, "data": data}
    return client.post("/v2/models/m/infer", json={"inputs": [tensor], **more})


def test_every_datatype_comes_back_as_it_was_sent(
    serve: Serve, identity: Callable[..., bytes], onnx_type: Callable[[str], int], numbers: tuple[str, str, list[Any]]
) -> None:
    name, datatype, data = numbers
    answer = ask(serve(identity(onnx_type(name))), [len(data)], datatype, data)
    assert answer.status == 200, answer.content
    (output,) = answer.json()["outputs"]
    assert (output["datatype"], output["shape"]) == (datatype, [len(data)])
    if name == "str":
        assert output["data"] == data
    else:
        assert np.array_equal(np.array(output["data"], name), np.array(data, name))
        assert np.array(output["data"], name).dtype == name


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([], [3.5]),
        ([], 3.5),
        ([0], []),
        ([2, 0, 3], []),
        ([2, 0, 3], [[], []]),
        ([1, 1, 1, 1], [[[[3.5]]]]),
        ([2, 3], [[1, 2, 3], [4, 5, 6]]),
        ([2, 3], [1, 2, 3, 4, 5, 6]),
        ([1, 2, 3], [[[1, 2, 3], [4, 5, 6]]]),
    ],
)
def test_data_may_be_flat_or_nested_as_the_shape_says(
    serve: Serve, identity: Callable[..., bytes], shape: list[Any], data: Any
) -> None:
    names = [f"n{axis}" for axis in range(len(shape))]
    answer = ask(serve(identity(TensorProto.FLOAT, names)), shape, "FP32", data)
    assert answer.status == 200, answer.content
    (output,) = answer.json()["outputs"]
    assert output["shape"] == shape
    assert output["data"] == np.array(data, np.float32).reshape(-1).tolist()


WRONG = [
    ("float32", [2], [1, "2"], "element 1 is '2'"),
    ("float32", [2], [1, True], "element 1 is true"),
    ("float32", [2], [None, 1], "element 0 is null"),
    ("float32", [2], [1, [2]], "element 1 is [2]"),
    ("float32", [2], [[1], 2], "element 0 is [1]"),
    ("float32", [2], [{}, 2], "element 0 is an object"),
    ("float32", [1], [1e39], "does not fit FP32"),
    ("float32", [1], ["nan"], "needs numbers"),
    ("float32", [3], ["NaN", 1, "2"], "element 2 is '2'"),
    ("float32", [2], ["Infinity", 1e39], "element 1, 1e+39, does not fit FP32"),
    ("float32", [2], ["NaN", True], "element 1 is true"),
    ("int64", [1], ["NaN"], "needs integers"),
    ("float16", [1], [65520.0], "does not fit FP16"),
    ("int64", [1], [2**64 - 1], "does not fit INT64"),
    ("int64", [1], [1.0], "needs integers"),
    ("int64", [1], [True], "needs integers"),
    ("int8", [1], [128], "does not fit INT8"),
    ("uint8", [1], [-1], "does not fit UINT8"),
    ("uint64", [1], [-1], "does not fit UINT64"),
    ("bool", [1], [1], "needs true or false"),
    ("bool", [1], ["true"], "needs true or false"),
    ("str", [1], [1], "needs texts"),
    ("float32", [3], [1, 2], "needs 3 elements"),
    ("float32", [1], [1, 2], "needs 1 elements"),
    ("float32", [1], 1, "data needs a list"),
    ("float32", [1], "abc", "data needs a list"),
    ("float32", [1], {"a": 1}, "data needs a list"),
    ("float32", [2], [[1, 2]], "at depth 1"),
]


@pytest.mark.parametrize(("name", "shape", "data", "message"), WRONG)
def test_no_element_is_converted(
    serve: Serve,
    identity: Callable[..., bytes],
    onnx_type: Callable[[str], int],
    name: str,
    shape: list[Any],
    data: Any,
    message: str,
) -> None:
    datatype = {"bool": "BOOL", "str": "BYTES"}.get(name, name.upper().replace("FLOAT", "FP"))
    answer = ask(serve(identity(onnx_type(name))), shape, datatype, data)
    assert answer.status == 400
    assert message in answer.json()["error"]
    assert "input 'x'" in answer.json()["error"]


def test_an_integer_beyond_64_bits_is_no_integer(serve: Serve, identity: Callable[..., bytes]) -> None:
    body = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "UINT64", "data": [18446744073709551616]}]}'
    answer = serve(identity(TensorProto.UINT64)).post("/v2/models/m/infer", body)
    assert answer.status == 400
    assert "needs integers" in answer.json()["error"]


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_floats_that_json_lacks_are_taken_as_they_are_given(
    serve: Serve, identity: Callable[..., bytes], onnx_type: Callable[[str], int], name: str
) -> None:
    client, data = serve(identity(onnx_type(name))), [1.5, "NaN", "Infinity", "-Infinity"]
    for _ in range(3):
        answer = ask(client, [4], name.upper().replace("FLOAT", "FP"), data)
        assert answer.status == 200, answer.content
        assert answer.json()["outputs"][0]["data"] == data
    assert client.post("/predict", json=data).json()["outputs"]["y"] == data


def test_json_may_begin_with_a_byte_order_mark(serve: Serve, identity: Callable[..., bytes]) -> None:
    answer = serve(identity(TensorProto.FLOAT)).post("/predict", b"\xef\xbb\xbf[1, 2]")
    assert (answer.status, answer.json()["outputs"]["y"]) == (200, [1, 2])


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e400", "[1", "01", "0x1", "1.", '"\\ud800"'])
def test_what_is_no_json_is_refused(serve: Serve, identity: Callable[..., bytes], literal: str) -> None:
    body = f'{{"inputs": [{{"name": "x", "shape": [1], "datatype": "FP32", "data": [{literal}]}}]}}'
    answer = serve(identity(TensorProto.FLOAT)).post("/v2/models/m/infer", body.encode())
    assert answer.status == 400
    assert "not JSON" in answer.json()["error"]


def test_outputs_that_are_not_finite_are_the_texts_of_protobufs_json(serve: Serve, make: Callable[..., bytes]) -> None:
    def value(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"])

    model = make([helper.make_node("Log", ["x"], ["y"])], [value("x")], [value("y")])
    (output,) = ask(serve(model), [3], "FP32", [-1, 0, 1]).json()["outputs"]
    assert output["data"] == ["NaN", "-Infinity", 0.0]
    # Which NumPy, and with it the usual clients, read back.
    read = np.array(output["data"], np.float32)
    assert math.isnan(read[0])
    assert read[1] == -np.inf


def test_a_key_that_is_there_twice_is_refused_by_its_name(serve: Serve, identity: Callable[..., bytes]) -> None:
    client = serve(identity(TensorProto.FLOAT))
    tensor = b'{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]%s}'
    twice = b'{"inputs": [' + tensor % b', "data": [2]' + b"]}"
    answer = client.post("/v2/models/m/infer", twice)
    assert answer.status == 400
    assert "'data'" in answer.json()["error"]
    # Colons and escaped quotes in texts are no keys.
    once = b'{"id": "a:b\\":\\\\", "note": {"k": [{"l:": ":"}]}, "inputs": [' + tensor % b"" + b"]}"
    answer = client.post("/v2/models/m/infer", once)
    assert answer.status == 200
    assert answer.json()["id"] == 'a:b":\\'


@pytest.mark.parametrize("nest", [b"[%s]", b'{"k":%s}', b'["[{\\"",%s]'])
def test_json_that_is_too_deep_is_refused_and_brackets_in_texts_are_no_depth(
    serve: Serve, identity: Callable[..., bytes], nest: bytes
) -> None:
    client = serve(identity(TensorProto.FLOAT), Limits(json_depth=10))

    def infer(depth: int) -> Response:
        deep = b"0"
        for _ in range(depth):
            deep = nest % deep
        text = b'{"more": %s, "inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}'
        return client.post("/v2/models/m/infer", text % deep)

    assert infer(9).status == 200
    answer = infer(10)
    assert answer.status == 400
    assert "deep" in answer.json()["error"]


def test_many_lists_are_refused_before_they_become_objects(serve: Serve, identity: Callable[..., bytes]) -> None:
    client = serve(identity(TensorProto.FLOAT), Limits(json_lists=1000))
    answer = client.post("/v2/models/m/infer", b"[" + b"[]," * 1000 + b"[]]")
    assert answer.status == 400
    assert "lists and objects" in answer.json()["error"]


def test_the_id_is_echoed_and_never_invented(serve: Serve, gemm: bytes) -> None:
    client = serve(gemm)
    assert "id" not in ask(client, [1, 4], "FP32", [1, 2, 3, 4]).json()
    assert ask(client, [1, 4], "FP32", [1, 2, 3, 4], id="").json()["id"] == ""


def test_only_the_outputs_asked_for_come_and_in_that_order(serve: Serve, two_outputs: bytes) -> None:
    client = serve(two_outputs)

    def names(*wanted: str) -> list[str]:
        outputs = [{"name": name} for name in wanted]
        return [one["name"] for one in ask(client, [1, 2], "FP32", [1, 2], outputs=outputs).json()["outputs"]]

    assert names("total") == ["total"]
    assert names("total", "negative") == ["total", "negative"]
    assert names() == ["negative", "total"]


def test_zero_rows_give_zero_rows(serve: Serve, gemm: bytes) -> None:
    (output,) = ask(serve(gemm), [0, 4], "FP32", []).json()["outputs"]
    assert (output["shape"], output["data"]) == ([0, 3], [])
