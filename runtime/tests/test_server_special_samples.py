"""Samples that hold numbers or texts with which a model may do otherwise: NaN, infinity, 0, -1 and the like."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

from onnx import helper
from runtime_kit.probing import probed
from runtime_kit.serving_models import build, conv, mlp

from seqc_runtime import RuntimeExecutionError, RuntimeStoppedError
from seqc_runtime.server.independence import Independence
from seqc_runtime.server.probe import _Probe

N = ["batch", 4]
INT64 = onnx.TensorProto.INT64


def filled(missing: list[onnx.NodeProto], kind: int = onnx.TensorProto.FLOAT, **constants: Any) -> bytes:
    """Numbers that are missing, by what `missing` makes of x, become the mean of the batch's others in their column."""
    nodes = [
        *missing,
        helper.make_node("Cast", ["x"], ["f"], to=1),
        helper.make_node("Where", ["missing", "zero", "f"], ["kept"]),
        helper.make_node("Not", ["missing"], ["there"]),
        helper.make_node("Cast", ["there"], ["ones"], to=1),
        helper.make_node("ReduceSum", ["kept", "axis"], ["sum"]),
        helper.make_node("ReduceSum", ["ones", "axis"], ["count"]),
        helper.make_node("Max", ["count", "one"], ["least"]),
        helper.make_node("Div", ["sum", "least"], ["mean"]),
        helper.make_node("Where", ["missing", "mean", "f"], ["y"]),
    ]
    constants |= {"axis": np.array([0]), "zero": np.array([0], "f"), "one": np.array([1], "f")}
    return build(nodes, {"x": ["batch", 3]}, {"y": ["batch", 3]}, constants, kind)


def equal(number: float, dtype: str = "f") -> dict[str, Any]:
    return {"missing": [helper.make_node("Equal", ["x", "it"], ["missing"])], "it": np.array([number], dtype)}


# The longest of the batch says how many of the integers count, 0 being none.
TRIMMED = build(
    [
        helper.make_node("Cast", ["x"], ["any"], to=9),
        helper.make_node("Cast", ["any"], ["one"], to=7),
        helper.make_node("ReduceSum", ["one", "axis"], ["lengths"], keepdims=0),
        helper.make_node("ReduceMax", ["lengths"], ["longest"], keepdims=0),
        helper.make_node("Reshape", ["longest", "axis"], ["end"]),
        helper.make_node("Slice", ["x", "zero", "end", "axis"], ["cut"]),
        helper.make_node("Cast", ["cut"], ["f"], to=1),
        helper.make_node("ReduceMean", ["f", "axis"], ["y"]),
    ],
    {"x": ["batch", 8]},
    {"y": ["batch", 1]},
    {"axis": np.array([1]), "zero": np.array([0])},
    INT64,
)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(filled([helper.make_node("IsNaN", ["x"], ["missing"])]), id="NaN"),
        pytest.param(filled([helper.make_node("IsInf", ["x"], ["missing"])]), id="infinity"),
        *(pytest.param(filled(**equal(number)), id=f"{number}") for number in (0, -1, -999, 9999)),
        *(pytest.param(filled(kind=INT64, **equal(number, "q")), id=f"integer {number}") for number in (0, -1)),
        pytest.param(filled([helper.make_node("Not", ["x"], ["missing"])], onnx.TensorProto.BOOL), id="false"),
        pytest.param(TRIMMED, id="cut to the longest"),
    ],
)
def test_what_only_numbers_that_stand_for_none_would_show_is_found(data: bytes) -> None:
    batching, notes = probed(data)
    assert batching.max_rows == 1
    assert "an answer" in notes


@pytest.mark.parametrize("op", ["IsNaN", "IsInf", "Relu", "Sign", "Sqrt"])
def test_samples_with_special_numbers_that_stand_for_themselves_run_together(op: str) -> None:
    nodes = [helper.make_node(op, ["x"], ["made"]), helper.make_node("Cast", ["made"], ["one"], to=1)]
    data = build([*nodes, helper.make_node("Add", ["one", "x"], ["y"])], {"x": N}, {"y": N}, {})
    assert probed(data)[0].max_rows == 64


@pytest.mark.parametrize("shape", [["batch"], ["batch", 1]])
def test_texts_of_any_rank_are_looked_at_where_they_are_special(shape: list[Any]) -> None:
    nodes = [
        helper.make_node("Equal", ["x", "nan"], ["missing"]),
        helper.make_node("Cast", ["missing"], ["ones"], to=1),
        helper.make_node("ReduceMax", ["ones"], ["any"], keepdims=0),
        helper.make_node("Equal", ["x", "a"], ["known"]),
        helper.make_node("Cast", ["known"], ["value"], to=1),
        helper.make_node("Add", ["value", "any"], ["y"]),
    ]
    texts = {name: np.array(name, object) for name in ("nan", "a")}
    model = onnx.load_from_string(build(nodes, {"x": shape}, {"y": shape}, texts, onnx.TensorProto.STRING))
    model.opset_import[0].version = 19  # which compares texts
    batching, notes = probed(model.SerializeToString())
    assert batching.max_rows == 1
    assert "NaN, 0, -1 or another special number" in notes


def test_samples_that_are_special_take_few_runs_after_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    before: list[int] = []
    run, check = _Probe._run, Independence.check_special

    def counted_run(self: _Probe, feeds: Any) -> Any:
        rows.append(len(feeds["x"]))
        return run(self, feeds)

    def counted_check(self: Independence) -> bool:
        before.append(len(rows))
        return check(self)

    monkeypatch.setattr(_Probe, "_run", counted_run)
    monkeypatch.setattr(Independence, "check_special", counted_check)
    assert probed(mlp(8, 32, 3))[0].max_rows == 64
    special = rows[before[0] :]
    assert max(rows[: before[0]]) == 64
    assert 0 < sum(special) <= 60


@pytest.mark.parametrize(
    ("data", "most", "why"),
    [
        pytest.param(conv(), 64, "", id="operators to which all numbers are alike"),
        pytest.param(
            filled([helper.make_node("IsNaN", ["x"], ["missing"])]), 1, "could not be looked at within", id="others"
        ),
    ],
)
def test_samples_that_could_not_be_looked_at_in_time(
    monkeypatch: pytest.MonkeyPatch, data: bytes, most: int, why: str
) -> None:
    def check(self: Independence) -> bool:
        raise RuntimeStoppedError("the run was stopped")

    monkeypatch.setattr(Independence, "check_special", check)
    batching, notes = probed(data)
    assert batching.max_rows == most
    assert why in notes


def test_it_is_said_where_no_special_sample_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    run = _Probe._run

    def picky(self: _Probe, feeds: Any) -> Any:
        if not np.isfinite(feeds["x"]).all() or np.isin(feeds["x"], (0, 1, -1, -99, 999, -999, 9999, -9999)).any():
            raise RuntimeExecutionError("no such number")
        return run(self, feeds)

    def strangers(self: Independence, pool: Any) -> Any:
        yield self._made.samples(self._count), "other numbers"

    monkeypatch.setattr(_Probe, "_run", picky)
    monkeypatch.setattr(Independence, "_strangers", strangers)
    batching, notes = probed(mlp(8, 32, 3))
    assert batching.max_rows == 64
    assert "takes no made-up sample with NaN" in notes
