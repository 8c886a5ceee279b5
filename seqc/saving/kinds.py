"""What a file is, told by its content: names end in anything."""

from __future__ import annotations

import os
from typing import BinaryIO

from seqc.errors import PathError, SavingError
from seqc.utils.files import open_file

ZIP, HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_START = 512

_MARKS = (
    (HDF5, "an HDF5 file"),
    (ZIP, "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x89PNG", "a picture"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"version https://git-lfs", "a pointer of Git LFS, which stands for a file that was not downloaded"),
    (b"<", "a web page or XML, perhaps the answer of a server instead of the file"),
)


class SavingFileNotFound(SavingError, FileNotFoundError):
    """There is no file at the path."""


def open_model_file(path: str | os.PathLike[str], missing: str) -> tuple[BinaryIO, bytes, int]:
    """Opens a file that should be one of Keras's.

    Args:
        path: where it is.
        missing: the message if there is none.

    Returns:
        The open file, how it starts, and its size.

    Raises:
        SavingFileNotFound: there is none. SavingError: it is no file, or may not be read.
    """
    try:
        file = open_file(path)
    except FileNotFoundError as error:
        raise SavingFileNotFound(missing) from error
    except PathError as error:
        raise SavingError(str(error)) from error
    start = file.read(_START)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return file, start, size


def kind_of(start: bytes) -> str:
    """Returns what a file is, by how it starts."""
    if not start:
        return "empty"
    for mark, kind in _MARKS:
        if start.startswith(mark):
            return kind
    if start.lstrip()[:1] in (b"{", b"["):
        return "JSON"
    # Both begin with the field "IR version", a small number, and soon name who wrote the file.
    if start[:1] == b"\x08" and start[1:2] < b"\x20" and start[2:3] in (b"\x12", b"\x3a", b"\x42"):
        return "an ONNX model"
    return "of no kind that seqc knows; it may be cut off or damaged"


def refuse_model(path: str, start: bytes) -> SavingError:
    """Returns the error for a file that should hold a model or weights and is of another kind."""
    kind = kind_of(start)
    hint = {
        "an ONNX model": "Run it with seqc_runtime.load(filepath).",
        "a gzip file": "Unpack it first.",
    }.get(kind, "To bring a SavedModel or a checkpoint along, load it in Keras once and save it as `.keras`.")
    return SavingError(
        f"File format not supported: filepath={path}. It is no `.keras` archive, no HDF5 file, no JSON and no file of "
        f"arrays; it is {kind}. {hint}"
    )
