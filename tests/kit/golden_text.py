"""Texts kept beside the tests: a change of structure shows as a change of a file, for a person to look at."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "golden"


def check_golden(name: str, text: str) -> None:
    """Compares a text with the kept one; with SEQC_UPDATE_GOLDEN=1 in the environment it is written instead."""
    path = FOLDER / f"{name}.txt"
    shown = text.rstrip("\n") + "\n"
    if os.environ.get("SEQC_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    assert path.is_file(), f"{path.name} is missing: run with SEQC_UPDATE_GOLDEN=1 and look at what it says."
    kept = path.read_text(encoding="utf-8")
    assert shown == kept, f"The structure is no longer that of {path.name}:\n{shown}"
