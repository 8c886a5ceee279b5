"""Weights in files beside an ONNX file: how many bytes they take, and whether they are those it was written with."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import onnx

from seqc.cli._onnx import metadata, read_model
from seqc.errors import ConfigError, DataError
from seqc.export.disk import HASH

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_bytes(text: str | None) -> int | None:
    """Returns how many bytes a size such as 0, 500MB or 1.5GiB is, None for none.

    Raises:
        ConfigError: it is no size.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?) ?([A-Za-z]*)", text.strip(), re.ASCII)
    if found is None or found[2].upper() not in _UNITS:
        raise ConfigError(f"--external-data takes a size such as 0, 500MB or 1.5GiB; got {text!r}.")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def files_beside(model: onnx.ModelProto) -> list[str]:
    """Returns the names of the files that hold weights of a model."""
    named = {e.value for t in model.graph.initializer for e in t.external_data if e.key == "location"}
    return sorted(named)


def beside_rows(path: Path, names: Sequence[str]) -> list[tuple[str, str]]:
    """Returns what there is to say of files with weights beside a model."""
    rows = []
    for name in names:
        file = path.parent / name
        size = f"{file.stat().st_size:,} bytes" if _is_inside(file, path) and file.is_file() else "missing"
        rows.append(("weights", f"{name} beside it ({size})"))
    return rows


def check_beside(path: Path) -> str | None:
    """Returns what was found of the weights beside a file of seqc's, None where they are in the file itself.

    Raises:
        DataError: they are others than those it was written with, or not there.
    """
    model = read_model(path)
    names, digest = files_beside(model), metadata(model).get(HASH)
    if not names or digest is None:
        return None
    file = path.parent / names[0]
    if len(names) > 1 or not _is_inside(file, path):
        raise DataError(f"they are in {', '.join(names)}, where seqc puts none")
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    if found != digest:
        raise DataError(f"{file} has SHA-256 {found[:16]}..., and was written with {digest[:16]}...")
    return f"{names[0]}, SHA-256 {digest[:16]}..."


def _is_inside(file: Path, path: Path) -> bool:
    """Tells by the names alone: a file in its place may be a link, as in caches of what was downloaded."""
    if any("\0" in part for part in file.parts):
        return False
    return Path(os.path.abspath(file)).is_relative_to(os.path.abspath(path.parent))
