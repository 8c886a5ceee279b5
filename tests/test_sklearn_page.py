"""What docs/sklearn.md tells to type works."""

from __future__ import annotations

import re
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
