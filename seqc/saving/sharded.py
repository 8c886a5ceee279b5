"""Weights of Keras 3 in several HDF5 files that a `.weights.json` names: those of `save_weights(max_shard_size=)`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from seqc.errors import SavingError
from seqc.saving.beside import open_beside
from seqc.saving.h5 import open_store
from seqc.saving.limits import MOST_SHARDS
from seqc.saving.model_file import ModelFile
from seqc.saving.state import PathWeights, is_by_path

SHARDED = "weights of Keras 3 in several files (.weights.json)"


@contextmanager
def read_sharded(content: Mapping[str, Any], path: str) -> Iterator[ModelFile]:
    """Reads weights that lie in several files.

    Args:
        content: what the JSON says. path: of that file, beside which the others lie.

    Raises:
        SavingError: a file is missing or damaged, or what it says makes no sense.
    """
    names = _files(content.get("weight_map"), path)
    with ExitStack() as stack:
        first, *others = [stack.enter_context(open_beside(path, name)) for name in names]
        store = stack.enter_context(open_store(first, path, _bytes(first)))
        for file in others:
            stack.enter_context(store.and_in(file, _bytes(file)))
        if not is_by_path(store):
            raise SavingError(f"The files of '{path}' hold no weights of a model of Keras 3.")
        yield ModelFile(SHARDED, path, weights=PathWeights(store))


def _files(listed: Any, path: str) -> list[str]:
    """Returns the names of the files, each once."""
    if not isinstance(listed, Mapping) or not listed:
        raise SavingError(f"The 'weight_map' of '{path}' says of no weights in which file they are.")
    names = [name for value in listed.values() for name in (value if isinstance(value, list) else [value])]
    if not names or not all(isinstance(name, str) for name in names):
        raise SavingError(f"The 'weight_map' of '{path}' says of weights that they are in what is no file.")
    found = list(dict.fromkeys(names))
    if len(found) > MOST_SHARDS:
        raise SavingError(
            f"The weights of '{path}' are in {len(found)} files; at most {MOST_SHARDS} are read. Refused."
        )
    return found


def _bytes(file: Any) -> int:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return int(size)
