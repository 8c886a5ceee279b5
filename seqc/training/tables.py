"""Tables of pandas, polars, pyarrow and Hugging Face, known by what they can do: their columns, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from seqc.errors import DataError
from seqc.graph.ir import Array
from seqc.graph.strings import as_strings, is_text, type_name
from seqc.stored import rows_of
from seqc.training.arrange import Port

_MISSING = ("NoneType", "NAType", "NaTType")


def is_table(value: Any) -> bool:
    """Tells whether a value has columns with names."""
    if hasattr(value, "columns") and hasattr(value, "to_numpy"):  # of pandas and polars
        return True
    return isinstance(getattr(value, "column_names", None), list | tuple) and hasattr(value, "__len__")


def columns_of(table: Any, what: str = "x") -> Mapping[str, Any]:
    """Returns the columns of a table by name; those of a dataset of Hugging Face are read when they are needed.

    Args:
        table: what `is_table` knows. what: how errors call it.

    Raises:
        DataError: two have the same name.
    """
    if hasattr(table, "select_columns"):
        return _LateColumns(table, what)
    names = _names(table)
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{what} has several columns {_listed(twice)}; give each a name of its own.")
    return {str(name): table[name] for name in names}


def _names(table: Any) -> list[Any]:
    return list(table.columns if hasattr(table, "to_numpy") else table.column_names)


class _LateColumns(Mapping[str, Any]):
    """The columns of a dataset of Hugging Face, of which rows are read when they are needed."""

    def __init__(self, table: Any, what: str) -> None:
        self._table, self._what = table, what

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.column_names)

    def __len__(self) -> int:
        return len(self._table.column_names)

    def __getitem__(self, name: str) -> Array:
        if name not in self._table.column_names:
            raise KeyError(name)
        view, count = self._table.select_columns([name]).with_format("numpy"), len(self._table)

        def read(take: Any) -> Any:
            return view[take][name]

        first = np.asarray(read(slice(0, 1))) if count else np.empty(0)
        return rows_of(read, (count, *first.shape[1:]), first, f"{self._what}['{name}']")


class InBatches:
    """The rows of a stream of Hugging Face, so many at a time.

    Args:
        stream: has `iter(batch_size)`. size: samples in a batch.
    """

    def __init__(self, stream: Any, size: int) -> None:
        self._stream, self._size = stream, size

    def __iter__(self) -> Iterator[Any]:
        return iter(self._stream.with_format("numpy").iter(self._size))


def is_stream(value: Any) -> bool:
    """Tells whether a value gives rows with names, one after the other, and can give several at a time."""
    return hasattr(value, "iter") and hasattr(value, "with_format") and not hasattr(value, "__len__")


def by_columns(x: Any, y: Any, ports: Sequence[Port], outputs: Sequence[str], labels: bool) -> tuple[Any, Any]:
    """Returns (x, y) of a table, or of a dictionary that may hold labels beside the samples; of others, themselves.

    Args:
        ports: the model's inputs, none before it is built. outputs: names of its outputs.
        labels: whether x may hold the labels.

    Raises:
        DataError: it cannot be told which column is which.
    """
    table = is_table(x)
    if not table and not isinstance(x, Mapping):
        return x, y
    names = [port.name for port in ports]
    if table:
        if _is_matrix(x, ports):
            return x, y
        if not ports:
            raise DataError(
                f"The columns of {_class_of(x)}, {_listed(x.column_names)}, are told by the names of a model's inputs, "
                "and this model has none yet. Begin it with Input(shape, name=...)."
            )
    elif not names or not labels or not set(names) < set(x):
        tables = [key for key, one in x.items() if is_table(one)]
        if tables and not (names and set(names) <= set(x)):
            raise DataError(f"x is a dictionary of tables: {_listed(tables)}. Choose one: x['{tables[0]}'].")
        return x, y
    found, rest = take_columns(columns_of(x) if table else x, names, outputs, labels)
    return found, rest if y is None else y


def _is_matrix(table: Any, ports: Sequence[Port]) -> bool:
    """Tells whether all columns of a table together are the one input."""
    if hasattr(table, "select_columns"):
        return False
    if len(ports) != 1:
        return not ports
    names, shape = [str(name) for name in _names(table)], ports[0].shape
    fits = shape is not None and len(shape) == 2 and shape[-1] == len(names) > 1
    return fits or ports[0].name not in names


def take_columns(
    columns: Mapping[str, Any], inputs: Sequence[str], outputs: Sequence[str], labels: bool
) -> tuple[Any, Any]:
    """Returns (x, y) of columns: those that are called as an input, and those that are called as an output or are left.

    Args:
        columns: by name. inputs, outputs: names of the model's.
        labels: whether there are to be labels; without, what is no input is left out.

    Raises:
        DataError: an input has no column, or nobody knows which one holds the labels.
    """
    shown = _listed(columns)
    missing = [name for name in inputs if name not in columns]
    if missing:
        raise DataError(
            f"The model takes {_listed(inputs)}; the columns are {shown}: {_listed(missing)} missing. Name the columns "
            "as the inputs, or the inputs as the columns: Input(..., name=...)."
        )
    x = {name: columns[name] for name in inputs}
    rest = [name for name in columns if name not in x]
    if not labels or not rest:
        return x, None
    named = [name for name in outputs if name in rest]
    if named and len(outputs) > 1:
        return x, {name: columns[name] for name in named}
    if named or len(rest) == 1:
        return x, columns[(named or rest)[0]]
    raise DataError(
        f"Which column holds the labels? {_listed(rest)} are no inputs, and none is called as the output "
        f"({_listed(outputs)}). Give y itself, or leave the other columns out."
    )


def column_array(column: Any, what: str) -> Array:
    """Returns a column, or a table of numbers, as one array.

    Raises:
        DataError: a value is missing where numbers or texts are, or it holds something else.
    """
    array = np.asarray(column.to_numpy() if hasattr(column, "to_numpy") else column)
    if is_table(column) and array.dtype == object and not is_text(array):
        return _side_by_side(column, what)
    if is_text(array):
        return as_strings(array)
    if array.dtype == object:
        _refuse_missing(array, what)
    return array


def _side_by_side(table: Any, what: str) -> Array:
    """Returns a table whose columns are numbers of several kinds."""
    arrays = {name: column_array(column, f"{what}['{name}']") for name, column in columns_of(table).items()}
    others = [f"'{name}' ({type_name(a)})" for name, a in arrays.items() if a.dtype.kind not in "fiub"]
    if others:
        raise DataError(
            f"{what} is a table, and its columns {', '.join(others)} are no numbers. Turn them into numbers, or make "
            "a model with an input for each column, of the column's name."
        )
    return np.stack(list(arrays.values()), axis=1)


def _refuse_missing(array: Array, what: str) -> None:
    gaps = [i for i, one in enumerate(array.flat) if type(one).__name__ in _MISSING or one != one]
    if gaps:
        raise DataError(
            f"{what} has no value in {len(gaps)} of {array.size} places, the first at row "
            f"{gaps[0] // max(1, array.size // len(array))}. Fill them, or leave these rows out."
        )


def _class_of(value: Any) -> str:
    return f"{type(value).__module__.split('.')[0]}.{type(value).__qualname__}"


def _listed(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in names)
