from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import seqc_runtime
from seqc_runtime import RuntimeModelError, RuntimeModelNotFoundError
from seqc_runtime.providers import import_onnxruntime
from seqc_runtime.wire import CHILDREN, MalformedError, read_facts

WEIGHT = np.arange(8, dtype=np.float32).reshape(4, 2)


def external(location: str, offset: int | None = None, dims: tuple[int, ...] = (4, 2), name: str = "w") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=dims, data_location=TensorProto.EXTERNAL)
    entries = {"location": location} if offset is None else {"location": location, "offset": offset, "length": 32}
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def model_of(nodes: list[Any], tensors: list[Any]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def matmul(tensor: TensorProto) -> bytes:
    result: bytes = model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], [tensor]).SerializeToString()
    return result


def refuses(given: Any, message: str, kind: type[Exception] = RuntimeModelError) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        seqc_runtime.load(given, device="cpu")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.onnx"
    refuses(path, f"there is no model file at {str(path)!r}", RuntimeModelNotFoundError)
    refuses(path, "there is no model file", FileNotFoundError)


def test_a_directory_is_no_model(tmp_path: Path) -> None:
    refuses(tmp_path, "is not a file: load() needs one .onnx file")


def test_an_empty_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    refuses(tmp_path / "empty.onnx", "empty.onnx' is empty: an ONNX model was expected")
    refuses(b"", "the model given as 0 bytes is empty")


@pytest.mark.parametrize("junk", [b"hello world, this is text", b"\x08\x08"])
def test_other_files_are_not_onnx(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "junk.onnx").write_bytes(junk)
    refuses(tmp_path / "junk.onnx", "junk.onnx' is not an ONNX model, or is damaged: ")
    refuses(junk, f"the model given as {len(junk)} bytes is not an ONNX model, or is damaged: ")


def test_a_truncated_model_is_damaged(gemm: bytes) -> None:
    refuses(gemm[:-5], "is not an ONNX model, or is damaged: it ends early")


def test_a_truncation_is_refused_or_loads_and_never_fails_otherwise(gemm: bytes) -> None:
    refused = 0
    for length in range(len(gemm)):
        try:
            seqc_runtime.load(gemm[:length], device="cpu")
        except RuntimeModelError:
            refused += 1
    assert refused > 0.9 * len(gemm)


def test_other_types_are_refused() -> None:
    refuses(7, "load() needs a path or the bytes of an ONNX model; got int", TypeError)


def test_an_unknown_device_is_refused(gemm: bytes) -> None:
    with pytest.raises(ValueError, match='device needs "auto", "cpu" or "cuda"; got \'tpu\''):
        seqc_runtime.load(gemm, device="tpu")  # type: ignore[arg-type]


def test_an_opset_from_the_future_gets_a_hint(gemm: bytes) -> None:
    model = onnx.load_from_string(gemm)
    model.opset_import[0].version = 999
    refuses(model.SerializeToString(), "(a newer onnxruntime may load it, or export it for a lower opset)")


def test_custom_operators_are_refused(make: Callable[..., bytes]) -> None:
    node = helper.make_node("Custom", ["x"], ["y"], domain="evil.example")
    model = model_of([node], [])
    model.opset_import.append(helper.make_opsetid("evil.example", 1))
    refuses(model.SerializeToString(), "cannot load the model given as")


def test_types_numpy_cannot_hold_are_refused(identity: Callable[..., bytes]) -> None:
    refuses(identity(TensorProto.BFLOAT16), "input 'x' has type tensor(bfloat16), which NumPy cannot hold")


def test_onnxruntimes_own_format_is_refused(tmp_path: Path, gemm: bytes) -> None:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(gemm, options, providers=["CPUExecutionProvider"])
    refuses(tmp_path / "model.ort", "is in onnxruntime's own ORT format")
    refuses((tmp_path / "model.ort").read_bytes(), "is in onnxruntime's own ORT format")


def test_weights_beside_the_model_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    WEIGHT.tofile(tmp_path / "w.bin")
    (tmp_path / "model.onnx").write_bytes(matmul(external("w.bin")))
    x = np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(seqc_runtime.load(tmp_path / "model.onnx").predict(x), x @ WEIGHT)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(seqc_runtime.load("model.onnx").predict(x), x @ WEIGHT)


def test_bytes_may_not_point_to_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    WEIGHT.tofile(tmp_path / "w.bin")
    monkeypatch.chdir(tmp_path)
    refuses(matmul(external("w.bin")), "keeps weights in other files ('w.bin'), which bytes cannot reach")


@pytest.mark.parametrize("kind", ["parent", "absolute", "link", "sub_parent"])
def test_weights_outside_the_models_directory_are_refused(tmp_path: Path, kind: str) -> None:
    inside = tmp_path / "models"
    (inside / "sub").mkdir(parents=True)
    WEIGHT.tofile(tmp_path / "secret.bin")
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    location, message = {
        "parent": ("../secret.bin", "which lies outside the model's own directory"),
        "absolute": (str(tmp_path / "secret.bin"), "an absolute path"),
        "link": ("link.bin", "which lies outside the model's own directory"),
        "sub_parent": ("sub/../../secret.bin", "which lies outside the model's own directory"),
    }[kind]
    (inside / "model.onnx").write_bytes(matmul(external(location)))
    refuses(inside / "model.onnx", f"keeps weights in {location!r}, {message}")


@pytest.mark.parametrize("location", ["*/_ORT_MEM_ADDR_/*", "*//_ORT_MEM_ADDR_//*", "*/_ORT_LITTLE_ENDIAN_MEM_ADDR_/*"])
def test_weights_at_a_memory_address_are_refused(tmp_path: Path, location: str) -> None:
    data = matmul(external(location, WEIGHT.ctypes.data))
    (tmp_path / "model.onnx").write_bytes(data)
    refuses(tmp_path / "model.onnx", f"keeps weights in {location!r}, which is not a file name: refused")
    refuses(data, "keeps weights in other files")


def test_missing_weights_are_named(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(matmul(external("w.bin")))
    refuses(tmp_path / "model.onnx", "keeps weights in 'w.bin', which is missing: put that file beside the model")


def test_external_data_without_a_location_is_refused() -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 2], data_location=TensorProto.EXTERNAL)
    refuses(matmul(tensor), "keeps weights in other files ('')")


def hidden_places() -> dict[str, onnx.ModelProto]:
    """One model for each place in the ONNX schema where a tensor can stand."""
    tensor = external("secret.bin")
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    in_list = helper.make_node("Constant", [], ["w"])
    in_list.attribute.append(onnx.AttributeProto(name="l", type=onnx.AttributeProto.TENSORS, tensors=[tensor]))
    branch = helper.make_graph([constant], "branch", [], [], [tensor])
    sparse = onnx.SparseTensorProto(values=tensor, indices=external("i.bin"), dims=[4, 2])
    models = {
        "initializer": model_of([], [tensor]),
        "attribute": model_of([constant], []),
        "tensors": model_of([in_list], []),
        "subgraph": model_of([helper.make_node("If", ["c"], ["y"], then_branch=branch)], []),
        "subgraphs": model_of([helper.make_node("If", ["c"], ["y"], branches=[branch])], []),
        "sparse attribute": model_of([helper.make_node("Constant", [], ["w"], sparse_value=sparse)], []),
        "sparse attributes": model_of([helper.make_node("Constant", [], ["w"], values=[sparse])], []),
        "sparse initializer": model_of([], []),
        "function": model_of([], []),
        "function attribute": model_of([], []),
        "training": model_of([], []),
        "training algorithm": model_of([], []),
    }
    models["sparse initializer"].graph.sparse_initializer.append(sparse)
    models["function"].functions.append(onnx.FunctionProto(name="f", node=[constant]))
    default = onnx.AttributeProto(name="d", type=onnx.AttributeProto.TENSOR, t=tensor)
    models["function attribute"].functions.append(onnx.FunctionProto(name="f", attribute_proto=[default]))
    models["training"].training_info.add().initialization.CopyFrom(branch)
    models["training algorithm"].training_info.add().algorithm.CopyFrom(branch)
    return models


@pytest.mark.parametrize("place", hidden_places())
def test_external_data_is_seen_wherever_it_hides(place: Any) -> None:
    assert "secret.bin" in read_facts(hidden_places()[place].SerializeToString()).external_locations


def test_every_way_to_a_tensor_in_the_onnx_schema_is_followed() -> None:
    descriptor = onnx.ModelProto.DESCRIPTOR.file
    reaches = {"TensorProto"}
    while True:
        more = {
            message.name
            for message in descriptor.message_types_by_name.values()
            for f in message.fields
            if f.message_type is not None and f.message_type.name in reaches
        } - reaches
        if not more:
            break
        reaches |= more
    for name in reaches - {"TensorProto"}:
        schema = descriptor.message_types_by_name[name]
        followed = {
            f.number: f.message_type.name for f in schema.fields if f.message_type and f.message_type.name in reaches
        }
        assert CHILDREN[name] == followed, name


def test_a_key_repeated_in_one_entry_counts_as_protobuf_reads_it() -> None:
    entry = b"\x0a\x01a" + b"\x0a\x08location" + b"\x12\x01b" + b"\x12\x05w.bin"
    tensor = b"\x6a" + bytes([len(entry)]) + entry
    graph = b"\x2a" + bytes([len(tensor)]) + tensor
    assert read_facts(b"\x3a" + bytes([len(graph)]) + graph).external_locations == {"w.bin"}


@pytest.mark.parametrize(
    "data",
    [
        b"\x3a\x02\x2b\x00",  # a group
        b"\x38\x01",  # the graph as a number
        b"\x3a\x00\x00\x01",  # field number 0
        b"\x3a\x00\xba\x80\x80\x80\x80\x01\x00",  # a tag of more than 32 bits
        b"\x3a\x00\x08" + b"\xff" * 10 + b"\x01",  # a number of more than ten bytes
        b"\x3a\x00\x12\x02\xff\xfe",  # a producer that is not text
        b"\x3a\x05\x00",  # a length beyond the end
        b"\x3a\x00\x09\x00",  # a fixed64 beyond the end
    ],
)
def test_what_a_strict_parser_refuses_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_facts(data)


def test_deep_nesting_ends_in_an_answer_not_in_a_crash() -> None:
    data = b""
    for _ in range(3000):  # GraphProto.node -> NodeProto.attribute -> AttributeProto.g -> GraphProto ...
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            data = tag + _varint(len(data)) + data
    assert read_facts(b"\x3a" + _varint(len(data)) + data).external_locations == set()


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])
