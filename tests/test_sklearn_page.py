"""What docs/sklearn.md and the example beside it tell to type works."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

for package in ("sklearn", "skl2onnx", "pandas"):
    pytest.importorskip(package, reason=f"{package} is not installed")

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent


def test_the_blocks_of_the_page_run_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("seqc_runtime")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "sklearn.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    namespace: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, "docs/sklearn.md", "exec"), namespace)


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["sklearn_pipeline.py", str(tmp_path / "m.onnx")])
    runpy.run_path(str(ROOT / "examples" / "sklearn_pipeline.py"), run_name="__main__")
    told = capsys.readouterr().out
    assert float(re.findall(r"accuracy ([\d.]+)", told)[0]) > 0.7
    assert "input       contract string[batch, 1]" in told
    assert (tmp_path / "m.onnx.verified.npz").exists()
