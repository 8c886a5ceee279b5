"""What commands print: text for people, or one JSON object."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]


class Screen:
    """Where a command prints: lines for people, or with JSON only the result.

    Args:
        as_json: whether JSON was asked for.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._out = sys.stdout

    def line(self, text: str = "") -> None:
        """Prints a line for people."""
        if not self.as_json:
            typer.echo(text)

    def rows(self, rows: Sequence[tuple[str, str]]) -> None:
        """Prints names and what there is to say of them, aligned."""
        width = max((len(name) for name, _ in rows), default=0)
        for name, text in rows:
            self.line(f"{name:<{width}}  {text}".rstrip())

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
        """Prints a table; `right` are the columns to align on the right."""
        self.line(table(header, rows, right))

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


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Returns columns under underlined headings, as wide as their contents."""
    everything = [header, *rows]
    widths = [max(len(row[i]) for row in everything) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = (c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        return "  ".join(cells).rstrip()

    return "\n".join([line(header), "  ".join("-" * w for w in widths), *map(line, rows)])


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


def shape_text(shape: Sequence[Any]) -> str:
    """Returns a shape in brackets, "?" for sizes that are not known."""
    return "[" + ", ".join("?" if d is None else str(d) for d in shape) + "]"
