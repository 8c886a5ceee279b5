"""Tables of text: comma-separated values."""

from __future__ import annotations

import contextlib
import csv
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from typing import TextIO

from seqc_runtime.errors import RuntimeInputError
from seqc_runtime.files.cells import ADVICE, MISSING, explain, is_value, values
from seqc_runtime.files.columns import Choice, Part, flat, lay_out, numbers_of, output_columns
from seqc_runtime.inputs import Array
from seqc_runtime.tensors import TensorInfo

Row = tuple[int, list[str]]
# Characters of a line: files of anything else may have none that ends.
_LONGEST = 1 << 26
# Lines among which the first two rows are looked for.
_HEAD = 32
_QUOTED = re.compile(r'(^|[\t;,\r\n])"(?:[^"]|"")*"')
_OPEN = re.compile(r'(?:^|[\t;,\r\n])"')


class Table:
    """The rows of a text. Values are set apart by tabs, semicolons or commas, whichever cut its first two rows alike.

    stream: the text. name: of the file, for errors. infos: the model's inputs.
    header: whether the first row holds names; None finds out. advice: how to say it, for errors.
    """

    def __init__(
        self,
        stream: TextIO,
        name: str,
        infos: Sequence[TensorInfo],
        header: bool | None = None,
        advice: str = "--header or --no-header",
    ) -> None:
        self._name = name
        self._advice = advice
        self.width = 0
        self.rows = self._read(stream)
        first = next(self.rows, None)
        if first is None:
            raise RuntimeInputError(f"{name} is empty: rows of values were expected")
        line, cells = first
        self.width = len(cells)
        self.names = [cell.strip() for cell in cells]
        if header is None:
            second = list(itertools.islice(self.rows, 1))
            self.rows = itertools.chain(second, self.rows)
            header = self._is_header(line, infos, second[0][1] if second else None)
        if not header:
            self.names = [str(number) for number in range(len(cells))]
            self.rows = itertools.chain([first], self.rows)

    def _read(self, stream: TextIO) -> Iterator[Row]:
        """Rows with the numbers of their lines; empty lines are none: a row of an empty text is a pair of quotes."""
        lines = _lines(stream, self._name)
        start, delimiter = _begin(lines)
        # Strict, so that a quote nobody closes does not swallow the rows that follow.
        table = csv.reader(itertools.chain(start, lines), delimiter=delimiter, strict=True)
        while True:
            try:
                row = next(table)
            except StopIteration:
                return
            except csv.Error as error:
                raise RuntimeInputError(f"{self._name}, line {table.line_num}: {error}") from error
            if row:
                if len(row) != (self.width or len(row)):
                    raise RuntimeInputError(
                        f"{self._name}, line {table.line_num}: {len(row)} values; the first line has {self.width}"
                    )
                yield table.line_num, row

    def _is_header(self, line: int, infos: Sequence[TensorInfo], second: list[str] | None) -> bool:
        """Whether the first row holds names. What may be either is refused: a sample would be lost without a word.

        second: the row below; None where there is none, and names alone would be no samples at all.
        """
        cells = self.names
        if len(cells) > 1 and cells == [str(number) for number in range(len(cells))]:
            if second is not None:
                raise self._unclear(line, "0, 1, 2, ... may be names of columns or a sample")
            return False
        if any(cell == info.name or numbers_of(cell, info.name) is not None for cell in cells for info in infos):
            return True
        if any(info.dtype == "str" for info in infos):
            if second is not None:
                raise self._unclear(line, "texts may be names of columns or a sample")
            return False
        texts = [place for place, cell in enumerate(cells) if _is_text(cell)]
        number = next((cell for cell in cells if is_value(cell)), None)
        if not texts or number is None:
            return bool(texts)
        # a, b, c, 2020 above numbers.
        if second is not None and 2 * len(texts) > len(cells) and not any(_is_text(second[place]) for place in texts):
            return True
        text = cells[texts[0]]
        raise self._unclear(line, f"{text[:40]!r} may be the name of a column, and {number[:40]!r} a value")

    def _unclear(self, line: int, what: str) -> RuntimeInputError:
        return RuntimeInputError(f"{self._name}, line {line}: {what}: say {self._advice}")


class CsvReader:
    """Samples in the rows of a text.

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
        self._table = Table(stream, name, infos, header)
        names = self._table.names
        self._parts = [
            (part, [names.index(column) for column in part.columns]) for part in lay_out(infos, names, choice)
        ]

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return self._table.names

    def chunks(self, step: int) -> Iterator[dict[str, Array]]:
        """Inputs of up to `step` samples each; at least one, which may be empty."""
        taken = list(itertools.islice(self._table.rows, step))
        yield self._inputs(taken)
        while taken := list(itertools.islice(self._table.rows, step)):
            yield self._inputs(taken)

    def expected(self, done: int) -> int | None:
        """How many samples there seem to be, by how much of the file held those that are done."""
        try:
            size, read = os.fstat(self._stream.fileno()).st_size, self._stream.buffer.tell()
        except (AttributeError, OSError):  # not a file
            return None
        return max(done, round(done * size / read)) if size and read else None

    def _inputs(self, rows: Sequence[Row]) -> dict[str, Array]:
        return {
            part.info.name: part.assemble(read_values(self._name, part, places, rows, self._fill))
            for part, places in self._parts
        }


def read_values(
    name: str, part: Part, places: list[int], rows: Sequence[Row], fill: float | None = None, advice: str = ADVICE
) -> Array:
    """What rows hold of an input, one row of values for each sample.

    name: of the file, for errors. places: of the part's columns. fill, advice: as `values` and `explain` have them.

    Raises RuntimeInputError.
    """
    cells = [row for _, row in rows]
    if rows and places != list(range(len(cells[0]))):
        cells = [[row[place] for place in places] for row in cells]
    try:
        return values(part, cells, fill)
    except (ValueError, KeyError, OverflowError) as error:
        raise explain(name, part, cells, [line for line, _ in rows], fill is not None, advice) from error


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


def _is_text(cell: str) -> bool:
    return not is_value(cell) and cell.strip().lower() not in MISSING


def _begin(lines: Iterator[str]) -> tuple[list[str], str]:
    """The lines of the first two rows, and what sets their values apart."""
    taken: list[str] = []
    rows: list[str] = []
    for line in lines:
        taken.append(line)
        # What is in quotes is part of a value, ends of lines too; a quote that stays opens a value that goes on.
        bare = _QUOTED.sub(r"\1_", "".join(taken))
        rows = [row for row in re.split(r"[\r\n]+", bare) if row.strip()]
        if len(taken) == _HEAD or (len(rows) > 1 and not _OPEN.search(bare)):
            break
    marks = [mark for mark in "\t;," if rows and mark in rows[0]]
    alike = [mark for mark in marks if len(rows) > 1 and rows[0].count(mark) == rows[1].count(mark)]
    return taken, next(iter(alike + marks), ",")


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
