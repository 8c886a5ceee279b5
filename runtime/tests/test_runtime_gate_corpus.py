"""Files made to do harm, in the manner of those that did: each is refused by the gate, before anything loads it."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from runtime_kit.effort import effort
from runtime_kit.gate_models import FLOAT, MATMUL, WEIGHT, external, model_of, value

from seqc_runtime import RuntimeModelError
from seqc_runtime.gate import DEFAULT, Limits, admit
from seqc_runtime.gate.limits import RefusedError
from seqc_runtime.gate.scan import scan_model
from seqc_runtime.gate.schema import SCHEMA
from seqc_runtime.source import check_model
from seqc_runtime.wire import MalformedError

INT64 = TensorProto.INT64


def plain() -> onnx.ModelProto:
    return model_of([MATMUL], [numpy_helper.from_array(WEIGHT, "w")])


def refused(model: Any, message: str, limits: Limits = DEFAULT) -> None:
    start = time.perf_counter()
    given = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
    with pytest.raises(RuntimeModelError, match=message) as caught:
        admit(given, limits)
    assert "\x1b" not in str(caught.value)
    assert time.perf_counter() - start < 20


def function(name: str, op: str, domain: str = "own", times: int = 1) -> onnx.FunctionProto:
    names = ["a", *(f"t{i}" for i in range(times - 1)), "b"]
    nodes = [helper.make_node(op, [names[i]], [names[i + 1]], domain=domain) for i in range(times)]
    return helper.make_function("own", name, ["a"], ["b"], nodes, [helper.make_opsetid("", 18)])


def nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            data = tag + _varint(len(data)) + data
    return b"\x3a" + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def sparse(dims: list[int], index: list[int]) -> onnx.ModelProto:
    model = plain()
    values = helper.make_tensor("s", FLOAT, [len(index)], [1.0] * len(index))
    indices = numpy_helper.from_array(np.array(index, np.int64), "i")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, dims))
    return model


def changed(**fields: object) -> onnx.ModelProto:
    """A model whose weight has other fields."""
    model = plain()
    for name, said in fields.items():
        model.graph.initializer[0].ClearField(name)
        if isinstance(said, list):
            getattr(model.graph.initializer[0], name).extend(said)
        elif said is not None:
            setattr(model.graph.initializer[0], name, said)
    return model


def with_input(declared: onnx.ValueInfoProto) -> onnx.ModelProto:
    model = plain()
    model.graph.input.append(declared)
    return model


def with_metadata(key: str) -> onnx.ModelProto:
    model = plain()
    helper.set_model_props(model, {key: "{}"})
    return model


def for_opset(version: int) -> onnx.ModelProto:
    model = plain()
    model.opset_import[0].version = version
    return model


TOWER = [function("f0", "Relu", "", 9), *(function(f"f{i}", f"f{i - 1}", times=9) for i in range(1, 5))]
CALL = helper.make_node("f4", ["x"], ["y"], domain="own")
STRANGE = {
    "EPContext": (
        model_of([helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft")]),
        "operator 'EPContext'",
    ),
    "unknown domain": (
        model_of([helper.make_node("A\x1b[2J", ["x"], ["y"], domain="evil")]),
        r"operator 'A\\\\x1b\[2J' of domain 'evil'",
    ),
    "functions": (model_of([CALL], functions=TOWER), "more than 50000 nodes once they are written out"),
    "function of itself": (model_of([CALL], functions=[function("f4", "f4")]), "calls itself"),
    "function twice": (model_of([CALL], functions=[function("f4", "Relu", "")] * 2), "a function twice"),
    "graphs in graphs": (nested(30), "graphs 11 deep inside each other"),
    "graphs in graphs, 10000": (nested(10_000), "deep inside each other"),
    "configuration": (with_metadata("ort_config"), "its metadata has 'ort_config'"),
    "session options": (with_metadata("session.optimized_model_filepath"), "its metadata has 'session.optimized"),
    "future": (for_opset(999), "version 999 of domain ''; 40 is let in"),
    "no version": (for_opset(0), "version 0 of domain"),
    "sequence": (
        with_input(helper.make_tensor_sequence_value_info("t", FLOAT, None)),
        "input 't' is of kind 'sequence'; let in are: string, tensor",
    ),
    "no type": (with_input(onnx.ValueInfoProto(name="t")), "input 't' has no type"),
    "unknown type": (with_input(value("t", [1], 99)), "element type 99"),
    "negative size": (changed(dims=[-4, -2]), "has size -4 on an axis"),
    "size that overflows": (changed(dims=[1 << 62, 4]), "more elements than can be counted"),
    "overflow behind nothing": (changed(dims=[1 << 40, 1 << 40, 0], raw_data=b""), "more elements than can be counted"),
    "too little data": (changed(dims=[400, 2]), "needs 3200 bytes and has 32"),
    "too few numbers": (changed(raw_data=None, float_data=[1.0]), "needs 8 numbers and has 1"),
    "no data": (changed(raw_data=None), "has no data"),
    "data twice": (changed(float_data=[1.0]), "has data in float_data and raw_data"),
    "numbers of another type": (changed(raw_data=None, int64_data=[1]), "has its data in int64_data"),
    "sparse outside": (sparse([4], [4]), "has a value outside of it"),
    "sparse before": (sparse([4], [-1]), "has a value outside of it"),
    "sparse, large": (sparse([1 << 40], [0]), "larger than 26843"),
    "filled": (
        model_of(
            [helper.make_node("ConstantOfShape", ["n"], ["y"])],
            [numpy_helper.from_array(np.array([1 << 27], np.int64), "n")],
        ),
        "makes an array of shape",
    ),
    "unknown field": (plain().SerializeToString() + b"\xf8\x06\x01", "a field 111 of ModelProto"),
    "written twice": (plain().SerializeToString() + b"\x08\x08", "ir_version of ModelProto.* is written twice"),
    "graph twice": (plain().SerializeToString() + b"\x3a\x00", "is written twice"),
    "group": (plain().SerializeToString() + b"\x3b\x3c", "is not an ONNX model, or is damaged"),
    "other wire type": (b"\x0d\x08\x00\x00\x00" + plain().SerializeToString(), "damaged|twice"),
    "cut off": (plain().SerializeToString()[:-3], "it ends early"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_file_that_no_stranger_may_bring_is_refused_with_the_reason(case: Any) -> None:
    refused(*STRANGE[case])


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(file=10), "let in"),
        (Limits(weights=10), "more than 10 bytes with its weights"),
        (Limits(fields=10), "more than 10 fields"),
        (Limits(nodes=0), "more than 0 nodes"),
        (Limits(tensors=0), "has 1 inputs; 0 are let in"),
    ],
)
def test_every_limit_is_kept(tmp_path: Path, limits: Any, message: str) -> None:
    (tmp_path / "m.onnx").write_bytes(plain().SerializeToString())
    refused(tmp_path / "m.onnx", message, limits)


def save(folder: Path, tensor: TensorProto, place: str = "initializer") -> Path:
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    branch = helper.make_graph([constant], "branch", [], [value("w", None)])
    condition = numpy_helper.from_array(np.array(True), "c")
    models = {
        "initializer": lambda: model_of([MATMUL], [tensor]),
        "constant": lambda: model_of([constant, MATMUL]),
        "branch": lambda: model_of(
            [helper.make_node("If", ["c"], ["w"], then_branch=branch, else_branch=branch), MATMUL], [condition]
        ),
        "function": lambda: model_of(
            [helper.make_node("f", ["x"], ["y"], domain="own")],
            functions=[
                helper.make_function("own", "f", ["x"], ["y"], [constant, MATMUL], [helper.make_opsetid("", 18)])
            ],
        ),
        "sparse": lambda: sparse_of(tensor),
    }
    (folder / "m.onnx").write_bytes(models[place]().SerializeToString())
    return folder / "m.onnx"


def sparse_of(tensor: TensorProto) -> onnx.ModelProto:
    model = plain()
    one = TensorProto()
    one.CopyFrom(tensor)
    del one.dims[:]
    one.dims.append(8)
    indices = numpy_helper.from_array(np.arange(8), "i")
    model.graph.sparse_initializer.append(onnx.SparseTensorProto(values=one, indices=indices, dims=[8]))
    return model


PLACES = ("initializer", "constant", "branch", "function", "sparse")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    WEIGHT.tofile(tmp_path / "secret.bin")
    WEIGHT.tofile(inside / "sub" / "w.bin")
    WEIGHT.tofile(inside / "w.bin")
    (inside / "soft").symlink_to(tmp_path / "secret.bin")
    (inside / "inner").symlink_to("w.bin")
    (inside / "linked").symlink_to(tmp_path)
    os.link(tmp_path / "secret.bin", inside / "hard")
    if hasattr(os, "mkfifo"):
        os.mkfifo(inside / "pipe")
    return inside


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
@pytest.mark.parametrize("place", PLACES)
def test_weights_are_plain_files_beside_the_model_or_refused(folder: Path, place: Any) -> None:
    said = {
        "../secret.bin": "which is not the plain name of a file",
        str(folder.parent / "secret.bin"): "which is not the plain name",
        "sub/w.bin": "which is not the plain name",
        "linked/secret.bin": "which is not the plain name",
        "..\\secret.bin": "which is not the plain name",
        "*/_ORT_MEM_ADDR_/*": "which is not the plain name",
        "": "which is not the plain name",
        "..": "which is not the plain name",
        "w" * 300: "which is not the plain name",
        "soft": "which is a link",
        "inner": "which is a link",
        "hard": "which has 2 names",
        "pipe": "which is not a plain file",
        "sub": "which is not a plain file",
        "none": "which is missing",
    }
    for location, message in said.items():
        refused(save(folder, external(location), place), message)
    refused(save(folder, external("w.bin"), place).read_bytes(), "which bytes cannot reach|weights in other files")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"offset": 4}, "needs bytes 4 to 36 of 'w.bin', which has 32"),
        ({"offset": (1 << 63) - 1}, "needs bytes 9223372036854775807"),
        ({"offset": 1 << 64}, "which is no place in a file"),
        ({"offset": -1}, "has offset or length '-1'"),
        ({"offset": "0x0"}, "has offset or length '0x0'"),
        ({"length": -1}, "has offset or length '-1'"),
        ({"length": 1 << 40}, "needs 32 bytes of the file with its data and names 1099511627776"),
        ({"prepacked_0": "x"}, "says 'prepacked_0'"),
        ({"__class__": "x"}, "says '__class__'"),
    ],
)
def test_the_place_in_a_file_with_weights_is_checked(folder: Path, place: Any, entries: Any, message: str) -> None:
    refused(save(folder, external("w.bin", **entries), place), message)


def test_a_file_that_is_replaced_after_it_was_looked_at_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(folder, external("w.bin"))
    opened = os.open

    def swapped(name: Any, *arguments: Any, **more: Any) -> Any:
        if name == "w.bin":
            np.ones(8, np.float32).tofile(folder / "w.bin.new")
            os.unlink(folder / "w.bin")
            os.rename(folder / "w.bin.new", folder / "w.bin")
        return opened(name, *arguments, **more)

    monkeypatch.setattr(os, "open", swapped)
    refused(path, "which was replaced while it was looked at")


def test_a_link_put_in_place_after_a_file_was_looked_at_is_not_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(folder, external("w.bin"))
    opened = os.open

    def swapped(name: Any, *arguments: Any, **more: Any) -> Any:
        if name == "w.bin":
            os.unlink(folder / "w.bin")
            (folder / "w.bin").symlink_to(folder.parent / "secret.bin")
        return opened(name, *arguments, **more)

    monkeypatch.setattr(os, "open", swapped)
    refused(path, "which cannot be opened")


def test_a_name_with_a_path_makes_no_file_anywhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for location in ("../made", str(tmp_path / "made"), "sub/../../made"):
        refused(save(folder, external(location)), "which is not the plain name of a file")
    assert not list(tmp_path.rglob("made"))


def test_nothing_is_left_of_a_model_that_was_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    refused(save(folder, external("none")), "which is missing")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_schema_is_that_of_onnx() -> None:
    pending, seen = [onnx.ModelProto.DESCRIPTOR], {}
    while pending:
        message = pending.pop()
        if message.full_name not in seen:
            seen[message.full_name] = message
            pending += [f.message_type for f in message.fields if f.message_type]
    for full, message in seen.items():
        known = SCHEMA[full.removeprefix("onnx.")]
        # An older onnx has fewer fields.
        for f in message.fields:
            name, kind = known[f.number]
            assert name == f.name
            assert not f.message_type or kind.rstrip("*") == f.message_type.full_name.removeprefix("onnx.")


@pytest.mark.parametrize("count", [400, pytest.param(effort(4000, 20_000), marks=pytest.mark.slow)])
def test_a_changed_file_is_scanned_or_refused_and_never_fails_otherwise(count: int) -> None:
    rng = np.random.default_rng(count)
    originals = [
        model_of([CALL], functions=TOWER[:3]).SerializeToString(),
        sparse([4], [1]).SerializeToString(),
        with_metadata("words").SerializeToString(),
        model_of([MATMUL], [external("w.bin", offset=0, length=32)]).SerializeToString(),
    ]
    start, ends = time.perf_counter(), {True: 0, False: 0}
    for i in range(count):
        data = bytearray(originals[i % len(originals)])
        for _ in range(rng.integers(1, 4)):
            place = rng.integers(len(data))
            how = rng.integers(4)
            if how == 0:
                data[place] ^= 1 << rng.integers(8)
            elif how == 1:
                data[place:place] = rng.bytes(int(rng.integers(1, 12)))
            elif how == 2:
                del data[place : place + rng.integers(1, 9)]
            else:
                data[place : place + 1] = b"\xff" * 9 + b"\x7f"
        try:
            check_model(bytes(data), "it", DEFAULT.bounds)
            scan_model(bytes(data), DEFAULT)
            ends[True] += 1
        except (RefusedError, MalformedError, RuntimeModelError):
            ends[False] += 1
    assert min(ends.values()) > 0
    assert time.perf_counter() - start < count
