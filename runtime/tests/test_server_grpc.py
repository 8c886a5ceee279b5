"""Inference over gRPC: numbers, datatypes, mistakes, streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("grpc", reason="the server speaks gRPC with grpcio")
pytest.importorskip("google.protobuf", reason="gRPC's messages are protobuf's")
pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

import orjson
from onnx import TensorProto
from runtime_kit.grpc_served import CODE, LONG, Infer, Served, output, raw, refused, served, typed

from seqc_runtime.server.testing import TestClient


@pytest.fixture
def gemm_served(gemm: bytes, two_inputs: bytes, two_outputs: bytes) -> Iterator[Served]:
    with served({"gemm": gemm, "two": two_inputs, "pair": two_outputs}) as here:
        yield here


TEXTS = np.array(["a", "", "ü€𝄞", "x" * 1000], object)
TENSORS = [
    (TensorProto.BOOL, "BOOL", "bool_contents", np.array([True, False, True])),
    *(
        (
            getattr(TensorProto, name),
            name,
            field,
            np.array([np.iinfo(name.lower()).min, 0, np.iinfo(name.lower()).max], name.lower()),
        )
        for name, field in (
            ("INT8", "int_contents"),
            ("INT16", "int_contents"),
            ("INT32", "int_contents"),
            ("INT64", "int64_contents"),
            ("UINT8", "uint_contents"),
            ("UINT16", "uint_contents"),
            ("UINT32", "uint_contents"),
            ("UINT64", "uint64_contents"),
        )
    ),
    (TensorProto.FLOAT16, "FP16", "", np.array([0.5, -65504, np.inf], np.float16)),
    (TensorProto.FLOAT, "FP32", "fp32_contents", np.array([0.1, np.nan, -np.inf, 3.4e38], np.float32)),
    (TensorProto.DOUBLE, "FP64", "fp64_contents", np.array([0.1, np.nan, 1e308])),
    (TensorProto.STRING, "BYTES", "bytes_contents", TEXTS),
]


@pytest.mark.parametrize(("kind", "datatype", "field", "array"), TENSORS, ids=[tensor[1] for tensor in TENSORS])
def test_every_datatype_goes_there_and_back(
    identity: Callable[..., bytes], kind: int, datatype: str, field: str, array: np.ndarray
) -> None:
    empty = array[:0]
    with served({"same": identity(kind)}) as here:
        requests = [(raw("same", {"x": sent}), sent) for sent in (array, empty)]
        if field:
            requests += [(typed("same", "x", sent, datatype, field), sent) for sent in (array, empty)]
        for request, sent in requests:
            answer = here.infer(request)
            assert answer.outputs[0].datatype == datatype
            np.testing.assert_array_equal(output(answer, "y", array.dtype), sent)
        if not field:
            code, said = refused(lambda: here.infer(typed("same", "x", array, datatype, "fp32_contents")))
            assert (code, said) == (
                CODE.INVALID_ARGUMENT,
                "input 'x': FP16 needs raw_input_contents; got fp32_contents",
            )


def test_an_inference_gives_the_models_numbers(
    gemm_served: Served, gemm_reference: Callable[[np.ndarray], np.ndarray]
) -> None:
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    for request in (
        raw("gemm", {"x": x}, id="seven"),
        typed("gemm", "x", x, "FP32", "fp32_contents", id="seven", model_version="1"),
    ):
        answer = gemm_served.infer(request)
        assert (answer.model_name, answer.model_version, answer.id) == ("gemm", "1", "seven")
        np.testing.assert_allclose(output(answer, "y", np.float32), gemm_reference(x), rtol=1e-6)
        assert not answer.outputs[0].HasField("contents")


def test_only_the_outputs_asked_for_come_in_the_order_asked_for(gemm_served: Served) -> None:
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    answer = gemm_served.infer(raw("pair", {"x": x}, outputs=[{"name": "total"}, {"name": "negative"}]))
    assert [tensor.name for tensor in answer.outputs] == ["total", "negative"]
    np.testing.assert_array_equal(output(answer, "total", np.float32), x.sum(1))
    answer = gemm_served.infer(raw("pair", {"x": x}, outputs=[{"name": "negative"}]))
    assert [tensor.name for tensor in answer.outputs] == ["negative"]
    assert len(answer.raw_output_contents) == 1


def test_what_clients_set_and_this_server_has_no_use_for_is_let_pass(gemm_served: Served) -> None:
    request = raw("gemm", {"x": np.ones((1, 4), np.float32)}, outputs=[{"name": "y"}])
    request.parameters["priority"].uint64_param = 3
    request.parameters["binary_data_output"].bool_param = True
    request.outputs[0].parameters["binary_data"].bool_param = True
    request.outputs[0].parameters["classification"].int64_param = 0
    assert len(gemm_served.infer(request).outputs) == 1


ONE = np.ones((1, 4), np.float32)


def _both(change: Callable[[Any], None]) -> Any:
    request = raw("gemm", {"x": ONE})
    change(request)
    return request


def _set_contents(request: Any) -> None:
    request.inputs[0].contents.fp32_contents.extend([1] * 4)


def _set_region(request: Any) -> None:
    request.inputs[0].parameters["shared_memory_region"].string_param = "shared"


REFUSED = [
    (raw("none", {"x": ONE}), CODE.NOT_FOUND, "there is no model 'none'"),
    (raw("gemm", {"x": ONE}, model_version="2"), CODE.NOT_FOUND, "has no version '2'"),
    (raw("gemm", {"x": ONE}, model_version="x"), CODE.NOT_FOUND, "has no version 'x'"),
    (raw("gemm/ready", {"x": ONE}), CODE.NOT_FOUND, "there is no model 'gemm/ready'"),
    (raw("gemm", {"x": ONE}, model_version="1/x"), CODE.NOT_FOUND, "there is no version '1/x'"),
    (raw("", {"x": ONE}), CODE.INVALID_ARGUMENT, "the name of the model is empty"),
    (Infer(model_name="gemm"), CODE.INVALID_ARGUMENT, "'x' missing"),
    (raw("gemm", {"z": ONE}), CODE.INVALID_ARGUMENT, "inputs[0].name needs the name of an input"),
    (raw("gemm", {"x": ONE.astype(np.float64)}), CODE.INVALID_ARGUMENT, "datatype needs 'FP32'; got 'FP64'"),
    (raw("gemm", {"x": ONE[:, :3]}), CODE.INVALID_ARGUMENT, "shape needs to fit FP32[batch, 4]; got [1, 3]"),
    (_both(lambda r: r.inputs.add(name="x")), CODE.INVALID_ARGUMENT, "one entry for each of the 2 inputs; got 1"),
    (_both(lambda r: r.raw_input_contents.append(b"")), CODE.INVALID_ARGUMENT, "each of the 1 inputs; got 2"),
    (_both(_set_contents), CODE.INVALID_ARGUMENT, "input 'x' has contents, and the request raw_input_contents"),
    (_both(_set_region), CODE.INVALID_ARGUMENT, "there is no shared memory here"),
    (_both(lambda r: r.inputs[0].shape.__setitem__(0, 2)), CODE.INVALID_ARGUMENT, "needs 32 bytes of FP32; got 16"),
    (_both(lambda r: r.inputs[0].shape.__setitem__(0, -1)), CODE.INVALID_ARGUMENT, "needs a list of sizes"),
    (_both(lambda r: r.inputs[0].shape.__setitem__(0, 2**62)), CODE.INVALID_ARGUMENT, f"needs {2**66} bytes"),
    (typed("gemm", "x", ONE[0], "FP32", "fp32_contents"), CODE.INVALID_ARGUMENT, "shape needs to fit"),
    (typed("gemm", "x", ONE, "FP32", "fp64_contents"), CODE.INVALID_ARGUMENT, "or raw_input_contents; got fp64_con"),
    (raw("gemm", {"x": ONE}, outputs=[{"name": "z"}]), CODE.INVALID_ARGUMENT, "outputs[0].name needs the name of"),
    (raw("gemm", {"x": ONE}, outputs=[{"name": "y"}] * 2), CODE.INVALID_ARGUMENT, "'y' is asked for twice"),
    (raw("gemm", {"x": ONE}, outputs=[{"name": "y"}] * 257), CODE.INVALID_ARGUMENT, "257 tensors; at most 256"),
    (b"\xff\xff", CODE.INVALID_ARGUMENT, "the request is no inference.ModelInferRequest message"),
]


def test_a_clients_mistakes_are_refused_with_what_is_wrong(gemm_served: Served) -> None:
    for request, code, part in REFUSED:
        found, said = refused(partial(gemm_served.infer, request))
        assert found == code, said
        assert part in said
    assert gemm_served.infer(raw("gemm", {"x": ONE})).outputs


def test_numbers_too_large_for_a_narrow_integer_are_refused(identity: Callable[..., bytes]) -> None:
    with served({"same": identity(TensorProto.INT8)}) as here:
        sent = np.array([1, 200], np.int32)
        code, said = refused(lambda: here.infer(typed("same", "x", sent, "INT8", "int_contents")))
    assert code == CODE.INVALID_ARGUMENT
    assert said == "input 'x': INT8 needs numbers from -128 to 127; got 1 to 200"


def test_texts_that_are_not_utf8_are_refused_in_either_form(identity: Callable[..., bytes]) -> None:
    with served({"same": identity(TensorProto.STRING)}) as here:
        listed, packed = Infer(model_name="same"), Infer(model_name="same")
        for request in (listed, packed):
            request.inputs.add(name="x", datatype="BYTES", shape=[1])
        listed.inputs[0].contents.bytes_contents.append(b"\xff")
        packed.raw_input_contents.append(b"\x01\0\0\0\xff")
        (code, said), other = (refused(partial(here.infer, request)) for request in (listed, packed))
    assert code == CODE.INVALID_ARGUMENT
    assert "element 0 of BYTES is not UTF-8" in said
    assert other == (code, said)


def test_grpc_and_rest_refuse_with_the_same_words(gemm_served: Served) -> None:
    rest = TestClient(gemm_served.app)
    cases: list[dict[str, Any]] = [
        {"name": "z", "datatype": "FP32", "shape": [1, 4]},
        {"name": "x", "datatype": "FP64", "shape": [1, 4]},
        {"name": "x", "datatype": "FP32", "shape": [1, 3]},
        {"name": "x", "datatype": "FP32", "shape": [-1, 4]},
    ]
    for case in cases:
        request = Infer(model_name="gemm", raw_input_contents=[ONE.tobytes()])
        request.inputs.add(**case)
        _, said = refused(partial(gemm_served.infer, request))
        answer = rest.post("/v2/models/gemm/infer", json={"inputs": [{**case, "data": [1.0] * 4}]})
        assert orjson.loads(answer.content)["error"] == said
    _, said = refused(lambda: gemm_served.infer(raw("none", {"x": ONE})))
    assert orjson.loads(rest.post("/v2/models/none/infer", b"{}").content)["error"] == said


def test_a_model_may_be_called_as_a_path_is(gemm: bytes) -> None:
    with served({"stats": gemm, "other": gemm}) as here:
        for name in ("stats", "other"):
            for version in ("", "1"):
                answer = here.call("ModelMetadata", {"name": name, "version": version})
                assert (answer.name, [one.name for one in answer.inputs]) == (name, ["x"])


def test_the_server_and_its_models_say_what_they_are(gemm_served: Served) -> None:
    assert gemm_served.call("ServerLive").live
    assert gemm_served.call("ServerReady").ready
    assert gemm_served.call("ServerMetadata").name == "seqc-runtime"
    assert gemm_served.call("ModelReady", {"name": "gemm"}).ready
    # As Triton answers: clients ask so until a model is there.
    for asked in ({"name": "none"}, {"name": "gemm", "version": "2"}, {"name": "a/b"}):
        assert gemm_served.call("ModelReady", asked).ready is False
    assert refused(lambda: gemm_served.call("ModelReady"))[0] == CODE.INVALID_ARGUMENT
    answer = gemm_served.call("ModelMetadata", {"name": "two", "version": "1"})
    assert (answer.name, list(answer.versions), answer.platform) == ("two", ["1"], "onnx_onnxv1")
    assert [(i.name, i.datatype, list(i.shape)) for i in answer.inputs] == [
        ("a", "FP32", [-1, 2]),
        ("b", "FP32", [-1, 2]),
    ]


def test_a_server_without_models_is_live_but_not_ready() -> None:
    with served({}) as here:
        assert here.call("ServerLive").live
        assert not here.call("ServerReady").ready
        assert here.call("Check", service="grpc.health.v1.Health").status == 2


def test_requests_of_one_stream_are_answered_in_order_and_a_bad_one_does_not_end_it(gemm_served: Served) -> None:
    rows = np.random.default_rng(1).standard_normal((20, 1, 2)).astype(np.float32)
    requests = [raw("pair" if n != 7 else "none", {"x": row}, id=str(n)) for n, row in enumerate(rows)]
    requests[3].parameters["triton_enable_empty_final_response"].bool_param = True
    answers = list(gemm_served.method("ModelStreamInfer")(iter(requests), timeout=LONG))
    assert [answer.infer_response.id for answer in answers] == [str(n) for n in range(20)]
    for n, (row, answer) in enumerate(zip(rows, answers, strict=True)):
        if n == 7:
            assert answer.error_message.startswith("there is no model 'none'")
        else:
            assert not answer.error_message
            np.testing.assert_array_equal(output(answer.infer_response, "negative", np.float32), -row)
        finals = answer.infer_response.parameters
        assert ("triton_final_response" in finals) == (n == 3)
