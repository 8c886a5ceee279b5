"""Tables of text: comma-separated values."""

from __future__ import annotations

import contextlib
import csv
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import TextIO

from seqc_runtime.errors import RuntimeInputError
from seqc_runtime.files.cells import MISSING, explain, is_number, values
from seqc_runtime.files.columns import Choice, Part, flat, lay_out, output_columns
from seqc_runtime.inputs import Array
from seqc_runtime.tensors import TensorInfo

Row = tuple[int, list[str]]
# Characters of a line: files of anything else may have none that ends.
_LONGEST = 1 << 26


class CsvReader:
    """Samples in the rows of a text. Values are set apart by the first of tab, semicolon and comma in the first line.

    stream: the text. name: of the file, for errors. infos: the model's inputs. choice: which columns hold which input.
    header: whether the first row holds names; None finds out. fill: what to put where a number is missing.
    """

    def __init__(
        self,
        stream: TextIO,
        name: str,
        infos: Sequence[TensorInfo],
        choice: Choice | None = None,
        header: bool | None = None,
        fill: float | None = None,
    ) -> None:
        self._name = name
        self._stream = stream
        self._fill = fill
        self._width = 0
        self._rows = self._read(stream)
        first = next(self._rows, None)
        if first is None:
            raise RuntimeInputError(f"{name} is empty: rows of values were expected")
        line, cells = first
        self._width = len(cells)
        self.names = [cell.strip() for cell in cells]
        if not self._is_header(line, infos, header):
            self.names = [str(number) for number in range(len(cells))]
            self._rows = itertools.chain([first], self._rows)
        parts = lay_out(infos, self.names, choice)
        self._parts = [(part, [self.names.index(column) for column in part.columns]) for part in parts]

    def chunks(self, step: int) -> Iterator[dict[str, Array]]:
        """Inputs of up to `step` samples each; at least one, which may be empty."""
        taken = list(itertools.islice(self._rows, step))
        yield self._inputs(taken)
        while taken := list(itertools.islice(self._rows, step)):
            yield self._inputs(taken)

    def expected(self, done: int) -> int | None:
        """How many samples there seem to be, by how much of the file held those that are done."""
        try:
            size, read = os.fstat(self._stream.fileno()).st_size, self._stream.buffer.tell()
        except (AttributeError, OSError):  # not a file
            return None
        return max(done, round(done * size / read)) if size and read else None

    def _inputs(self, rows: Sequence[Row]) -> dict[str, Array]:
        return {part.info.name: self._input(part, places, rows) for part, places in self._parts}

    def _input(self, part: Part, places: list[int], rows: Sequence[Row]) -> Array:
        if places == list(range(self._width)):
            cells = [row for _, row in rows]
        else:
            cells = [[row[place] for place in places] for _, row in rows]
        try:
            return part.assemble(values(part, cells, self._fill))
        except (ValueError, KeyError, OverflowError) as error:
            lines = [line for line, _ in rows]
            raise explain(self._name, part, cells, lines, self._fill is not None) from error

    def _read(self, stream: TextIO) -> Iterator[Row]:
        """Rows with the numbers of their lines; empty lines are none, unless there is but one column."""
        lines = _lines(stream, self._name)
        start = []
        for line in lines:
            start.append(line)
            if line.strip():
                break
        # Strict, so that a quote nobody closes does not swallow the rows that follow.
        table = csv.reader(itertools.chain(start, lines), delimiter=_delimiter("".join(start)), strict=True)
        while True:
            try:
                row = next(table)
            except StopIteration:
                return
            except csv.Error as error:
                raise RuntimeInputError(f"{self._name}, line {table.line_num}: {error}") from error
            if not row and self._width == 1:
                row = [""]
            if row:
                if len(row) != (self._width or len(row)):
                    raise RuntimeInputError(
                        f"{self._name}, line {table.line_num}: {len(row)} values; the first line has {self._width}"
                    )
                yield table.line_num, row

    def _is_header(self, line: int, infos: Sequence[TensorInfo], told: bool | None) -> bool:
        cells = self.names
        if told is not None:
            return told
        if len(cells) > 1 and cells == [str(number) for number in range(len(cells))]:
            raise RuntimeInputError(
                f"{self._name}, line {line}: 0, 1, 2, ... may be names of columns or a sample: "
                "say --header or --no-header"
            )
        if any(info.dtype == "str" for info in infos):
            if any(cell.startswith(info.name) for cell in cells for info in infos):
                return True
            raise RuntimeInputError(
                f"{self._name}, line {line}: texts may be names of columns or a sample: say --header or --no-header"
            )
        return any(not is_number(cell) and cell.lower() not in MISSING for cell in cells)


def _lines(stream: TextIO, name: str) -> Iterator[str]:
    for number in itertools.count(1):
        try:
            line = stream.readline(_LONGEST)
        except UnicodeDecodeError as error:
            raise RuntimeInputError(f"{name}, after line {number - 1}: this is not UTF-8 text: {error}") from error
        if not line:
            return
        if len(line) == _LONGEST:
            raise RuntimeInputError(f"{name}, line {number}: the line is longer than {_LONGEST} characters")
        if "\0" in line:
            raise RuntimeInputError(f"{name}, line {number}: there is a zero byte, so this is no text")
        yield line


def _delimiter(line: str) -> str:
    return next((mark for mark in "\t;," if mark in line), ",")


class CsvWriter:
    """Writes outputs as rows of text, under a line of names."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._writer = csv.writer(stream, lineterminator="\n")
        self._started = False

    def write(self, results: Sequence[tuple[TensorInfo, Array]]) -> None:
        """Append rows."""
        if not self._started:
            self._writer.writerow([name for info, result in results for name in output_columns(info, result.shape[1:])])
            self._started = True
        columns = [_cells(flat(result)) for _, result in results]
        self._writer.writerows(itertools.chain.from_iterable(row) for row in zip(*columns, strict=True))

    def close(self) -> None:
        """Finish the text, and close the stream."""
        self._stream.close()

    def discard(self) -> None:
        """Close the stream as it is."""
        # Closing writes what is left, for which the disk may have no room.
        with contextlib.suppress(OSError):
            self._stream.close()


def _cells(numbers: Array) -> Iterator[Sequence[object]]:
    """Rows of cells; floats with the fewest digits that give the same float of their own precision."""
    if numbers.dtype.kind == "f" and numbers.dtype.itemsize < 8:
        return (list(map(str, row)) for row in numbers)
    return iter(numbers.tolist())
