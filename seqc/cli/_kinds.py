"""What a path leads to: commands refuse the wrong kind of file with a word about what it is."""

from __future__ import annotations

import zipfile
from pathlib import Path

from seqc.errors import ConfigError, DataError

NUMPY, ONNX, KERAS = "a NumPy array", "an ONNX model", "a .keras file"
ARCHIVE = "a .npz file of several arrays"
# What may hold a model of Keras or its weights.
MODEL_KINDS = (
    KERAS,
    ARCHIVE,
    "an HDF5 file",
    "a zip archive",
    "a damaged zip archive (.keras, .npz)",
    "JSON",
    "weights",
)


def kind_of(path: Path) -> str | None:
    """Returns what a file is, told by its content; None where that says nothing.

    Args:
        path: of a regular file.
    """
    from seqc.saving import kinds
    from seqc.saving.safetensors_file import is_safetensors

    if path.suffix == ".py":
        return "a Python file"
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(kinds.ZIP):
        return _zip_kind(path)
    if is_safetensors(start):
        return "weights"
    kind = kinds.kind_of(start)
    return None if kind.startswith("of no kind") else kind


def require_file(path: Path) -> None:
    """Raises DataError if there is nothing at a path, or something else than a file: a pipe might never end."""
    if path.is_file():
        return
    if not path.exists():
        raise DataError(f"There is no file {path}.")
    raise DataError(f"{path} is {'a folder' if path.is_dir() else 'a pipe or a device'}, not a file.")


def require_model_file(path: Path) -> None:
    """Raises ConfigError for a file that plainly holds no model for a command to take, DataError if there is none."""
    require_file(path)
    kind = kind_of(path)
    if kind == ONNX or path.suffix in (".onnx", ".npy"):
        raise ConfigError(
            f"A model comes from a FILE (.py), or from a model file of Keras (.keras, .h5, model.json); got {path}."
        )


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
