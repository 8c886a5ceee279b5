"""What commands print: text for people, or one JSON object."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from seqc.errors import ConfigError
from seqc.text import fold, printable, rows_text, table_text, terminal_width

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]

# Of a shape that is shown whole.
MOST_AXES = 16
# For an option: many more than machines have, and few enough to be started.
MOST_THREADS = 1024


class Screen:
    """Where a command prints: lines for people, or with JSON only the result.

    On a terminal, rows and tables keep to its width; elsewhere lines are as long as they are, for other programs.

    Args:
        as_json: whether JSON was asked for.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.width = None if as_json else terminal_width()
        self._out = sys.stdout

    def line(self, text: str = "") -> None:
        """Prints a line for people, or several."""
        shown = printable(text)
        if self.width is not None:
            shown = "\n".join(part for line in shown.split("\n") for part in fold(line, self.width))
        self._print(shown)

    def rows(self, rows: Sequence[tuple[str, str]]) -> None:
        """Prints names and what there is to say of them, aligned."""
        self._print(rows_text(rows, self.width))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
        """Prints a table; `right` are the columns to align on the right."""
        self._print(table_text(header, rows, right, self.width))

    def _print(self, text: str) -> None:
        if not self.as_json:
            typer.echo(text)

    def result(self, value: Mapping[str, Any]) -> None:
        """Prints the result of the command as JSON, if JSON was asked for."""
        if self.as_json:
            typer.echo(json.dumps(plain(value), indent=2), file=self._out)


@contextmanager
def screen(as_json: bool) -> Iterator[Screen]:
    """Yields a screen. With JSON, whatever anything else prints meanwhile goes to standard error."""
    shown = Screen(as_json)
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        yield shown


def check_output(path: Path, *endings: str) -> None:
    """Finds what keeps a file from being written, before any work is done for it.

    Args:
        path: of the file. endings: of its name, one of which it must have.

    Raises:
        ConfigError: its name ends otherwise. PathError, MissingFolderError: it cannot be written there.
    """
    from seqc.utils.files import check_target

    if path.suffix.lower() not in endings:
        known = " or ".join([", ".join(endings[:-1]), endings[-1]] if len(endings) > 1 else endings)
        raise ConfigError(f"The file to write must have a name that ends in {known}; got {path}.")
    check_target(path)


def keep_apart(path: Path, *read: Path) -> None:
    """Raises ConfigError where the file to write is one of those that are read."""
    for source in read:
        if path.exists() and source.exists() and path.samefile(source):
            raise ConfigError(f"{path} is read, and would be overwritten: give another file to write.")


def count(number: int, thing: str) -> str:
    """Returns a number of things: "1 thread", "2 threads"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def plain(value: Any) -> Any:
    """Returns a value as JSON can hold it: arrays as lists, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def number(value: float | None) -> str:
    """Returns a metric as people read it."""
    if value is None:
        return "?"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.4g}"


def amount(count: int | None) -> str:
    """Returns a large whole number with a unit: 1_234_567 -> "1.235 M"."""
    if count is None:
        return "?"
    size = float(count)
    for unit in ("", " k", " M", " G", " T"):
        if size < 1000 or unit == " T":
            return f"{size:.4g}{unit}" if unit else str(count)
        size /= 1000
    return ""


def duration(seconds: float) -> str:
    """Returns a time in the unit that fits it."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} us"


def shape_text(shape: Sequence[Any] | None) -> str:
    """Returns a shape in brackets, "?" for sizes that are not known, and the middle of a very long one left out.

    Of None, where not even the number of axes is known, it is "[...]".
    """
    if shape is None:
        return "[...]"
    sizes = ["?" if d is None else str(d) for d in shape]
    if len(sizes) > MOST_AXES:
        sizes[3:-3] = [f"... {len(sizes) - 6} more"]
    return "[" + ", ".join(sizes) + "]"
