"""Models and files for property tests of the gate: made of features that meet, and changed as protobuf is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from runtime_kit.gate_models import FLOAT, MATMUL, WEIGHT, external, model_of

# Fields of a message: number, wire type, and an integer or bytes.
Message = list[tuple[int, int, int | bytes]]

LOCATIONS = [
    *("w.bin", "W.BIN", "m.onnx", "soft", "inner", "hard", "pipe", "sub", "none", "loop"),
    *("../secret.bin", "./w.bin", "sub/w.bin", "linked/secret.bin", "/etc/passwd", "~/w.bin", "//w.bin", "w.bin/"),
    *("", ".", "..", "C:w.bin", "C:\\w.bin", "..\\secret.bin", "\\\\host\\share", "w.bin\0", "w.bin ", "w.bin\n"),
    *(
        "*/_ORT_MEM_ADDR_/",
        "*",
        "file:///etc/passwd",
        "%2e%2e/secret.bin",
        "w" * 300,
        "/proc/self/environ",
        "/dev/zero",
    ),
]
ENTRIES = st.dictionaries(
    st.sampled_from(["offset", "length", "checksum", "prepacked_0", "basepath", "__class__", "Location"]),
    st.sampled_from(["0", "4", "32", "-1", "36", "9" * 19, "18446744073709551616", "0x20", "1e1", " 0", "٣", "", "x"]),
    max_size=2,
)
DIMS = st.lists(st.sampled_from([0, 1, 2, 4, 8, 7, -1, 1 << 31, 1 << 40, (1 << 63) - 1]), max_size=5)


@st.composite
def weights(draw: st.DrawFn) -> TensorProto:
    """The weight w: inside the model in any of its forms, in another file, or of a shape that is none."""
    how = draw(st.sampled_from(["raw", "raw", "typed", "external", "external", "shape", "text"]))
    if how == "raw":
        return numpy_helper.from_array(WEIGHT, "w")
    if how == "typed":
        return helper.make_tensor("w", FLOAT, [4, 2], WEIGHT.ravel().tolist())
    if how == "external":
        entries: dict[str, Any] = draw(ENTRIES)
        return external(draw(st.sampled_from(LOCATIONS)), **entries)
    if how == "text":
        return helper.make_tensor("w", TensorProto.STRING, [1], [draw(st.binary(max_size=9))])  # type: ignore[list-item]
    tensor = numpy_helper.from_array(WEIGHT, "w")
    del tensor.dims[:]
    tensor.dims.extend(draw(DIMS))
    return tensor


OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    """y = x w where nothing is wrong, w in any place of a model, under branches, in functions, beside other things."""
    tensor = draw(weights())
    place = draw(st.sampled_from(["initializer", "constant", "sparse"]))
    nodes = [helper.make_node("Constant", [], ["w"], value=tensor)] if place == "constant" else []
    if place != "sparse" and draw(st.booleans()):
        nodes.append(helper.make_node("Constant", [], ["unused"], sparse_value=draw(sparse(tensor))))
    call, functions = MATMUL, []
    for i in range(draw(st.integers(0, 3))):
        functions.append(helper.make_function("own", f"f{i}", ["x", "w"], ["y"], [call], OPSETS))
        # The next one does not exist yet, and perhaps never will, or calls this one.
        callee = draw(st.sampled_from([f"f{i}", f"f{i}", f"f{i + 1}"]))
        call = helper.make_node(callee, ["x", "w"], ["y"], domain="own")
    model = model_of([*nodes, call], [tensor] if place == "initializer" else [], functions=functions)
    if place == "sparse":
        model.graph.sparse_initializer.append(draw(sparse(tensor)))
    for depth in range(draw(st.sampled_from([0, 0, 1, 2, 9, 12]))):
        branch = onnx.GraphProto()
        branch.CopyFrom(model.graph)
        branch.name = f"b{depth}"
        del branch.input[:]
        condition = numpy_helper.from_array(np.array(draw(st.booleans())), "c")
        choice = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
        model = model_of([choice], [condition], functions=functions)
    if draw(st.booleans()):
        model.graph.node.append(helper.make_node("ConstantOfShape", ["n"], ["filled"]))
        shape = draw(DIMS)
        model.graph.initializer.append(helper.make_tensor("n", TensorProto.INT64, [len(shape)], shape))
    return model


@st.composite
def sparse(draw: st.DrawFn, tensor: TensorProto) -> onnx.SparseTensorProto:
    """A tensor's data as that of a sparse one."""
    flat = TensorProto()
    flat.CopyFrom(tensor)
    del flat.dims[:]
    flat.dims.append(8)
    indices = numpy_helper.from_array(np.array(draw(st.sampled_from([range(8), range(7, -1, -1), range(1, 9)]))), "i")
    dims = draw(st.sampled_from([[4, 2], [4, 2], [8], [1 << 40, 1], [2]]))
    return onnx.SparseTensorProto(values=flat, indices=indices, dims=dims)


def read(data: bytes) -> Message | None:
    """The fields of a message; None for what is none."""
    fields: Message = []
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag is None or tag >> 3 == 0:
            return None
        wire = tag & 7
        if wire == 0:
            number, at = _varint(data, at)
            if number is None:
                return None
            fields.append((tag >> 3, 0, number))
            continue
        size, at = (8, at) if wire == 1 else (4, at) if wire == 5 else _varint(data, at) if wire == 2 else (None, at)
        if size is None or at + size > len(data):
            return None
        fields.append((tag >> 3, wire, data[at : at + size]))
        at += size
    return fields


def write(fields: Message) -> bytes:
    """The bytes of a message."""
    parts = []
    for number, wire, content in fields:
        parts.append(varint(number << 3 | wire))
        if isinstance(content, int):
            parts.append(varint(content))
        else:
            parts += [varint(len(content)) if wire == 2 else b"", content]
    return b"".join(parts)


def varint(number: int, longer: int = 0) -> bytes:
    """A number as protobuf has it, with bytes at its end that mean nothing."""
    out = b""
    while number > 0x7F or longer:
        longer -= number <= 0x7F
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def _varint(data: bytes, at: int) -> tuple[int | None, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    return None, at


NUMBERS = st.sampled_from([0, 1, 2, 7, 8, 127, 128, 1 << 31, (1 << 32) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])


@st.composite
def changed(draw: st.DrawFn, data: bytes) -> bytes:
    """The message with a few changes, at any depth, all lengths around them as they must be."""
    for _ in range(draw(st.sampled_from([1, 1, 2, 4]))):
        data = draw(_changed(data, 12))
    return data


@st.composite
def _changed(draw: st.DrawFn, data: bytes, depth: int) -> bytes:
    fields: list[Any] | None = read(data)
    if not fields:
        return draw(st.binary(max_size=12))
    at = draw(st.integers(0, len(fields) - 1))
    number, wire, content = fields[at]
    if depth and isinstance(content, bytes) and wire == 2 and draw(st.integers(0, 3)):
        fields[at] = (number, wire, draw(_changed(content, depth - 1)))
        return write(fields)
    return draw(_changed_here(data, fields, at))


def _nested(number: int, depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        inner = write([(number, 2, inner)])
    return inner


@st.composite
def _changed_here(draw: st.DrawFn, data: bytes, fields: list[Any], at: int) -> bytes:
    number, wire, content = fields[at]
    how = draw(st.integers(0, 9))
    if how == 0:
        del fields[at]
    elif how == 1:
        fields[at:at] = [fields[at]] * draw(st.sampled_from([1, 2, 300]))
    elif how == 2:
        fields = draw(st.permutations(fields)) if len(fields) < 40 else fields[::-1]
    elif how == 3:
        fields[at] = (draw(st.integers(1, 30)), wire, content)
    elif how == 4:
        fields[at] = (number, 0, draw(NUMBERS))
    elif how == 5:
        fields.insert(at, (draw(st.sampled_from([1, 5, 19, 111, (1 << 29) - 1])), 2, draw(st.binary(max_size=8))))
    elif how == 6:  # inside itself, deeper than parsers go
        fields[at] = (number, 2, _nested(number, draw(st.sampled_from([2, 20, 120]))))
    elif how == 7 and isinstance(content, int):
        before, after = write(fields[:at]), write(fields[at + 1 :])
        return before + varint(number << 3) + varint(content, draw(st.sampled_from([1, 5, 9]))) + after
    elif how == 8:
        return write(fields)[: draw(st.integers(0, len(data)))]
    else:
        fields[at] = (number, draw(st.sampled_from([0, 1, 2, 3, 4, 5, 7])), content)
    return write(fields)
