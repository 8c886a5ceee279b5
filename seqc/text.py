"""Text for people: names from anywhere, shown safely, and lines that are broken between words."""

from __future__ import annotations

import re
import shutil
import sys
import unicodedata
from collections.abc import Sequence

# What a terminal acts on instead of showing it: control characters, marks that turn the direction of writing, line
# separators, and halves of characters, which cannot even be written.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# A word of more characters than this is nothing that anybody reads, a message of more is none either; and how much of
# such a word is shown.
_ENDLESS, _SHOWN, _LONGEST_MESSAGE = re.compile(r"\S{401,}"), 120, 20_000
# Brackets that are not torn apart, such as shapes, and the space that stands for one meanwhile.
_BRACKETS, _KEPT = re.compile(r"\[[^\[\]]{,30}\]"), "\0"
# The longest cell of a table: one endless name must not make every line endless.
_LONGEST = 100
# A name longer than this stands alone, above what there is to say of it.
_LONGEST_NAME = 40
# Less room than this beside a name, and what there is to say goes below it.
_NARROW = 24


def printable(text: str) -> str:
    r"""Returns a text as it can be shown: names in files may hold what a terminal would act on, "\x1b[2J" for one."""
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def message(text: str) -> str:
    """Returns what a message says, printable, without the most of names that a file has made endless."""
    brief = _ENDLESS.sub(lambda found: shorten(found[0], _SHOWN), text)
    return printable(shorten(brief, _LONGEST_MESSAGE))


def label(text: str) -> str:
    """Returns a text as one printable line."""
    return printable(text).replace("\n", r"\n").replace("\t", r"\t")


def shorten(text: str, most: int) -> str:
    """Returns a text with its middle left out if it is longer than that."""
    return text if len(text) <= most else f"{text[: most * 2 // 3]}…{text[len(text) - most // 3 + 1 :]}"


def terminal_width() -> int | None:
    """Returns how many columns the terminal behind standard output has; None where there is no terminal."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def cells(text: str) -> int:
    """Returns how many columns of a terminal a line takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fold(text: str, width: int) -> list[str]:
    """Returns lines of at most so many columns, broken at spaces only: a longer word stays whole, alone in its line."""
    lines: list[str] = []
    for word in _BRACKETS.sub(lambda found: found[0].replace(" ", _KEPT), text).split(" "):
        if lines and cells(lines[-1]) + 1 + cells(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [line.replace(_KEPT, " ") for line in lines]


def rows_text(rows: Sequence[tuple[str, str]], width: int | None = None) -> str:
    """Returns names and what there is to say of them, aligned.

    Args:
        rows: names and texts. width: columns to keep to; None for lines as long as they are.
    """
    shown = [(label(name), label(text)) for name, text in rows]
    margin = max((cells(name) for name, _ in shown if cells(name) <= _LONGEST_NAME), default=0) + 2
    lines = []
    for name, text in shown:
        first = name + " " * (margin - cells(name))
        if cells(name) > _LONGEST_NAME:
            lines += [name, *("  " + part for part in ([text] if width is None else fold(text, width - 2)))]
        elif width is None:
            lines.append(first + text)
        elif width - margin < _NARROW and margin + cells(text) > width:
            lines += [name, *("  " + part for part in fold(text, width - 2))]
        else:
            parts = fold(text, width - margin)
            lines += [first + parts[0], *(" " * margin + part for part in parts[1:])]
    return "\n".join(line.rstrip() for line in lines)


def table_text(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (), width: int | None = None
) -> str:
    """Returns columns under underlined headings, as wide as their contents.

    Where that is too wide, columns of text are folded; where that is not enough, every row becomes a block of lines.

    Args:
        header: names of the columns. rows: their cells. right: the columns to align on the right, which are not folded.
        width: columns of the terminal to keep to; None for lines as long as they are.
    """
    shown = [[shorten(label(cell), _LONGEST) for cell in row] for row in rows]
    widths = [max(cells(row[i]) for row in (header, *shown)) for i in range(len(header))]
    if width is not None and _total(widths) > width:
        folded = _folded_widths(header, shown, right, widths, width)
        if folded is None:
            return "\n\n".join(_block(header, row, width) for row in shown)
        widths = folded
    lines = [_line(header, right, widths), "  ".join("-" * w for w in widths)]
    for row in shown:
        parts = [[c] if i in right else fold(c, w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines += [
            _line([part[n] if n < len(part) else "" for part in parts], right, widths)
            for n in range(max(map(len, parts)))
        ]
    return "\n".join(lines)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _folded_widths(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int], widths: Sequence[int], width: int
) -> list[int] | None:
    """Returns narrower columns that fit together, the widest made narrower first; None where words are too long."""
    found = list(widths)
    least = [
        w if i in right else max(cells(part) for row in (header, *rows) for part in fold(row[i], 0))
        for i, w in enumerate(widths)
    ]
    while _total(found) > width:
        at = max(range(len(found)), key=lambda i: found[i] if found[i] > least[i] else -1)
        if found[at] <= least[at]:
            return None
        found[at] -= 1
    return found


def _line(row: Sequence[str], right: Sequence[int], widths: Sequence[int]) -> str:
    padded = []
    for i, (cell, w) in enumerate(zip(row, widths, strict=True)):
        room = " " * (w - cells(cell))
        padded.append(room + cell if i in right else cell + room)
    return "  ".join(padded).rstrip()


def _block(header: Sequence[str], row: Sequence[str], width: int) -> str:
    below = rows_text([(name, cell) for name, cell in zip(header[1:], row[1:], strict=True) if cell], width - 2)
    return "\n".join([row[0] or "-", *("  " + line for line in below.splitlines())])
