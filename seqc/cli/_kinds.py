"""What a path leads to: commands refuse the wrong kind of file with a word about what it is."""

from __future__ import annotations

import zipfile
from pathlib import Path

from seqc.errors import DataError

NUMPY, ONNX, KERAS = "a NumPy array", "an ONNX model", "a .keras file"
ARCHIVE = "a .npz file of several arrays"


def kind_of(path: Path) -> str | None:
    """Returns what a file is, told by its content; None where that says nothing.

    Args:
        path: of a regular file.
    """
    from seqc.saving import kinds

    if path.suffix == ".py":
        return "a Python file"
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(kinds.ZIP):
        return _zip_kind(path)
    kind = kinds.kind_of(start)
    return None if kind.startswith("of no kind") else kind


def require_file(path: Path) -> None:
    """Raises DataError if there is nothing at a path, or something else than a file: a pipe might never end."""
    if path.is_file():
        return
    if not path.exists():
        raise DataError(f"There is no file {path}.")
    raise DataError(f"{path} is {'a folder' if path.is_dir() else 'a pipe or a device'}, not a file.")


def refuse_other_kinds(path: Path, wanted: str) -> None:
    """Raises DataError for a file that is plainly of another kind, with what to do about a model of seqc or Keras.

    Args:
        path: of a regular file.
        wanted: what it should be: NUMPY, ARCHIVE or ONNX.
    """
    kind = kind_of(path)
    if kind is None or kind == wanted:
        return
    hint = ""
    if wanted == ONNX and kind in (KERAS, "a Python file"):
        hint = f" Make one from it: seqc export {path} -o {path.with_suffix('.onnx')}"
    raise DataError(f"{path} is {kind}; {wanted} was expected.{hint}")


def _zip_kind(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return "a damaged zip archive (.keras, .npz)"
    if "config.json" in names and "metadata.json" in names:
        return KERAS
    return ARCHIVE if names and all(n.endswith(".npy") for n in names) else "a zip archive"
