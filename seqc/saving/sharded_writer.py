"""Weights in several HDF5 files of a size at most, and the `.weights.json` that names them, as Keras 3 writes them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from glob import escape
from pathlib import Path

from seqc.errors import ConfigError, SavingError
from seqc.graph.ir import Array
from seqc.model import Model
from seqc.saving.h5 import pack_store
from seqc.saving.limits import MOST_SHARDS
from seqc.saving.state import model_arrays
from seqc.utils.display import note
from seqc.utils.files import replace_file

_JSON, _HDF5 = ".weights.json", ".weights.h5"
# The arrays of layers that one file holds, by path, with the name of the layer.
Shard = dict[str, tuple[str | None, dict[str, Array]]]


def sharded_path(filepath: str | os.PathLike[str]) -> Path:
    """Returns where the `.weights.json` goes, which takes the place of a name that ends in `.weights.h5`.

    Raises:
        SavingError: the path ends in something else.
    """
    name = os.fspath(filepath)
    if not name.endswith((_JSON, _HDF5)):
        raise SavingError(
            f"The filename must end in `{_JSON}` when `max_shard_size` is specified. Received: filepath={name}"
        )
    path = Path(name.removesuffix(_HDF5).removesuffix(_JSON) + _JSON)
    if name.endswith(_HDF5):
        note(f"Weights in several files are named by a `{_JSON}`: '{name}' becomes '{path}'.", warn=True)
    return path


def shards_beside(path: Path) -> list[Path]:
    """Returns the files of weights that lie beside a `.weights.json` under names that it gives."""
    return sorted(path.parent.glob(f"{escape(path.name.removesuffix(_JSON))}_[0-9][0-9][0-9][0-9][0-9]{_HDF5}"))


def write_sharded(model: Model, path: Path, max_shard_size: float) -> None:
    """Writes a model's weights to files beside a `.weights.json`, and that last.

    Nothing comes to its place before everything is written.

    Args:
        model: the model. path: of the `.weights.json`. max_shard_size: of the arrays in one file, in GiB.

    Raises:
        ConfigError: that is no such size. SavingError: an array is larger, or there would be more files than are read.
    """
    if isinstance(max_shard_size, bool) or not isinstance(max_shard_size, int | float) or not max_shard_size > 0:
        raise ConfigError(f"`max_shard_size` is a number of gigabytes above 0. Received: {max_shard_size!r}")
    arrays = model_arrays(model)
    shards = _shards(arrays, max_shard_size * 2**30)
    if len(shards) > MOST_SHARDS:
        raise SavingError(
            f"With max_shard_size={max_shard_size} the weights would lie in {len(shards)} files; at most {MOST_SHARDS} "
            "are read. Make it larger."
        )
    names = [f"{path.name.removesuffix(_JSON)}_{i:05}{_HDF5}" for i in range(len(shards))]
    total = sum(array.nbytes for _, group in arrays.values() for array in group.values())
    content = {"metadata": {"total_size": float(total)}, "weight_map": _weight_map(shards, names)}
    with ExitStack() as files:  # which come to their place from the last to the first
        files.enter_context(replace_file(path)).write(json.dumps(content, indent=4).encode())
        for name, shard in zip(names, shards, strict=True):
            file = files.enter_context(replace_file(path.with_name(name)))
            file.write(pack_store(shard))
            file.flush()


def _shards(groups: Mapping[str, tuple[str | None, Mapping[str, Array]]], most: float) -> list[Shard]:
    shards: list[Shard] = [{}]
    used = 0
    for path, (name, arrays) in groups.items():
        shards[-1][path] = name, {}
        for key, array in arrays.items():
            if array.nbytes > most:
                raise SavingError(
                    f"Array {key} of '{path}' has {array.nbytes} bytes, more than `max_shard_size` lets a file have "
                    f"({most:.0f}). Make it larger."
                )
            used += array.nbytes
            if used > most:
                shards.append({})
                used = array.nbytes
            shards[-1].setdefault(path, (name, {}))[1][key] = array
    return shards


def _weight_map(shards: list[Shard], names: list[str]) -> dict[str, str | list[str]]:
    """Returns the file of each group that has arrays; a list where there are several."""
    found: dict[str, list[str]] = {}
    for shard, name in zip(shards, names, strict=True):
        for path, (_, arrays) in shard.items():
            if arrays:
                found.setdefault(f"/{path}/vars" if path else "/vars", []).append(name)
    return {path: files if len(files) > 1 else files[0] for path, files in found.items()}
