"""What kind of file a path leads to, told by its first bytes."""

from __future__ import annotations

import zipfile
from pathlib import Path

from seqc.errors import DataError

_HDF5, _NUMPY, _ZIP, _PICTURE = b"\x89HDF", b"\x93NUMPY", b"PK\x03\x04", b"\x89PNG"


def kind_of(path: Path) -> str | None:
    """Returns what a file is if it is one of the kinds that are easily taken for each other; None for any other.

    Args:
        path: of a regular file.
    """
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(_ZIP):
        return _zip_kind(path)
    for mark, kind in ((_HDF5, "an HDF5 file"), (_NUMPY, "a .npy file"), (_PICTURE, "a picture")):
        if start.startswith(mark):
            return kind
    return "empty" if not start else None


def require_file(path: Path) -> None:
    """Raises DataError if there is nothing at a path, or something else than a file: a pipe might never end."""
    if path.is_file():
        return
    if not path.exists():
        raise DataError(f"There is no file {path}.")
    raise DataError(f"{path} is {'a folder' if path.is_dir() else 'a pipe or a device'}, not a file.")


def refuse_other_kinds(path: Path, wanted: str) -> None:
    """Raises DataError for a file that is plainly of another kind, with what to do about a .keras file.

    Args:
        path: of a regular file. wanted: what it should be, such as "an .onnx file".
    """
    kind = kind_of(path)
    if path.suffix == ".py" and kind is None:
        kind = "a Python file"
    if kind is None or kind == wanted:
        return
    hint = ""
    if wanted == "an .onnx file" and kind in ("a .keras file", "a Python file"):
        hint = f" Make one from it: seqc export {path} -o {path.with_suffix('.onnx')}"
    raise DataError(f"{path} is {kind}; {wanted} was expected.{hint}")


def _zip_kind(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return "a damaged .zip, .keras or .npz file"
    if "config.json" in names and "metadata.json" in names:
        return "a .keras file"
    return "a .npz file of several arrays" if names and all(n.endswith(".npy") for n in names) else "a .zip file"
