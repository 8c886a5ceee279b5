"""What data() of a model FILE gives: arrays, files of arrays, or several of them in lists and dictionaries."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqc import tree
from seqc.cli._arrays import read_archive, read_array
from seqc.errors import DataError
from seqc.graph.ir import Array
from seqc.training.arrange import is_array
from seqc.training.data import as_array


def read_data(given: Any, what: str) -> Any:
    """Returns an array, or a list or dictionary of arrays.

    Args:
        given: arrays, or nested lists of numbers; a dictionary, an open .npz file or a list of several for models of
            several inputs or outputs; or the path of a .npy file, or of a .npz file with arrays by name.
        what: how errors call it, such as "x_train".

    Raises:
        DataError: it is no array, or a file cannot be read.
    """
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        return read_archive(path) if path.suffix == ".npz" else read_array(path)
    if isinstance(given, Mapping):
        return {name: read_data(given[name], f"{what}['{name}']") for name in given}
    if isinstance(given, list | tuple) and given and all(isinstance(one, Mapping) or is_array(one) for one in given):
        return [read_data(one, f"{what}[{i}]") for i, one in enumerate(given)]
    return as_array(given, what)


def rows(data: Any, take: Any) -> Any:
    """Returns some rows of each array."""
    return tree.map_structure(lambda array: array[take], data)


def check_samples(x: Any, what: str, path: Path) -> None:
    """Raises DataError where there are no samples."""
    for array in tree.flatten(x):
        if not array.ndim or not len(array):
            kind = "test" if what.endswith("test") else "training"
            raise DataError(f"{path}: data() gives no {kind} samples; {what} has shape {array.shape}.")


def sample_count(data: Any) -> int:
    """Returns how many rows there are, which are as many in each array."""
    first: Array = tree.flatten(data)[0]
    return len(first)
