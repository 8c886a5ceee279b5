"""The tables of Markdown pages, as the programs that measure have written them."""

from __future__ import annotations

from pathlib import Path


def table(page: Path, heading: str, number: int = 0) -> list[dict[str, str]]:
    """Returns the rows of a table below a heading, each by the names of its columns.

    Args:
        page: the Markdown file.
        heading: the text of the heading.
        number: which of the tables below it.
    """
    lines = page.read_text(encoding="utf-8").splitlines()
    begin = next(n for n, line in enumerate(lines) if line.lstrip("#") == f" {heading}" and line.startswith("#"))
    found: list[list[list[str]]] = []
    for before, line in zip(lines[begin:], lines[begin + 1 :], strict=False):
        if line.startswith("#"):
            break
        if line.startswith("|"):
            if not before.startswith("|"):
                found.append([])
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
    head, _, *rows = found[number]
    return [dict(zip(head, row, strict=True)) for row in rows]


def number(text: str) -> float:
    """Returns the number of a cell, whatever stands around it."""
    return float("".join(sign for sign in text if sign.isdigit() or sign in ".-"))
