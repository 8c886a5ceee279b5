"""Tables of text (.csv) and of Parquet as data of a model: columns by the names of its inputs, and columns of labels.

They are read in blocks by seqc-runtime, whose `score` reads the same files; a large array lies in a file without a name
meanwhile, of which rows are read when they are needed.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc.cli._kinds import require_file
from seqc.cli._runtime import load_runtime
from seqc.errors import ConfigError, DataError, MissingDependencyError

if TYPE_CHECKING:
    from seqc.graph.ir import Array
    from seqc.training.arrange import Port

TABLES = (".csv", ".parquet")
# Rows that are read at once, and bytes of an array from which on it lies in a file.
STEP, MOST_BYTES = 1 << 14, 1 << 28
# How labels are called among the inputs, so that no input has the name.
_LABEL = "label:"


@dataclass(frozen=True)
class Labelled:
    """What a table holds.

    Attributes:
        x: an array for each input, by name. y: of each column of labels, by name. classes: what labels that are texts
        say, sorted, by the column's name; the numbers in y are their places.
    """

    x: dict[str, Array]
    y: dict[str, Array]
    classes: dict[str, list[str]]


def is_table(path: Path) -> bool:
    """Tells whether a path is that of a table, by its ending."""
    return path.suffix.lower() in TABLES


def read_table(
    path: Path,
    inputs: Sequence[Port],
    targets: Sequence[str] = (),
    missing: float | None = None,
    classes: Mapping[str, list[str]] | None = None,
    numbers: bool = False,
) -> Labelled:
    """Returns what a table holds for a model.

    Args:
        inputs: the model's. targets: columns of labels. missing: what to put where a number is missing.
        classes: what labels that are texts say, by column; where it is given, labels of other columns are numbers:
        texts would be numbered by those that happen to be there. numbers: whether labels may be numbers there, too.

    Raises:
        ConfigError: there is no such column. DataError: the columns do not fit the inputs, a cell cannot be read, or
        labels are none of `classes`. MissingDependencyError: a package is missing that reads such files.
    """
    load_runtime(f"Reading {path}")
    require_file(path)
    from seqc_runtime.tensors import TensorInfo

    infos = [TensorInfo(p.name, "str" if p.dtype == "string" else p.dtype, _open(p.shape)) for p in inputs]
    text = any(info.dtype == "str" for info in infos)
    with _said(path):
        with _open_table(path, (), None, None, True if targets or text else None) as reader:
            names = list(reader.names)
        absent = [name for name in targets if name not in names]
        if absent:
            raise ConfigError(f"{path} has no column {_quoted(absent)}; it has {_quoted(names)}.")
        choice: dict[str, list[str]] = {_LABEL + name: [name] for name in targets}
        if len(infos) == 1 and targets and not _has(infos[0].name, names):
            choice[infos[0].name] = [name for name in names if name not in targets]
        labels = [TensorInfo(_LABEL + name, "str", ("batch", 1)) for name in targets]
        with _open_table(path, [*infos, *labels], choice or None, missing, True if targets or text else None) as reader:
            found = _collected(reader.chunks(STEP), {p.name: p.dtype for p in inputs}, _LABEL)
    y, said = {}, {}
    for name in targets:
        known = None if classes is None else classes.get(name, [])
        y[name], kinds = _labels(found.pop(_LABEL + name), f"{path}, column '{name}'", known, numbers)
        if kinds is not None:
            said[name] = kinds
    return Labelled(found, y, said)


def _open(shape: tuple[int | None, ...] | None) -> tuple[int | str, ...]:
    """Returns a shape as seqc-runtime has it."""
    given = (None, None) if shape is None else shape
    return tuple(("batch" if i == 0 else f"axis {i}") if size is None else size for i, size in enumerate(given))


def _has(name: str, columns: Sequence[str]) -> bool:
    """Tells whether columns are called as an input is, or as its parts are: x, or x_0 and so on."""
    from seqc_runtime.files.columns import numbers_of

    return name in columns or any(numbers_of(column, name) is not None for column in columns)


@contextlib.contextmanager
def _open_table(
    path: Path, infos: Sequence[Any], choice: Any, missing: float | None, header: bool | None
) -> Iterator[Any]:
    if path.suffix.lower() == ".parquet":
        from seqc_runtime.files.parquet import open_parquet

        with open_parquet(path, infos, choice, missing) as table:
            yield table
        return
    from seqc_runtime.files.csv_files import CsvReader

    with open(path, encoding="utf-8-sig", newline="") as stream:
        yield CsvReader(stream, str(path), infos, choice, header, missing)


@contextlib.contextmanager
def _said(path: Path) -> Iterator[None]:
    """Turns the errors of seqc-runtime into those of seqc, with the way to say here which column is which."""
    from seqc_runtime.errors import RuntimeDependencyError, SeqcRuntimeError

    try:
        yield
    except RuntimeDependencyError as error:
        raise MissingDependencyError(f"{path}: Parquet files are read with pyarrow: pip install pyarrow") from error
    except SeqcRuntimeError as error:
        text = str(error).replace(": say which with columns", "").replace(f"input '{_LABEL}", "the label '")
        text = text.replace(": say --header or --no-header", ". A table needs a first row with names here")
        hint = "" if path.name in text else f"{path}: "
        raise DataError(f"{hint}{text}. Columns are told by the names of the model's inputs.") from error


def _collected(chunks: Iterator[dict[str, Array]], dtypes: Mapping[str, str], label: str) -> dict[str, Array]:
    """Returns the parts of each array as one, of a large one in a file without a name."""
    parts: dict[str, _Parts] = {}
    with contextlib.ExitStack() as files:  # what is mapped stays when its file is closed
        for chunk in chunks:
            for name, array in chunk.items():
                dtype = dtypes.get(name)
                cast = array if name.startswith(label) or dtype == "string" else array.astype(dtype, copy=False)
                parts.setdefault(name, _Parts(files)).add(cast)
        return {name: part.whole() for name, part in parts.items()}


class _Parts:
    """Parts of one array, which go into a file, closed with `files`, when they are many."""

    def __init__(self, files: contextlib.ExitStack) -> None:
        self._files = files
        self._held: list[Array] = []
        self._bytes = self._rows = 0
        self._file: Any = None

    def add(self, part: Array) -> None:
        """Adds rows."""
        self._held.append(part)
        self._rows += len(part)
        self._bytes += part.nbytes
        if part.dtype != object and (self._file is not None or self._bytes > MOST_BYTES):
            if self._file is None:
                self._file = self._files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  (the stack is one)
            self._file.writelines(np.ascontiguousarray(one).data for one in self._held)
            self._held = [part[:0]]

    def whole(self) -> Array:
        """Returns all rows."""
        if self._file is None:
            return np.concatenate(self._held)
        self._file.flush()
        shape = (self._rows, *self._held[0].shape[1:])
        return np.memmap(self._file, self._held[0].dtype, "r", shape=shape) if prod(shape) else np.empty(shape)


def _labels(cells: Array, what: str, known: list[str] | None, numbers: bool = False) -> tuple[Array, list[str] | None]:
    """Returns labels as numbers, and what they say where they are texts.

    Args:
        known: what texts may say, in the order of their numbers, empty where labels are numbers; None, whatever there
        is. numbers: whether labels may be numbers although texts are known.

    Raises:
        DataError: one is missing, or none of those known.
    """
    from seqc_runtime.files.cells import MISSING

    flat = cells.reshape(len(cells)) if cells.size == len(cells) else cells
    if flat.dtype != object:
        return flat, None
    texts = [str(cell).strip() for cell in flat]
    gaps = [i for i, text in enumerate(texts) if text.lower() in MISSING]
    if gaps:
        raise DataError(f"{what} has no value in {len(gaps)} of {len(texts)} rows, the first is row {gaps[0]}.")
    others = sorted(set(texts) - set(known or ()))
    if not known or (numbers and others):
        found = _numbers(texts)
        if found is not None:
            return found, None
    classes = sorted(set(texts)) if known is None else known
    if not classes:
        raise DataError(
            f"{what} holds {_quoted([t for t in others if _numbers([t]) is None][:5])}, and nothing says which number "
            "such a class has: number the labels."
        )
    if known is not None and others:
        raise DataError(f"{what} holds {_quoted(others[:5])}, which is none of the classes {_quoted(classes[:20])}.")
    places = {text: place for place, text in enumerate(classes)}
    return np.array([places[text] for text in texts], np.int64), classes


def _numbers(texts: Sequence[str]) -> Array | None:
    """Returns numbers that are written in texts, None where one is something else."""
    if any("_" in text for text in texts):  # Python reads 1_0 as ten
        return None
    for kind in (np.int64, np.float64):
        with contextlib.suppress(ValueError, OverflowError):
            return np.array([kind(text) for text in texts])
    return None


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "nothing"
