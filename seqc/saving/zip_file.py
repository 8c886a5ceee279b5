"""Zip archives: the `.keras` files of Keras 3 and of TensorFlow from 2.13 on, and NumPy's `.npz`."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from seqc.errors import SavingError
from seqc.graph.ir import Array
from seqc.saving.archive import CONFIG, METADATA, SEEDS, WEIGHTS, Archive, open_archive
from seqc.saving.arrays import StoredArray
from seqc.saving.flat import FlatWeights
from seqc.saving.h5 import open_store
from seqc.saving.limits import MOST_CONFIG_BYTES
from seqc.saving.model_file import ModelFile, OpenFile, facts_of, parsed, parsed_model, text_of
from seqc.saving.names import name_of_member
from seqc.saving.state import PathWeights

ARCHIVE, NPZ = "a `.keras` archive", "NumPy arrays (.npz)"
_NPY = ".npy"


@contextmanager
def read_zip(opened: OpenFile) -> Iterator[ModelFile]:
    """Reads a zip archive; which of the two it is, the names of its members say.

    Raises:
        SavingError: it is neither, or damaged.
    """
    with open_archive(opened.file, opened.path, opened.size) as archive:
        names = archive.names()
        if names and CONFIG not in names and all(name.endswith(_NPY) for name in names):
            arrays = [_array(archive, name) for name in names]
            yield ModelFile(NPZ, opened.path, weights=FlatWeights(opened.path, arrays))
            return
        described = parsed_model(archive.read(CONFIG, MOST_CONFIG_BYTES), f"Member '{CONFIG}'", opened.path)
        metadata = _metadata(archive)
        content = io.BytesIO(archive.read(WEIGHTS))
        with open_store(content, f"{opened.path}:{WEIGHTS}", archive.size) as store:
            facts = facts_of(metadata)
            yield ModelFile(
                ARCHIVE,
                opened.path,
                described=described,
                weights=PathWeights(store, archive.assets, facts["version"]),
                training=described.get("compile_config") or None,
                is_old=facts["version"][:2] in ("1.", "2."),
                date=text_of(metadata.get("date_saved")),
                seeds=metadata.get(SEEDS),
                **facts,
            )


def _metadata(archive: Archive) -> dict[str, Any]:
    """Returns who wrote an archive; nothing where that member is missing or damaged."""
    if METADATA not in archive:
        return {}
    try:
        found = parsed(archive.read(METADATA, MOST_CONFIG_BYTES), f"Member '{METADATA}'", archive.path)
    except SavingError:
        return {}
    return found if isinstance(found, dict) else {}


def _array(archive: Archive, name: str) -> StoredArray:
    """Returns an array of a `.npz` file. Its header says what follows; what follows is not trusted to be that long."""
    content = archive.read(name)
    file = io.BytesIO(content)
    where = f"Array '{name}' in '{archive.path}'"
    try:
        version = np.lib.format.read_magic(file)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[
            version
        ]
        shape, by_columns, dtype = read_header(file)
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError) as error:
        raise SavingError(f"{where} is damaged: {error}.") from error
    start = file.tell()
    if dtype.kind not in "fiub":
        raise SavingError(f"{where} holds {dtype}; weights are floats or integers.")
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != len(content) - start:
        raise SavingError(
            f"{where} says that its shape is {shape}, and has {len(content) - start} bytes. It is damaged."
        )

    def read() -> Array:
        flat = np.frombuffer(content, dtype, offset=start)
        return flat.reshape(shape, order="F" if by_columns else "C").copy()

    return StoredArray(name_of_member(name.removesuffix(_NPY)), tuple(map(int, shape)), dtype.name, read)
