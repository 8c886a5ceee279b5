"""Arrays, lists, texts and numbers out of files that Python wrote with pickle, of which nothing is run."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from seqc.errors import DataError
from seqc.graph.ir import Array

# What NumPy's arrays and their numbers are made of, in files of its older and newer releases.
_NUMPY = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
_KNOWN = {
    **{(module, "_reconstruct"): np.ndarray.__reduce__(np.zeros(0))[0] for module in _NUMPY},
    **{(module, "scalar"): np.float64(0).__reduce__()[0] for module in _NUMPY},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _Plain(pickle.Unpickler):
    """Makes arrays and what Python has built in, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise DataError(f"it asks for {module}.{name}, which no data set needs") from None


def read_pickle(content: Any, name: str, encoding: str = "ASCII") -> Any:
    """Returns what a pickle holds, without running anything of it.

    Args:
        content: bytes, or a file opened for reading them. name: of the file, for the message. encoding: of the texts of
        Python 2, "bytes" to get them as bytes.

    Raises:
        DataError: it is damaged, or holds something else than data.
    """
    stream = io.BytesIO(content) if isinstance(content, bytes) else content
    try:
        return _Plain(stream, encoding=encoding).load()
    except DataError as error:
        raise DataError(f"{name} cannot be used: {error}.") from None
    except Exception as error:  # pickle lets errors of many types through for damaged files
        raise DataError(f"{name} cannot be used: {error}.") from error


def read_npz(path: Path) -> dict[str, Array]:
    """Returns the arrays of an .npz file, those of lists too.

    Raises:
        DataError: it is damaged, or holds something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy"): _read_npy(archive.open(name), path.name) for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be used: {error}. Delete it, and it is downloaded again.") from error


def _read_npy(stream: Any, name: str) -> Array:
    held = io.BytesIO(stream.read())
    version = np.lib.format.read_magic(held)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, in_columns, dtype = read(held)
    if not dtype.hasobject:
        held.seek(0)
        return np.asarray(np.lib.format.read_array(held, allow_pickle=False))
    found = np.asarray(read_pickle(held, name), dtype=object)
    return found.reshape(shape, order="F" if in_columns else "C")
