"""What the README tells a newcomer to type works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_blocks_run_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("seqc_runtime")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 4
    # Classes defined in a script belong to a module of some name.
    namespace: dict[str, object] = {"__name__": "readme"}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    receipt = str(namespace["receipt"])
    promised = re.findall(r"```text\n(.*?)```", README, re.DOTALL)[0].splitlines()
    assert [line for line in promised if line not in receipt.splitlines()] == []


def test_every_file_the_readme_links_to_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_command_of_the_readme_exists() -> None:
    commands = set(re.findall(r"^\$ seqc (\w+)", README, re.MULTILINE))
    targets = set(re.findall(r"^\$ make (\w+)", README, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert commands >= {"train", "export", "verify", "inspect", "predict", "doctor"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    from typer.main import get_command

    from seqc.cli import app

    assert commands <= set(get_command(app).commands)  # type: ignore[attr-defined]


def test_the_readme_lists_the_layers_and_optimizers_there_are() -> None:
    import seqc
    from seqc.layers import Layer
    from seqc.optimizers import Optimizer

    listed = set(re.findall(r"`(\w+)`", README.split("## What is there today")[1].split("##")[0]))
    # Other names of the same class, and what no model is made of by itself, need no entry.
    unlisted = {"InputLayer", "Layer", "GRUCell", "LSTMCell", "Optimizer", "SimpleRNNCell", "Merge"}
    for module, base in ((seqc.layers, Layer), (seqc.optimizers, Optimizer)):
        found = {kind.__name__ for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, base)}
        assert found - unlisted - listed == set()
    for name in listed - {"Sequential"}:
        assert hasattr(seqc.layers, name) or hasattr(seqc.optimizers, name), name
