"""What data() of a model FILE gives: arrays, files of arrays, or several of them in lists and dictionaries."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc import tree
from seqc.cli._arrays import read_archive, read_array
from seqc.cli._tables import Labelled, is_table, read_table
from seqc.errors import ConfigError, DataError
from seqc.graph.ir import Array
from seqc.stored import is_lazy
from seqc.training.arrange import is_array
from seqc.training.data import as_array

if TYPE_CHECKING:
    from seqc.model import Model


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


@dataclass(frozen=True)
class Given:
    """Where --data and its companions say that samples come from.

    Attributes:
        data, test: tables, or .npz files; without the second, every fifth row of the first is for testing.
        targets: columns, or arrays, of labels. missing: what to put where a table has no number.
    """

    data: Path
    test: Path | None = None
    targets: tuple[str, ...] = ()
    missing: float | None = None


def read_given(given: Given, model: Model) -> tuple[tuple[Any, Any], tuple[Any, Any], dict[str, list[str]]]:
    """Returns ((x_train, y_train), (x_test, y_test)), and what labels that are texts say, by the names of columns.

    Raises:
        ConfigError: there are no labels, or they are for no output. DataError: a file does not fit the model.
    """
    first = _with_rows(_read_labelled(given, given.data, model, None), given.data)
    if given.test is not None:
        other = _with_rows(_read_labelled(given, given.test, model, first.classes), given.test)
        return _sides(first, model), _sides(other, model), first.classes
    x, y = _sides(first, model)
    if any(is_lazy(array) for array in tree.flatten((x, y))):
        raise ConfigError(f"{given.data} is too large to set a part of its rows aside: give --test FILE.")
    number = np.arange(sample_count(x))
    if len(number) < _FIFTH:
        raise DataError(
            f"{given.data} has {len(number)} row{'' if len(number) == 1 else 's'}, and every fifth row is set aside "
            f"for testing: there is none. Give {_FIFTH} rows or more, or others for testing with --test FILE."
        )
    kept, held_out = number % _FIFTH != _FIFTH - 1, number % _FIFTH == _FIFTH - 1
    return (rows(x, kept), rows(y, kept)), (rows(x, held_out), rows(y, held_out)), first.classes


# Every so many rows, one is for testing.
_FIFTH = 5


def _with_rows(found: Labelled, path: Path) -> Labelled:
    if not all(map(np.ndim, found.x.values())) or not sample_count(found.x):
        raise DataError(f"{path} has no rows.")
    return found


def _read_labelled(given: Given, path: Path, model: Model, classes: dict[str, list[str]] | None) -> Labelled:
    outputs = model._output_names() if model.built else []
    if is_table(path):
        if not given.targets:
            raise ConfigError(f"--target COLUMN says which column of {path} holds the labels.")
        return read_table(path, model._ports(), given.targets, given.missing, classes)
    if path.suffix.lower() != ".npz":
        raise ConfigError(f"--data and --test take tables, .csv and .parquet, and .npz files; got {path}.")
    found = read_archive(path)
    names = given.targets or tuple(name for name in (*outputs, "y") if name in found)
    absent = [name for name in names if name not in found]
    if absent or not names:
        wanted = ", ".join(map(repr, absent or (*outputs, "y")))
        raise ConfigError(f"{path} has no array {wanted} of labels; it has {', '.join(map(repr, found))}.")
    x = {name: array for name, array in found.items() if name not in names}
    return Labelled(x, {name: found[name] for name in names}, {})


def _sides(found: Labelled, model: Model) -> tuple[Any, Any]:
    """Returns (x, y) as `fit` takes them."""
    x = next(iter(found.x.values())) if len(found.x) == 1 else found.x
    outputs = model._output_names() if model.built else [""]
    if len(outputs) > 1:
        if set(found.y) - set(outputs):
            raise ConfigError(
                f"The model has the outputs {', '.join(map(repr, outputs))}: columns of labels must have their names; "
                f"got {', '.join(map(repr, found.y))}."
            )
        return x, found.y
    columns = list(found.y.values())
    return x, columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


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
