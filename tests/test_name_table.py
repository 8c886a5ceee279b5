"""The table of docs/from-keras.md has every public name of Keras, and says what the code does."""

from __future__ import annotations

import re

import pytest

import seqc
from kit import name_table

pytestmark = pytest.mark.slow  # it loads every module that loads late


def test_the_table_says_what_the_code_does() -> None:
    page = name_table.PAGE.read_text(encoding="utf-8").splitlines()
    first = page.index(next(name_table.lines()))
    table = list(name_table.lines())
    assert page[first : first + len(table)] == table, "run `python -m kit.name_table` in tests/"
    assert [line for line in page[first + len(table) :] if line.startswith("|")] == []


def test_the_table_has_every_name() -> None:
    written: dict[str, set[str]] = {}
    for line in name_table.lines():
        cells = line.split(" | ")
        if line.startswith("| `keras"):
            home = cells[0].strip("| `").removeprefix("keras").removeprefix(".")
            written.setdefault(home, set()).update(re.findall(r"`(\w+)`", cells[1]))
            assert cells[2].startswith(("the same", "differs: ", "not here: ", "as there")), line
            assert len(cells[2]) > 7, line
    for home, names in name_table.recorded().items():
        if home in name_table.SECOND:
            assert set(names) <= set(name_table.recorded()["ops"])
        else:
            assert written.get(home, set()) == set(names), home


def test_functions_are_the_same_in_their_second_homes() -> None:
    for home in name_table.SECOND:
        for name in name_table.recorded()[home]:
            assert name_table.at(f"{home}.{name}") is getattr(seqc.ops, name, None), f"{home}.{name}"


def test_what_differs_is_there() -> None:
    gone = [path for path in name_table.DIFFERS if name_table.at(path) is None]
    unknown = [
        path
        for path in name_table.DIFFERS
        if path.rpartition(".")[2] not in name_table.recorded()[path.rpartition(".")[0]]
    ]
    assert (gone, unknown) == ([], [])
