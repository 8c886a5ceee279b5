"""Generated pages on the disk: written where they changed, so that a second build reads no more than it must."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_pages(folder: Path, pages: Mapping[str, str]) -> None:
    """Makes a folder hold these files and no others.

    Args:
        folder: where they lie.
        pages: their texts, by paths inside the folder.
    """
    wanted = {folder / name for name in pages}
    for old in folder.rglob("*") if folder.is_dir() else ():
        if old.is_file() and old not in wanted:
            old.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
