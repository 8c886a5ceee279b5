"""The kinds of files that hold models or their weights: how each is told by its content, and who reads and writes it.

A new kind of file is a reader of its own and a row here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from seqc.saving.hdf5_file import read_hdf5
from seqc.saving.json_file import read_json
from seqc.saving.kinds import HDF5, ZIP, open_model_file, refuse_model
from seqc.saving.model_file import ModelFile, OpenFile
from seqc.saving.safetensors_file import is_safetensors, read_safetensors
from seqc.saving.zip_file import read_zip


@dataclass(frozen=True)
class Container:
    """A kind of file.

    Attributes:
        name: what it is called. begins: tells by its first bytes whether a file is one.
        read: opens it and says what it holds.
    """

    name: str
    begins: Callable[[bytes], bool]
    read: Callable[[OpenFile], AbstractContextManager[ModelFile]]


CONTAINERS = (
    Container("zip", lambda start: start.startswith(ZIP), read_zip),
    Container("HDF5", lambda start: start.startswith(HDF5), read_hdf5),
    Container("safetensors", is_safetensors, read_safetensors),
    Container("JSON", lambda start: start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b'"'), read_json),
)


@contextmanager
def open_model(path: str | os.PathLike[str], what: str = "File") -> Iterator[ModelFile]:
    """Opens a file and says what it holds, by its content and whatever its name ends in. Weights are not read yet.

    Args:
        path: of the file. what: how messages call it where it is missing.

    Raises:
        SavingFileNotFound: there is none. SavingError: it is of no kind that holds models, or damaged.
    """
    name = os.fspath(path)
    missing = f"{what} not found: filepath={name}. Please ensure the file is an accessible `.keras` zip file."
    file, start, size = open_model_file(name, missing if what == "File" else f"{what} not found: filepath={name}.")
    with file:
        found = next((one for one in CONTAINERS if one.begins(start)), None)
        if found is None:
            raise refuse_model(name, start)
        with found.read(OpenFile(file, name, start, size)) as opened:
            yield opened
