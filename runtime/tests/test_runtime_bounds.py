"""Files made to do harm: everything a file can do wrong is a SeqcRuntimeError, and comes soon."""

from __future__ import annotations

import contextlib
import os
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import seqc_runtime
from seqc_runtime import RuntimeModelError, SeqcRuntimeError

FLOAT = TensorProto.FLOAT
OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]


def value(name: str, shape: list[Any] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, FLOAT, shape)


def model_of(nodes: list[Any], tensors: list[Any] | None = None, functions: list[Any] | None = None) -> bytes:
    graph = helper.make_graph(nodes, "g", [value("x", ["n"])], [value("y", None)], tensors or [])
    result: bytes = helper.make_model(
        graph, opset_imports=OPSETS, ir_version=8, functions=functions or []
    ).SerializeToString()
    return result


def function(name: str, nodes: list[Any]) -> onnx.FunctionProto:
    return helper.make_function("own", name, ["a"], ["b"], nodes, OPSETS)


def chain(op: str, times: int, domain: str = "own") -> list[Any]:
    names = ["a", *(f"t{i}" for i in range(times - 1)), "b"]
    return [helper.make_node(op, [a], [b], domain=domain) for a, b in pairwise(names)]


def tower(levels: int, times: int) -> bytes:
    functions = [function("f0", chain("Relu", times, ""))]
    functions += [function(f"f{i}", chain(f"f{i - 1}", times)) for i in range(1, levels)]
    top = helper.make_node(f"f{levels - 1}", ["x"], ["y"], domain="own")
    return model_of([top], functions=functions)


def refused(data: bytes, message: str) -> None:
    start = time.perf_counter()
    with pytest.raises(RuntimeModelError, match=message):
        seqc_runtime.load(data, device="cpu")
    assert time.perf_counter() - start < 5


def test_functions_that_multiply_are_refused_before_they_are_written_out() -> None:
    data = tower(10, 10)
    assert len(data) < 10_000
    refused(data, "more than 100000 nodes once they are written out")


def test_functions_in_a_reasonable_number_run() -> None:
    x = np.array([-1, 2], np.float32)
    np.testing.assert_array_equal(seqc_runtime.load(tower(3, 5), device="cpu").predict(x), [0, 2])


@pytest.mark.parametrize("cycle", [["f0"], ["f1", "f0"], ["f1", "f2", "f0"]])
def test_functions_that_call_themselves_are_refused(cycle: Any) -> None:
    functions = [function(f"f{i}", chain(callee, 1)) for i, callee in enumerate(cycle)]
    refused(model_of([helper.make_node("f0", ["x"], ["y"], domain="own")], functions=functions), "calls itself")


SIZE = numpy_helper.from_array(np.array([2_000_000_000], np.int64), "size")
CONSTANT = helper.make_node("Constant", [], ["size"], value=SIZE)
LISTED = helper.make_node("Constant", [], ["size"], value_ints=[50_000, 40_000])
TWO = helper.make_tensor("size", TensorProto.INT64, [2], [1 << 20, 1 << 20])
HUGE = {
    "ConstantOfShape": ([helper.make_node("ConstantOfShape", ["size"], ["y"])], [SIZE]),
    "of a Constant": ([CONSTANT, helper.make_node("ConstantOfShape", ["size"], ["y"])], []),
    "of a list": ([LISTED, helper.make_node("ConstantOfShape", ["size"], ["y"])], []),
    "not raw": ([helper.make_node("ConstantOfShape", ["size"], ["y"])], [TWO]),
    "Expand": ([helper.make_node("Expand", ["x", "size"], ["y"])], [SIZE]),
    "Tile": ([helper.make_node("Tile", ["x", "size"], ["y"])], [SIZE]),
    "RandomNormal": ([helper.make_node("RandomNormal", [], ["y"], shape=[1 << 20, 1 << 20])], []),
}


@pytest.mark.parametrize("case", HUGE)
def test_an_operator_that_asks_for_gigabytes_is_refused(case: Any) -> None:
    refused(model_of(*HUGE[case]), "makes an array of shape .*, larger than 10737")


def test_the_same_inside_a_function_or_branch_is_refused() -> None:
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["b"])]
    inside = function("f", [helper.make_node("Constant", [], ["size"], value=SIZE), *nodes])
    refused(
        model_of([helper.make_node("f", ["x"], ["y"], domain="own")], functions=[inside]), "makes an array of shape"
    )
    branch = helper.make_graph([CONSTANT, *nodes], "then", [], [value("b", None)])
    condition = numpy_helper.from_array(np.array(True), "c")
    choice = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    refused(model_of([choice], [condition]), "makes an array of shape")


def doubled(times: int, backwards: bool) -> list[Any]:
    """One array of 2**20 numbers, put beside itself again and again."""
    nodes = [helper.make_node("ConstantOfShape", ["million"], ["t0"])]
    nodes += [helper.make_node("Concat", [f"t{i}", f"t{i}"], [f"t{i + 1}"], axis=0) for i in range(times)]
    nodes.append(helper.make_node("ReduceMax", [f"t{times}"], ["m"], keepdims=0))
    nodes.append(helper.make_node("Add", ["x", "m"], ["y"]))
    return nodes[::-1] if backwards else nodes


MILLION = numpy_helper.from_array(np.array([1 << 20], np.int64), "million")
SIDE = numpy_helper.from_array(np.array([1 << 15, 1], np.int64), "side")
BOTTOM = numpy_helper.from_array(np.array([1, 1 << 15], np.int64), "bottom")
CHAINS = {
    "Concat": (doubled(20, False), [MILLION]),
    "Concat written backwards": (doubled(20, True), [MILLION]),
    "Tile of Tile": (
        [helper.make_node("ConstantOfShape", ["million"], ["a"])]
        + [helper.make_node("Tile", [a, "million"], [b]) for a, b in pairwise("aby")],
        [MILLION],
    ),
    "broadcasting": (
        [
            helper.make_node("ConstantOfShape", ["side"], ["s"]),
            helper.make_node("ConstantOfShape", ["bottom"], ["b"]),
            helper.make_node("Mul", ["s", "b"], ["y"]),
        ],
        [SIDE, BOTTOM],
    ),
    "Expand": (
        [helper.make_node("ConstantOfShape", ["side"], ["s"]), helper.make_node("Expand", ["s", "bottom"], ["y"])],
        [SIDE, BOTTOM],
    ),
    "sizes put together": (
        [
            helper.make_node("Concat", ["side", "bottom"], ["n"], axis=0),
            helper.make_node("ConstantOfShape", ["n"], ["y"]),
        ],
        [SIDE, BOTTOM],
    ),
}


@pytest.mark.parametrize("case", CHAINS)
def test_arrays_that_grow_from_operator_to_operator_are_refused(case: Any) -> None:
    refused(model_of(*CHAINS[case]), "makes an array of shape .*, larger than 10737")


def test_arrays_that_grow_a_little_are_let_through() -> None:
    x = np.array([1, 2], np.float32)
    np.testing.assert_array_equal(seqc_runtime.load(model_of(doubled(2, False), [MILLION]), device="cpu").predict(x), x)


def test_a_small_size_by_the_same_name_elsewhere_hides_nothing() -> None:
    def branch(size: int) -> onnx.GraphProto:
        tensor = numpy_helper.from_array(np.array([size], np.int64), "size")
        nodes = [helper.make_node("ConstantOfShape", ["size"], ["b"])]
        return helper.make_graph(nodes, "branch", [], [value("b", None)], [tensor])

    condition = numpy_helper.from_array(np.array(True), "c")
    for sizes in ((2_000_000_000, 1), (1, 2_000_000_000)):
        then, other = map(branch, sizes)
        choice = helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)
        refused(model_of([choice], [condition]), "makes an array of shape")


def test_functions_in_the_standard_domain_multiply_as_well() -> None:
    model = onnx.load_from_string(tower(10, 10))
    for function in model.functions:
        function.domain = "ai.onnx"
        for node in function.node:
            node.domain = "" if node.op_type == "Relu" else node.domain.replace("own", "")
    model.graph.node[0].domain = ""
    refused(model.SerializeToString(), "more than 100000 nodes once they are written out")


def test_the_value_that_an_array_is_filled_with_is_no_size() -> None:
    none = numpy_helper.from_array(np.array([0], np.int64), "none")
    nodes = [
        helper.make_node(
            "ConstantOfShape", ["none"], ["filled"], value=numpy_helper.from_array(np.array([1 << 40], np.int64))
        ),
        helper.make_node("ConstantOfShape", ["filled"], ["scalar"]),
        helper.make_node("Add", ["x", "scalar"], ["y"]),
    ]
    x = np.array([1, 2], np.float32)
    np.testing.assert_array_equal(seqc_runtime.load(model_of(nodes, [none]), device="cpu").predict(x), x)


def length(data: bytes) -> bytes:
    out, size = b"", len(data)
    while size > 0x7F:
        out, size = out + bytes([size & 0x7F | 0x80]), size >> 7
    return out + bytes([size]) + data


def with_attribute(attribute: bytes) -> bytes:
    """ConstantOfShape of a Constant, whose attribute is given as bytes."""
    constant = b"\x12\x04size" + b"\x22\x08Constant" + b"\x2a" + length(attribute)
    shape = helper.make_node("ConstantOfShape", ["size"], ["y"]).SerializeToString()
    graph = b"\x0a" + length(constant) + b"\x0a" + length(shape)
    model = onnx.load_from_string(model_of([]))
    return (
        b"\x3a"
        + length(graph + model.graph.SerializeToString())
        + b"".join(b"\x42" + length(opset.SerializeToString()) for opset in model.opset_import)
    )


NAMED = b"\x0a\x05value\xa0\x01\x04"
DIMS, RAW = b"\x08\x01", b"\x4a\x08" + (1 << 40).to_bytes(8, "little")


@pytest.mark.parametrize(
    "tensor",
    [
        DIMS + b"\x10\x07" + RAW,
        DIMS + b"\x10\x87\x80\x80\x80\x10" + RAW,  # a type of 2**32 + 7, of which C++ keeps 7
        DIMS + b"\x10\x07" + b"\x4a\x80\x04" + bytes(512) + RAW,  # data written twice: the last counts
    ],
)
def test_a_size_is_read_as_a_parser_in_cpp_reads_it(tensor: Any) -> None:
    refused(with_attribute(NAMED + b"\x2a" + length(tensor)), "operator ConstantOfShape makes an array")


def test_a_tensor_in_two_parts_is_refused() -> None:
    first, second = DIMS + b"\x10\x07" + RAW, b"\x42\x01n"
    refused(
        with_attribute(NAMED + b"\x2a" + length(first) + b"\x2a" + length(second)),
        "field 5 of AttributeProto, of which there is one, is written twice",
    )


def test_a_tensor_of_a_million_dimensions_is_refused_soon() -> None:
    dims = b"\x0a" + length((b"\xff" * 8 + b"\x7f") * 200_000)
    refused(with_attribute(NAMED + b"\x2a" + length(dims + b"\x10\x07")), "has more than 64 dimensions")


def test_a_sparse_weight_of_gigabytes_is_refused() -> None:
    values = helper.make_tensor("w", FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    sparse = helper.make_sparse_tensor(values, indices, [1 << 20, 1 << 20])
    model = onnx.load_from_string(model_of([helper.make_node("Identity", ["x"], ["y"])]))
    model.graph.sparse_initializer.append(sparse)
    refused(model.SerializeToString(), "a sparse tensor makes an array of shape")


def test_sizes_that_fit_are_let_through() -> None:
    size = numpy_helper.from_array(np.array([3], np.int64), "size")
    data = model_of(
        [helper.make_node("ConstantOfShape", ["size"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])], [size]
    )
    np.testing.assert_array_equal(seqc_runtime.load(data, device="cpu").predict(np.ones(3, np.float32)), np.ones(3))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(RuntimeModelError, match="is not a file"):
        seqc_runtime.load(tmp_path / "pipe.onnx")
    (tmp_path / "link.onnx").symlink_to("/dev/zero")
    with pytest.raises(RuntimeModelError, match="is not a file"):
        seqc_runtime.load(tmp_path / "link.onnx")


@pytest.mark.parametrize("path", ["a\0b", "a" * 5000])
def test_a_path_that_no_file_can_have_is_refused(path: str) -> None:
    with pytest.raises(RuntimeModelError, match="cannot be read"):
        seqc_runtime.load(path)


@pytest.mark.parametrize("location", ["w" * 5000, "loop"])
def test_a_weight_file_that_cannot_be_looked_up_is_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    (tmp_path / "m.onnx").write_bytes(model_of([helper.make_node("Add", ["x", "w"], ["y"])], [tensor]))
    with pytest.raises(RuntimeModelError, match="keeps weights in"):
        seqc_runtime.load(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"PK\x03\x04", "it is a zip archive; if it is a .keras file, export it first: seqc export"),
        (b"\x89HDF\r\n\x1a\n", "it is an HDF5 file"),
        (b"\x93NUMPY\x01\0", "it is a NumPy array"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS"),
    ],
)
def test_another_kind_of_file_is_called_what_it_is(tmp_path: Path, start: bytes, message: str) -> None:
    (tmp_path / "m.onnx").write_bytes(start + bytes(100))
    with pytest.raises(RuntimeModelError, match=message):
        seqc_runtime.load(tmp_path / "m.onnx")


def samples() -> list[bytes]:
    weight = numpy_helper.from_array(np.arange(4, dtype=np.float32), "weight")
    plain = onnx.load_from_string(model_of([helper.make_node("Mul", ["x", "weight"], ["y"])], [weight]))
    plain.producer_name = "producer"
    helper.set_model_props(plain, {"key": "a text that is long enough to be hit"})
    plain.graph.doc_string = "some words"
    shaped = [
        helper.make_node("Constant", [], ["size"], value_ints=[4]),
        helper.make_node("Expand", ["x", "size"], ["y"]),
    ]
    return [plain.SerializeToString(), tower(3, 3), model_of(shaped)]


def check(data: bytes) -> None:
    with contextlib.suppress(SeqcRuntimeError):
        loaded = seqc_runtime.load(data, device="cpu", threads=1)
        _ = loaded.metadata, repr(loaded)


@pytest.mark.parametrize("count", [60, pytest.param(1500, marks=pytest.mark.slow)])
def test_any_changed_byte_gives_a_model_or_a_runtime_error(count: int) -> None:
    rng = np.random.default_rng(count)
    originals = samples()
    for i in range(count):
        changed = bytearray(originals[i % len(originals)])
        place = rng.integers(len(changed))
        changed[place] = rng.choice([int(changed[place] ^ (1 << rng.integers(8))), 0xFF, 0x80, 0])
        check(bytes(changed))


def test_text_that_is_not_utf8_is_a_runtime_error_wherever_it_is() -> None:
    data = samples()[0]
    for word in (b"producer", b"key", b"a text", b"some words", b"weight", b"Mul"):
        start = data.index(word)
        check(data[:start] + b"\xff\xfe" + data[start + 2 :])


@pytest.mark.slow
def test_any_truncation_gives_a_model_or_a_runtime_error() -> None:
    for data in samples():
        for length in range(len(data)):
            check(data[:length])
