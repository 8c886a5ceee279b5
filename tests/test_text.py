"""How names from anywhere are shown, and how lines keep to the width of a terminal."""

from __future__ import annotations

import re
from typing import Any

import pytest

import seqc as keras
from seqc.errors import ConfigError, MissingFolderError
from seqc.text import cells, fold, label, printable, rows_text, shorten, table_text
from seqc.utils.display import note

NASTY = "\x1b[31mred\x1b[0m\x07\x9b2J\u202eabc [red]x[/red]\r\x7f\udcff"
SHOWN = r"\x1b[31mred\x1b[0m\x07\x9b2J\u202eabc [red]x[/red]\r\x7f\udcff"
WIDTHS = [20, 40, 60, 80, 200]


def test_what_a_terminal_would_act_on_is_shown_instead() -> None:
    assert printable(NASTY) == SHOWN
    assert printable("two\nlines\tand ünïcödé 漢字 👩‍👩‍👧") == "two\nlines\tand ünïcödé 漢字 👩‍👩‍👧"
    assert label("two\nlines\t") == r"two\nlines\t"


def test_names_without_end_are_shown_in_part() -> None:
    endless = "A" + "x" * 1_000_000 + "Z"
    for text in (endless, f"['{endless}']", f"{endless} in {endless}"):
        with pytest.warns(UserWarning, match="x…x") as told:
            note(text, warn=True)
        for said in (str(ConfigError(text)), str(MissingFolderError(text)), str(told[0].message)):
            assert len(said) < 300
            assert "A" in said
            assert "Z" in said
    assert len(str(ConfigError("word " * 100_000))) <= 20_000
    path = "/".join(["folder"] * 50)
    assert str(ConfigError(path)) == path


def test_errors_and_warnings_show_names_safely(capsys: pytest.CaptureFixture[str]) -> None:
    assert str(ConfigError(f"layer {NASTY}")) == f"layer {SHOWN}"
    assert str(MissingFolderError(f"no {NASTY}")) == f"no {SHOWN}"
    with pytest.warns(UserWarning, match=re.escape(SHOWN)):
        note(NASTY, warn=True)
    note(NASTY)
    assert capsys.readouterr().out == f"{SHOWN}\n"


def test_summary_and_receipt_show_names_safely(tmp_path: Any) -> None:
    model = keras.Sequential(
        [keras.Input((2,), name="a\x1b[2Jb"), keras.layers.Dense(1, name="c\x1b[31md")], name="\x07"
    )
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    text = "\n".join(lines) + str(model.export(tmp_path / "m.onnx", verbose=False) or "")
    assert 'Model: "\\x07"' in text
    assert r"c\x1b[31md (Dense)" in text
    assert "\x1b" not in text


def test_long_texts_lose_their_middle() -> None:
    assert shorten("abcdef", 6) == "abcdef"
    short = shorten("a" * 50 + "z" * 50, 12)
    assert (len(short), short) == (12, "aaaaaaaa…zzz")


def test_wide_letters_take_two_columns_and_accents_none() -> None:
    assert [cells(text) for text in ("abc", "漢字", "é", "e\u0301")] == [3, 4, 1, 1]


def test_lines_break_at_spaces_and_never_inside_a_shape() -> None:
    assert fold("one two [1, 2, 3] verylongword", 10) == ["one two", "[1, 2, 3]", "verylongword"]
    assert fold("", 10) == [""]


ROWS = [
    ("file", "a/long/path/to/model.onnx (1,234 bytes)"),
    ("transposes", "0"),
    ("nodes", "7 (1 Conv, 1 Gemm, 1 Relu)"),
]


@pytest.mark.parametrize("width", WIDTHS)
def test_rows_keep_to_the_width_and_lose_no_word(width: int) -> None:
    text = rows_text(ROWS, width)
    words = " ".join(f"{name} {said}" for name, said in ROWS).split()
    assert text.split() == words
    longest = max(map(len, words)) + 2
    assert all(len(line) <= max(width, longest) for line in text.splitlines())


def test_rows_without_a_width_are_one_line_each() -> None:
    assert rows_text(ROWS).splitlines()[2] == "nodes       7 (1 Conv, 1 Gemm, 1 Relu)"


HEADER = ("layer", "class", "inputs", "parameters")
TABLE = [
    ("hidden/MatMul", "Gemm", "[1, 4], [4, 8], [8]", "40"),
    ("batch_normalization", "BatchNormalization", "[1, 8, 8, 16], [16]", "1,234,567"),
]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_keeps_to_the_width_and_breaks_no_name_or_shape(width: int) -> None:
    text = table_text(HEADER, TABLE, right=(3,), width=width)
    assert all(cells(line) <= max(width, 33) for line in text.splitlines())
    for whole in ("hidden/MatMul", "batch_normalization", "BatchNormalization", "[1, 8, 8, 16]", "[4, 8]", "1,234,567"):
        assert whole in text


def test_a_table_is_folded_first_and_becomes_blocks_then() -> None:
    whole = table_text(HEADER, TABLE, right=(3,))
    assert table_text(HEADER, TABLE, right=(3,), width=200) == whole
    assert whole.splitlines()[0] == "layer                class               inputs               parameters"
    folded = table_text(HEADER, TABLE, right=(3,), width=70)
    assert len(folded.splitlines()) == 6
    assert folded.splitlines()[3] == " " * 41 + "[8]"
    blocks = table_text(HEADER, TABLE, right=(3,), width=40)
    assert blocks.startswith("hidden/MatMul\n  class       Gemm\n  inputs      [1, 4], [4, 8], [8]\n")


def test_an_endless_name_does_not_make_every_line_endless() -> None:
    text = table_text(HEADER, [("x" * 10_000, "a", "b", "1"), *TABLE], width=None)
    assert max(map(len, text.splitlines())) < 200


def test_a_long_name_of_a_row_stands_alone() -> None:
    assert rows_text([("k" * 1000, "v"), ("a", "b")]).splitlines()[1:] == ["  v", "a  b"]
