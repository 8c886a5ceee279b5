"""The verifier refuses wrong files, also those of models that answer every input alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import seqc as keras
from kit.effort import turn
from seqc.errors import ExportError

pytest.importorskip("onnxruntime", reason="needs onnxruntime")
faults: Any = pytest.importorskip("kit.planted_faults", reason="needs onnx")
wire: Any = pytest.importorskip("seqc.export.wire")

PLANTED = list(faults.planted())
NAMES = [f"{fault}-{kind}" for fault, kind, _ in PLANTED]


def refuses(case: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault, _, build = case
    model = build()
    model.export(path)
    path.unlink()

    def wrong(frame: Any, arrays: Any, *_: Any) -> Any:
        proto = wire.whole(frame, arrays)
        fault.mutate(proto)
        yield proto.SerializeToString(deterministic=True)

    monkeypatch.setattr(wire, "pieces", wrong)
    with pytest.raises(ExportError):
        model.export(path)
    assert not path.exists()


def test_at_least_forty_mistakes_are_planted() -> None:
    assert len({str(fault) for fault, _, _ in PLANTED}) >= 40


@pytest.mark.one_in(3)
@pytest.mark.parametrize("case", PLANTED[::13], ids=NAMES[::13])
def test_one_of_some_planted_mistakes_is_refused(case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses(case, tmp_path / "model.onnx", monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("case", PLANTED[6::26], ids=NAMES[6::26])
def test_some_mistakes_are_refused_where_only_blind_files_are_looked_into(
    case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqc.export.writing.INSIDE_LIMIT", 0)
    refuses(case, tmp_path / "model.onnx", monkeypatch)


# Each in some of its models, and in others below.
@pytest.mark.slow
@pytest.mark.parametrize("case", turn(PLANTED, 0, 8), ids=turn(NAMES, 0, 8))
def test_every_mistake_is_refused_where_only_blind_files_are_looked_into(
    case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqc.export.writing.INSIDE_LIMIT", 0)
    refuses(case, tmp_path / "model.onnx", monkeypatch)


@pytest.mark.slow
def test_a_large_file_is_looked_into_only_where_its_outputs_hardly_depend_on_the_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqc.export.writing.INSIDE_LIMIT", 0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)])
    seeing = model.export(tmp_path / "seeing.onnx").report
    model.set_weights([w * (0 if w.ndim > 1 else 1) + 1e-9 for w in model.get_weights()])
    blind = model.export(tmp_path / "blind.onnx").report
    assert seeing.values == 0 < blind.values


@pytest.mark.slow
@pytest.mark.parametrize("case", turn(PLANTED, 4, 8), ids=turn(NAMES, 4, 8))
def test_a_planted_mistake_is_refused(case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses(case, tmp_path / "model.onnx", monkeypatch)
