"""Cells of a table of text, as numbers."""

from __future__ import annotations

import itertools
import math
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
# What may be done about a number that is missing, for errors.
ADVICE = "; --missing VALUE puts one there"

Cells = Sequence[Sequence[str]]


def is_value(cell: str) -> bool:
    """Whether a cell can be read as a number, or as true or false."""
    return _is_number(cell) or cell.strip().lower() in _TRUTH


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    # Python's numbers have underscores, those of tables have none.
    return "_" not in cell


def values(part: Part, cells: Cells, fill: float | None) -> Array:
    """Cells as an array of a row for each sample. fill: what to put where a number is missing.

    Raises ValueError, KeyError or OverflowError for a cell that cannot be read; `explain` finds it.
    """
    dtype = part.info.numpy_dtype
    if not cells:
        return np.empty((0, len(part.columns)), dtype)
    if dtype.kind == "O":
        return np.array(cells, object)
    if dtype.kind == "b":
        return np.array([[_TRUTH[cell.strip().lower()] for cell in row] for row in cells])
    if "_" in "".join(itertools.chain.from_iterable(cells)):
        raise ValueError("an underscore in a number")
    return _floats(cells, fill) if dtype.kind == "f" else np.array(cells, dtype)


def _floats(cells: Cells, fill: float | None) -> Array:
    found = _filled(cells, fill)
    if np.isinf(found).any() and any(_too_large(cell) for row in cells for cell in row):
        raise ValueError("a number is too large")
    return found


def _filled(cells: Cells, fill: float | None) -> Array:
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


def _too_large(cell: str) -> bool:
    """Whether a number is infinite, and does not say so."""
    return _is_number(cell) and math.isinf(float(cell)) and "inf" not in cell.lower()


def explain(
    name: str, part: Part, cells: Cells, lines: Sequence[int], filled: bool, advice: str = ADVICE
) -> RuntimeInputError:
    """The error for the first cell that cannot be read.

    name: of the file. lines: the number of each row's line. filled: whether missing numbers are taken. advice: what to
    do about one that is missing.
    """
    dtype = part.info.numpy_dtype
    for line, row in zip(lines, cells, strict=True):
        for column, cell in zip(part.columns, row, strict=True):
            problem = _problem(cell.strip(), dtype, filled, advice)
            if problem:
                needed = f"input {part.info.name!r} needs {dtype.name}"
                return RuntimeInputError(f"{name}, line {line}, column {column!r}: {problem} ({needed})")
    return RuntimeInputError(f"{name}: the rows from line {lines[0]} on cannot be read as {dtype.name}")


def _problem(cell: str, dtype: np.dtype[np.generic], filled: bool, advice: str) -> str | None:
    """What is wrong with a cell; None when it can be read."""
    if cell.lower() in MISSING and not (filled and dtype.kind == "f"):
        return "the value is missing" + (advice if dtype.kind == "f" else "")
    if dtype.kind == "b":
        return None if cell.lower() in _TRUTH else f"{cell[:_SHOWN]!r} is neither true nor false"
    if dtype.kind in "iu":
        limits = np.iinfo(dtype.name)
        if not re.fullmatch(r"[+-]?\d+", cell):
            return f"{cell[:_SHOWN]!r} is no whole number"
        inside = limits.min <= int(cell[:_SHOWN]) <= limits.max
        return None if inside else f"{cell[:_SHOWN]} is not within {limits.min} to {limits.max}"
    if not _is_number(cell):
        return f"{cell[:_SHOWN]!r} is no number"
    return f"{cell[:_SHOWN]} is too large" if _too_large(cell) else None
