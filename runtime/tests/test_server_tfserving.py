"""The REST interface of TensorFlow Serving."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")
from onnx import TensorProto, helper

from seqc_runtime.server.testing import TestClient

Serve = Callable[..., TestClient]
PREDICT = "/v1/models/m:predict"


@pytest.mark.parametrize("path", [PREDICT, "/v1/models/m/versions/1:predict"])
def test_rows_and_columns_give_the_models_numbers(
    serve: Serve, gemm: bytes, gemm_reference: Callable[[np.ndarray], np.ndarray], path: str
) -> None:
    client = serve(gemm)
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    for key, answer_key, rows in (
        ("instances", "predictions", x.tolist()),
        ("instances", "predictions", [{"x": row} for row in x.tolist()]),
        ("inputs", "outputs", x.tolist()),
        ("inputs", "outputs", {"x": x.tolist()}),
    ):
        answer = client.post(path, json={"signature_name": "serving_default", key: rows})
        assert answer.status == 200, answer.content
        assert np.allclose(answer.json()[answer_key], gemm_reference(x), atol=1e-6)


def test_several_inputs_and_outputs_have_their_names(serve: Serve, two_inputs: bytes, two_outputs: bytes) -> None:
    rows = [{"a": [3, 4], "b": [1, 1]}, {"a": [1, 2], "b": [0, 0]}]
    assert serve(two_inputs).post(PREDICT, json={"instances": rows}).json() == {"predictions": [[2, 3], [1, 2]]}
    client = serve(two_outputs)
    by_row = client.post(PREDICT, json={"instances": [[1, 2], [3, 4]]}).json()["predictions"]
    assert by_row == [{"negative": [-1, -2], "total": 3}, {"negative": [-3, -4], "total": 7}]
    by_column = client.post(PREDICT, json={"inputs": [[1, 2], [3, 4]]}).json()["outputs"]
    assert by_column == {"negative": [[-1, -2], [-3, -4]], "total": [3, 7]}


def test_every_datatype_is_answered_by_row_and_by_column(
    serve: Serve, make: Callable[..., bytes], numbers: Any, onnx_type: Callable[[str], int]
) -> None:
    """From one output, and from several of one axis and of two."""
    name, _, values = numbers
    kind = onnx_type(name)
    for outputs in (["a"], ["b"], ["a", "b", "c"]):
        shapes: dict[str, list[Any]] = {"a": ["n"], "b": ["n", 1], "c": ["n", 1, 1]}
        made = {
            "a": helper.make_node("Identity", ["x"], ["a"]),
            "b": helper.make_node("Unsqueeze", ["x", "one"], ["b"]),
            "c": helper.make_node("Unsqueeze", ["x", "both"], ["c"]),
        }
        client = serve(
            make(
                [made[one] for one in outputs],
                [helper.make_tensor_value_info("x", kind, ["n"])],
                [helper.make_tensor_value_info(one, kind, shapes[one]) for one in outputs],
                {"one": np.array([1]), "both": np.array([1, 2])},
            )
        )
        by_row = client.post(PREDICT, json={"instances": values}).json()["predictions"]
        by_column = client.post(PREDICT, json={"inputs": values}).json()["outputs"]
        if len(outputs) > 1:
            by_row = {one: [row[one] for row in by_row] for one in outputs}
        else:
            by_row, by_column = {outputs[0]: by_row}, {outputs[0]: by_column}
        for one in outputs:
            wanted = np.array(values, object if name == "str" else name).reshape([-1, *shapes[one][1:]])
            for found in (by_row[one], by_column[one]):
                np.testing.assert_array_equal(np.array(found, wanted.dtype), wanted, strict=True)


def test_bytes_come_in_base64(serve: Serve, identity: Callable[..., bytes]) -> None:
    client = serve(identity(TensorProto.STRING))
    encoded = {"b64": base64.b64encode("é".encode()).decode()}
    for instances in ([encoded, "b"], [{"x": encoded}, {"x": "b"}]):
        assert client.post(PREDICT, json={"instances": instances}).json() == {"predictions": ["é", "b"]}


def test_the_status_and_the_signature_of_a_model(serve: Serve, gemm: bytes) -> None:
    client = serve(gemm)
    for path in ("/v1/models/m", "/v1/models/m/versions/1"):
        (state,) = client.get(path).json()["model_version_status"]
        assert (state["version"], state["state"], state["status"]["error_code"]) == ("1", "AVAILABLE", "OK")
    content = client.get("/v1/models/m/metadata").json()
    signature = content["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert [size["size"] for size in signature["inputs"]["x"]["tensor_shape"]["dim"]] == ["-1", "4"]


WRONG: list[tuple[Any, str]] = [
    ({}, "'instances'"),
    ([], "'instances'"),
    ({"instances": [[1, 2, 3, 4]], "inputs": {}}, "'instances'"),
    ({"instances": 1}, "a list of rows"),
    ({"instances": [[1, 2, 3]]}, "needs to fit FP32[batch, 4]"),
    ({"instances": [[1, 2, 3, 4], [1, 2, 3]]}, "lists of 3"),
    ({"instances": [[1, 2, 3, "4"]]}, "element 3 is '4'"),
    ({"instances": [{"z": [1, 2, 3, 4]}]}, "needs the name of an input"),
    ({"instances": [{"x": [1, 2, 3, 4]}, {"z": 1}]}, "instances[1]"),
    ({"instances": [[1, 2, 3, 4]], "signature_name": "other"}, "serving_default"),
    ({"inputs": {"z": 1}}, "needs the name of an input"),
]


@pytest.mark.parametrize(("request_", "message"), WRONG)
def test_mistakes_are_400(serve: Serve, gemm: bytes, request_: Any, message: str) -> None:
    answer = serve(gemm).post(PREDICT, json=request_)
    assert answer.status == 400
    assert message in answer.json()["error"]


def test_what_tensorflow_alone_has_is_501_and_unknown_versions_404(serve: Serve, gemm: bytes) -> None:
    client = serve(gemm)
    assert client.post("/v1/models/m:classify", json={}).status == 501
    assert client.post("/v1/models/m/versions/2:predict", json={"instances": []}).status == 404
    assert client.get("/v1/models/m/labels/stable").status == 404
