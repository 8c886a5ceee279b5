"""The kinds of files that hold models or their weights: how each is told by its content, and who reads and writes it.

A new kind of file is a reader or writer of its own and a row here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from seqc.model import Model
from seqc.saving.flat_writer import write_npz, write_safetensors
from seqc.saving.h5 import require_h5py
from seqc.saving.h5_writer import write_h5
from seqc.saving.hdf5_file import BY_LAYER, BY_PATH, WHOLE, read_hdf5
from seqc.saving.json_file import CONFIGURATION, read_json
from seqc.saving.keras_file import write_keras
from seqc.saving.kinds import HDF5, ZIP, open_model_file, refuse_model
from seqc.saving.model_file import ModelFile, OpenFile
from seqc.saving.safetensors_file import SAFETENSORS, is_safetensors, read_safetensors, require_safetensors
from seqc.saving.sharded import SHARDED
from seqc.saving.tensorflow_js import TENSORFLOW_JS
from seqc.saving.weights_writer import write_weights
from seqc.saving.zip_file import ARCHIVE, NPZ, read_zip

Begins = Callable[[bytes], bool]
Read = Callable[[OpenFile], AbstractContextManager[ModelFile]]
# Writes a model or its weights to an open file; the flag says whether the state of the optimizer comes along.
Write = Callable[[Model, bool, BinaryIO], None]


@dataclass(frozen=True)
class Container:
    """A kind of file.

    Attributes:
        title: what it is, in words. begins: tells by its first bytes whether a file may be one.
        read: opens files that begin so, and says which of the kinds that do it is.
        endings: of names by which it is written. model, weights: write a whole model, or its weights alone.
        needs: raises MissingDependencyError where a package is missing that writes it.
    """

    title: str
    begins: Begins
    read: Read
    endings: tuple[str, ...] = ()
    model: Write | None = None
    weights: Write | None = None
    needs: Callable[[], object] = require_h5py


def _is_zip(start: bytes) -> bool:
    return start.startswith(ZIP)


def _is_hdf5(start: bytes) -> bool:
    return start.startswith(HDF5)


def _is_json(start: bytes) -> bool:
    return start.lstrip(b" \t\r\n")[:1] in (b"{", b'"')


CONTAINERS = (
    Container(ARCHIVE, _is_zip, read_zip, (".keras",), model=write_keras),
    Container(NPZ, _is_zip, read_zip, (".npz",), weights=write_npz),
    Container(BY_PATH, _is_hdf5, read_hdf5, (".weights.h5",), weights=write_weights),
    Container(WHOLE, _is_hdf5, read_hdf5, (".h5", ".hdf5"), model=write_h5),
    Container(BY_LAYER, _is_hdf5, read_hdf5),
    Container(
        SAFETENSORS, is_safetensors, read_safetensors, (".safetensors",), None, write_safetensors, require_safetensors
    ),
    Container(TENSORFLOW_JS, _is_json, read_json),
    Container(SHARDED, _is_json, read_json),
    Container(CONFIGURATION, _is_json, read_json),
)
MODEL_ENDINGS = tuple(ending for one in CONTAINERS if one.model is not None for ending in one.endings)
WEIGHT_ENDINGS = tuple(ending for one in CONTAINERS if one.weights is not None for ending in one.endings)


def model_writer(path: str | os.PathLike[str]) -> Write | None:
    """Returns what writes whole models under a name that ends so, None if nothing does."""
    found = (c.model for c in CONTAINERS if c.model is not None and os.fspath(path).endswith(c.endings))
    return next(found, None)


def weights_writer(path: str | os.PathLike[str]) -> Write | None:
    """Returns what writes weights alone under a name that ends so, None if nothing does."""
    found = (c.weights for c in CONTAINERS if c.weights is not None and os.fspath(path).endswith(c.endings))
    return next(found, None)


def check_packages(path: str | os.PathLike[str]) -> None:
    """Raises MissingDependencyError where a package is missing that writes files under names that end so."""
    for one in CONTAINERS:
        if one.endings and os.fspath(path).endswith(one.endings):
            one.needs()


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
