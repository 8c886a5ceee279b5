"""Whatever a stranger's file is, looking at it is cheap, what is let in has one reading, and nothing else comes out."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from runtime_kit.effort import effort
from runtime_kit.gate_models import MATMUL, WEIGHT, model_of

pytest.importorskip("hypothesis", reason="models are made by hypothesis")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runtime_kit.gate_fuzz import changed, models, varint
from runtime_kit.gate_scans import Scanner, look_at

import seqc_runtime
from seqc_runtime import RuntimeModelError, SeqcRuntimeError, gate
from seqc_runtime.gate import Limits
from seqc_runtime.providers import import_onnxruntime

linux = pytest.mark.skipif(sys.platform != "linux", reason="measured with Linux's /proc")
X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
LENIENT: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "derandomize": True,
    "database": None,
}


@pytest.fixture(scope="module")
def scanner() -> Iterator[Scanner]:
    scan = Scanner()
    yield scan
    scan.close()


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A model's file, changed or not."""
    data = draw(models()).SerializeToString()
    return draw(changed(data)) if draw(st.integers(0, 3)) else data


def check_cost(found: dict[str, Any], size: int) -> None:
    """A small file costs what its size allows. Bounds are ten times what is usual."""
    assert found["seconds"] < 1 + 30e-6 * size
    assert found["bytes"] < (24 << 20) + 160 * size


def locations(message: object) -> set[str]:
    """What onnx's own parser reads of the places of tensors, anywhere in a message."""
    found: set[str] = set()
    pending: list[Any] = [message]
    while pending:
        one = pending.pop()
        if isinstance(one, TensorProto) and (one.data_location or one.external_data):
            found.add(next((entry.value for entry in one.external_data if entry.key == "location"), ""))
        for field, content in one.ListFields():
            if field.message_type is not None:
                pending += content if field.is_repeated else [content]
    return found


def operators(model: onnx.ModelProto) -> set[str]:
    found: set[str] = set()
    pending: list[Any] = [model]
    while pending:
        one = pending.pop()
        found |= {one.op_type} if isinstance(one, onnx.NodeProto) and one.op_type else set()
        for field, content in one.ListFields():
            if field.message_type is not None:
                pending += content if field.is_repeated else [content]
    return found


def check_one_reading(found: dict[str, Any], data: bytes) -> None:
    if "refused" not in found:
        model = onnx.ModelProto.FromString(data)
        assert set(found["locations"]) == locations(model)
        # An operator without a name is one that onnxruntime refuses.
        assert set(found["operators"]) - {""} == operators(model)


@linux
@pytest.mark.parametrize("count", [40, pytest.param(effort(80, 150), marks=pytest.mark.slow)])
def test_looking_at_any_file_is_cheap_and_what_is_let_in_is_what_onnx_reads(scanner: Scanner, count: int) -> None:
    seen = {True: 0, False: 0}

    @settings(max_examples=count, **LENIENT)
    @given(data=files())
    def look(data: bytes) -> None:
        found = scanner(data)
        check_cost(found, len(data))
        check_one_reading(found, data)
        seen["refused" in found] += 1

    look()
    assert min(seen.values()) > count / 20


def node(op: str, inputs: list[str], output: str, more: bytes = b"") -> bytes:
    parts = [field(1, name.encode()) for name in inputs] + [field(2, output.encode()), field(4, op.encode()), more]
    return field(1, b"".join(parts))


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def graph(body: bytes) -> bytes:
    return b"\x08\x08" + field(8, b"\x10\x12") + field(7, body)


TILED = field(5, b"\x08\x02\x10\x07" + field(8, b"r") + field(9, np.array([0, 1 << 62], "<i8").tobytes()))
EMPTY = field(5, b"\x08\x00\x08\x01\x10\x01" + field(8, b"t0"))
ALONG_1 = field(5, field(1, b"axis") + b"\x18\x01")


def chain(op: str, inputs: list[str], count: int, more: bytes = b"") -> bytes:
    return b"".join(node(op, [name.format(i) for name in inputs], f"t{i + 1}", more) for i in range(count))


BOMBS = {
    "thousands of nodes that make and take one name": graph(node("Add", ["a", "a"], "a") * 6000),
    "thousands of nodes that make and take two names": graph(
        (node("Add", ["a", "b"], "a") + node("Mul", ["b", "a"], "b")) * 3000
    ),
    "sizes that grow behind an axis of size 0": graph(TILED + EMPTY + chain("Tile", ["t{}", "r"], 6000)),
    "joined with itself behind an axis of size 0": graph(EMPTY + chain("Concat", ["t{}", "t{}"], 4000, ALONG_1)),
    "sizes written one by one": graph(field(5, b"\x08\x01" * 40_000)),
    "attributes written one by one": graph(node("Relu", ["a"], "b", field(5, field(1, b"z") + b"\x40\x01" * 40_000))),
    "nodes of nothing": graph(b"\x0a\x00" * 40_000),
    "names of nothing": graph(node("Relu", [""] * 40_000, "b")),
    "texts of nothing": graph(field(5, varint(8) + varint(40_000) + b"\x10\x08" + b"\x32\x00" * 40_000)),
    "functions of nothing": graph(b"") + field(25, field(1, b"f") + field(10, b"own")) * 20_000,
}


@pytest.mark.slow
@linux
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_file_made_to_be_expensive_is_not(scanner: Scanner, bomb: Any) -> None:
    check_cost(scanner(BOMBS[bomb]), len(BOMBS[bomb]))


def test_a_file_with_more_fields_than_are_looked_at_is_refused_before_anything_else_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate, "check_model", lambda *_: pytest.fail("all of the file was looked at"))
    with pytest.raises(RuntimeModelError, match="more than 1000 fields"):
        gate.admit(graph(b"\x0a\x00" * 4000), Limits(fields=1000))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # where onnx makes its cases
def test_every_case_of_onnx_is_read_as_onnx_reads_it() -> None:
    from onnx.backend.test.case.node import collect_testcases

    every_kind = Limits(kinds=frozenset({"tensor", "string", "sequence", "map", "optional", "sparse"}))
    refused = set()
    cases = collect_testcases(None)
    for case in cases:
        assert case.model is not None
        data = case.model.SerializeToString()
        found = look_at(data, every_kind)
        check_one_reading(found, data)
        if "refused" in found:
            refused.add(case.name)
            assert "of domain 'ai.onnx.preview" in found["refused"]
    assert len(cases) > 1000
    assert len(refused) < 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder full of traps around one honest file."""
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    (tmp_path / "secret.bin").write_bytes(b"secret" * 6)
    WEIGHT.tofile(inside / "w.bin")
    WEIGHT.tofile(inside / "sub" / "w.bin")
    for name, target in {"soft": "../secret.bin", "inner": "w.bin", "linked": "..", "loop": "loop"}.items():
        (inside / name).symlink_to(target)
    os.link(tmp_path / "secret.bin", inside / "hard")
    if hasattr(os, "mkfifo"):
        os.mkfifo(inside / "pipe")
    return inside


@pytest.mark.parametrize("count", [30, pytest.param(effort(60, 100), marks=pytest.mark.slow)])
def test_no_place_named_in_a_model_leads_out_of_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder.parent))
    # The process that would try the model costs half a second, and has no part in this.
    monkeypatch.setattr(gate, "try_model", lambda *_: ())
    let_in = [0]

    @settings(max_examples=count, **LENIENT)
    @given(model=models())
    def admit(model: onnx.ModelProto) -> None:
        (folder / "m.onnx").write_bytes(model.SerializeToString())
        try:
            source = gate.admit(folder / "m.onnx")
        except SeqcRuntimeError:
            return
        let_in[0] += 1
        assert source.admission is not None
        assert source.admission.held is not None
        held = source.admission.held.path
        for copied in held.iterdir():
            assert copied.name in ("m.onnx", "w.bin")
            assert not copied.is_symlink()
            assert copied.read_bytes() == (folder / copied.name).read_bytes()
        source.admission.held.close()

    admit()
    assert let_in[0] > count / 20
    assert (folder.parent / "secret.bin").read_bytes() == b"secret" * 6
    assert {path.name for path in folder.parent.iterdir()} == {"inside", "secret.bin"}


@linux
@pytest.mark.parametrize("count", [4, pytest.param(effort(20, 60), marks=pytest.mark.slow)])
def test_what_is_let_in_computes_what_a_bare_session_does(folder: Path, count: int) -> None:
    equal = [0]

    @settings(max_examples=count, **LENIENT)
    @given(data=files())
    def run(data: bytes) -> None:
        (folder / "m.onnx").write_bytes(data)
        try:
            model = seqc_runtime.load(folder / "m.onnx", device="cpu", threads=1, untrusted=True)
            answer = model.predict(X)
        except SeqcRuntimeError:
            return
        bare = import_onnxruntime().InferenceSession(str(folder / "m.onnx"), providers=["CPUExecutionProvider"])
        np.testing.assert_array_equal(answer, bare.run(None, {"x": X})[0])
        equal[0] += 1

    run()
    honest = model_of([MATMUL], [numpy_helper.from_array(WEIGHT, "w")])
    (folder / "m.onnx").write_bytes(honest.SerializeToString())
    model = seqc_runtime.load(folder / "m.onnx", device="cpu", threads=1, untrusted=True)
    np.testing.assert_array_equal(model.predict(X), X @ WEIGHT)
    assert count < 20 or equal[0] > count // 30
