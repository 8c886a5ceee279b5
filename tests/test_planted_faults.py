"""The verifier refuses wrong files, also those of models that answer every input alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seqc.errors import ExportError

pytest.importorskip("onnxruntime", reason="needs onnxruntime")
faults: Any = pytest.importorskip("planted_faults", reason="needs onnx")
wire: Any = pytest.importorskip("seqc.export.wire")

PLANTED = list(faults.planted())
NAMES = [f"{fault}-{kind}" for fault, kind, _ in PLANTED]


def refuses(case: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault, _, build = case
    model = build()
    model.export(path)
    path.unlink()

    def wrong(frame: Any, arrays: Any) -> Any:
        proto = wire.whole(frame, arrays)
        fault.mutate(proto)
        return proto.SerializeToString(deterministic=True)

    monkeypatch.setattr(wire, "to_bytes", wrong)
    with pytest.raises(ExportError):
        model.export(path)
    assert not path.exists()


def test_at_least_forty_mistakes_are_planted() -> None:
    assert len({str(fault) for fault, _, _ in PLANTED}) >= 40


@pytest.mark.parametrize("case", PLANTED[::13], ids=NAMES[::13])
def test_one_of_some_planted_mistakes_is_refused(case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses(case, tmp_path / "model.onnx", monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("case", PLANTED, ids=NAMES)
def test_a_planted_mistake_is_refused(case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses(case, tmp_path / "model.onnx", monkeypatch)
