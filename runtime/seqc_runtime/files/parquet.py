"""Parquet files, with pyarrow."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from seqc_runtime.errors import RuntimeDependencyError, RuntimeInputError
from seqc_runtime.files.cells import ADVICE
from seqc_runtime.files.columns import Choice, Part, lay_out
from seqc_runtime.inputs import Array, cast
from seqc_runtime.tensors import TensorInfo


def import_pyarrow() -> Any:
    """Returns pyarrow and its part for Parquet. Raises RuntimeDependencyError with the command that installs it."""
    try:
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise RuntimeDependencyError(
            f'Parquet files need pyarrow: pip install "seqc-runtime[cpu,server,parquet]" ({error})'
        ) from error
    return pyarrow


# Bytes of a column that are read at once.
_BUFFER = 1 << 20
# Rows, or bytes, of a group that is written.
_GROUP_ROWS, _GROUP_BYTES = 1 << 17, 1 << 25


class ParquetReader:
    """Samples in the rows of a table. Columns hold numbers, texts, or lists of one length.

    name: of the file, for errors. file: a pyarrow ParquetFile. fill: what to put where a number is missing.
    """

    def __init__(
        self,
        name: str,
        file: Any,
        infos: Sequence[TensorInfo],
        choice: Choice | None = None,
        fill: float | None = None,
    ) -> None:
        self._name = name
        self._file = file
        self._fill = fill
        schema = file.schema_arrow
        wide = [field.name for field in schema if _is_nested(field.type)]
        self.names = list(schema.names)
        self._parts = lay_out(infos, self.names, choice, wide)

    def expected(self, done: int) -> int:
        """How many samples there are."""
        return int(self._file.metadata.num_rows)

    def chunks(self, step: int) -> Iterator[dict[str, Array]]:
        """Inputs of up to `step` samples each; at least one, which may be empty."""
        names = sorted({column for part in self._parts for column in part.columns})
        at = 0
        for table in _even(self._read(step, names), step):
            yield self._inputs(table, at)
            at += len(table)
        if not at:
            yield self._inputs(self._file.schema_arrow.empty_table().select(names), 0)

    def _read(self, step: int, names: Sequence[str]) -> Iterator[Any]:
        try:
            yield from self._file.iter_batches(batch_size=step, columns=names)
        except (import_pyarrow().ArrowException, OSError) as error:
            raise RuntimeInputError(f"{self._name} is damaged: {error}") from error

    def _inputs(self, table: Any, at: int) -> dict[str, Array]:
        return {part.info.name: self._input(part, table, at) for part in self._parts}

    def _input(self, part: Part, table: Any, at: int) -> Array:
        columns = [self._column(table, name, at, part.info) for name in part.columns]
        if not len(table) and columns[0].ndim > 1:
            # Without a list nothing says how long lists are.
            return np.empty((0, *(max(size, 0) for size in part.row or ())), columns[0].dtype)
        return columns[0] if columns[0].ndim > 1 else part.stack(columns)

    def _column(self, table: Any, name: str, at: int, info: TensorInfo) -> Array:
        pieces = table.column(name).chunks or [_none(table, name)]
        column = import_pyarrow().concat_arrays([_storage(piece) for piece in pieces])
        shape = [len(column)]
        while _is_nested(column.type):
            self._refuse_missing(column, name, at, shape)
            shape.append(self._width(column, name))
            column = column.flatten()
        kind = pieces[0].type
        if self._fill is not None and info.dtype != "str":
            return _in_shape(self._filled(column, info, self._fill).reshape(shape), kind)
        self._refuse_missing(column, name, at, shape, "" if info.dtype == "str" else ADVICE)
        values: Array = column.to_numpy(zero_copy_only=False)
        return _in_shape(values.reshape(shape), kind)

    def _filled(self, column: Any, info: TensorInfo, fill: float) -> Array:
        """The values as what the input takes, which the fill need not be in the column's own type."""
        types = import_pyarrow().types
        if types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if types.is_null(column.type):
            column = column.cast(import_pyarrow().from_numpy_dtype(info.numpy_dtype))
        if types.is_floating(column.type):
            values: Array = column.to_numpy(zero_copy_only=False)
            # As in a table of text, where NaN is one of the words for what is missing.
            missing = np.isnan(values)
        else:
            missing = column.is_null().to_numpy(zero_copy_only=False)
            if missing.any() and (types.is_boolean(column.type) or types.is_integer(column.type)):
                # With any value of theirs: whole numbers among which some are missing would become floats.
                column = column.fill_null(False if types.is_boolean(column.type) else 0)
            values = column.to_numpy(zero_copy_only=False)
        values = cast(values, info)
        return np.where(missing, _as_value(fill, info), values) if missing.any() else values

    def _refuse_missing(self, column: Any, name: str, at: int, shape: Sequence[int], advice: str = ADVICE) -> None:
        if column.null_count:
            row = at + column.is_null().to_numpy(zero_copy_only=False).argmax() // max(math.prod(shape[1:]), 1)
            raise RuntimeInputError(f"{self._name}, row {row}, column {name!r}: the value is missing{advice}")

    def _width(self, column: Any, name: str) -> int:
        if hasattr(column.type, "list_size"):
            return int(column.type.list_size)
        if not hasattr(column, "value_lengths") or import_pyarrow().types.is_map(column.type):
            raise RuntimeInputError(
                f"{self._name}, column {name!r} holds {column.type}: numbers or lists were expected"
            )
        widths = set(column.value_lengths().unique().to_pylist())
        if len(widths) > 1:
            few = ", ".join(map(str, sorted(widths)[:4]))
            raise RuntimeInputError(
                f"{self._name}, column {name!r} holds lists of different lengths ({few}): fill them up to one length"
            )
        return int(widths.pop()) if widths else 0


def _as_value(fill: float, info: TensorInfo) -> Array:
    """What is put where a value is missing, in the type of an input. Raises RuntimeInputError where that has none."""
    kind = info.numpy_dtype.kind
    if (kind in "iu" and fill % 1 != 0) or (kind == "b" and fill not in (0, 1)):
        raise RuntimeInputError(f"--missing {fill:g} cannot be put into input {info.name!r}, which needs {info}")
    return cast(np.array({"f": float, "b": bool}.get(kind, int)(fill)), info)


def _is_nested(kind: Any) -> bool:
    return bool(import_pyarrow().types.is_nested(getattr(kind, "storage_type", kind)))


def _in_shape(values: Array, kind: Any) -> Array:
    """Rows of values, in the shape that Arrow's type for tensors of one shape gives each."""
    if getattr(kind, "extension_name", None) != "arrow.fixed_shape_tensor":
        return values
    tensors = values.reshape(len(values), *kind.shape)
    return tensors if kind.permutation is None else tensors.transpose(0, *(1 + axis for axis in kind.permutation))


def _storage(column: Any) -> Any:
    return getattr(column, "storage", column)


def _none(table: Any, name: str) -> Any:
    arrow = import_pyarrow()
    return arrow.array([], table.schema.field(name).type)


def _even(batches: Iterator[Any], step: int) -> Iterator[Any]:
    """Tables of `step` rows each, the last of fewer, whatever the file's own groups are."""
    arrow = import_pyarrow()
    held: Any = None
    for batch in batches:
        table = arrow.Table.from_batches([batch])
        held = table if held is None else arrow.concat_tables([held, table])
        while len(held) >= step:
            yield held.slice(0, step)
            held = held.slice(step)
    if held is not None and len(held):
        yield held


@contextlib.contextmanager
def open_parquet(
    path: Path, infos: Sequence[TensorInfo], choice: Choice | None = None, fill: float | None = None
) -> Iterator[ParquetReader]:
    """The samples of a file. Raises RuntimeInputError when it is no Parquet file."""
    arrow = import_pyarrow()
    try:
        # pyarrow would hold whole groups of rows, which may be the whole file.
        file = arrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER, page_checksum_verification=True)
    except (arrow.ArrowInvalid, arrow.ArrowNotImplementedError) as error:
        raise RuntimeInputError(f"{str(path)!r} is not a Parquet file: {error}") from error
    with file:
        yield ParquetReader(str(path), file, infos, choice, fill)


class ParquetWriter:
    """Writes each output as a column: of numbers, or of lists of a fixed length. An open file stays open."""

    def __init__(self, path: Path | BinaryIO) -> None:
        self._path = path
        self._arrow = import_pyarrow()
        self._writer: Any = None
        self._held: list[Any] = []

    def write(self, results: Sequence[tuple[TensorInfo, Array]]) -> None:
        """Append rows."""
        table = self._arrow.table({info.name: self._column(result) for info, result in results})
        if self._writer is None:
            self._writer = self._arrow.parquet.ParquetWriter(self._path, table.schema)
        if table.schema != self._writer.schema:
            raise RuntimeInputError(
                f"outputs change their shape between samples: {self._writer.schema} first, {table.schema} later: "
                "columns hold lists of one length"
            )
        self._held.append(table)
        if sum(map(len, self._held)) >= _GROUP_ROWS or sum(one.nbytes for one in self._held) >= _GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        self._writer.write_table(self._arrow.concat_tables(self._held))
        self._held.clear()

    def close(self) -> None:
        """Write what is held, and what a Parquet file ends with."""
        if self._writer is not None:
            self._write_group()
            self._writer.close()

    def discard(self) -> None:
        """Close the file as it is."""
        if self._writer is not None:
            # Closing writes, for which the disk may have no room.
            with contextlib.suppress(OSError):
                self._writer.close()

    def _column(self, result: Array) -> Any:
        flat = np.ascontiguousarray(result).reshape(-1)
        column = self._arrow.array(flat, type=self._arrow.string() if result.dtype == object else None)
        for size in reversed(result.shape[1:]):
            column = self._arrow.FixedSizeListArray.from_arrays(column, size)
        return column
