"""Cells of a table of text, as numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from seqc_runtime.errors import RuntimeInputError
from seqc_runtime.files.columns import Part
from seqc_runtime.inputs import Array

# What stands for a value that is not there, in lower case.
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_SHOWN = 40

Cells = Sequence[Sequence[str]]


def is_number(cell: str) -> bool:
    """Whether a cell can be read as a float."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def values(part: Part, cells: Cells, fill: float | None) -> Array:
    """Cells as an array of a row for each sample. fill: what to put where a number is missing.

    Raises ValueError, KeyError or OverflowError for a cell that cannot be read; `explain` finds it.
    """
    dtype = part.info.numpy_dtype
    if not cells:
        return np.empty((0, len(part.columns)), dtype)
    if dtype.kind == "f":
        return _floats(cells, fill)
    if dtype.kind == "b":
        return np.array([[_TRUTH[cell.strip().lower()] for cell in row] for row in cells])
    return np.array(cells, object if dtype.kind == "O" else dtype)


def _floats(cells: Cells, fill: float | None) -> Array:
    if fill is None:
        found = np.array(cells, np.float64)
        if np.isnan(found).any():
            raise ValueError("a value is missing")
        return found
    try:
        found = np.array(cells, np.float64)
    except ValueError:
        found = np.array([[fill if cell.strip().lower() in MISSING else float(cell) for cell in row] for row in cells])
    found[np.isnan(found)] = fill
    return found


def explain(name: str, part: Part, cells: Cells, lines: Sequence[int], filled: bool) -> RuntimeInputError:
    """The error for the first cell that cannot be read.

    name: of the file. lines: the number of each row's line. filled: whether missing numbers are taken.
    """
    dtype = part.info.numpy_dtype
    for line, row in zip(lines, cells, strict=True):
        for column, cell in zip(part.columns, row, strict=True):
            problem = _problem(cell.strip(), dtype, filled)
            if problem:
                needed = f"input {part.info.name!r} needs {dtype.name}"
                return RuntimeInputError(f"{name}, line {line}, column {column!r}: {problem} ({needed})")
    return RuntimeInputError(f"{name}: the rows from line {lines[0]} on cannot be read as {dtype.name}")


def _problem(cell: str, dtype: np.dtype[np.generic], filled: bool) -> str | None:
    """What is wrong with a cell; None when it can be read."""
    if cell.lower() in MISSING and not (filled and dtype.kind == "f"):
        return "the value is missing" + ("; --missing VALUE puts one there" if dtype.kind == "f" else "")
    if dtype.kind == "b":
        return None if cell.lower() in _TRUTH else f"{cell[:_SHOWN]!r} is neither true nor false"
    if dtype.kind in "iu":
        limits = np.iinfo(dtype.name)
        if not re.fullmatch(r"[+-]?\d+", cell):
            return f"{cell[:_SHOWN]!r} is no whole number"
        inside = limits.min <= int(cell[:_SHOWN]) <= limits.max
        return None if inside else f"{cell[:_SHOWN]} is not within {limits.min} to {limits.max}"
    return None if is_number(cell) else f"{cell[:_SHOWN]!r} is no number"
