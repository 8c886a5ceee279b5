"""On a terminal, what commands print keeps to its width and breaks between words; elsewhere lines are left whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.cli_models import seqc, write
from seqc.text import cells

pytest.importorskip("seqc_runtime", reason="needs seqc-runtime")
layers = keras.layers


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model whose layers have names of many lengths."""
    folder = tmp_path_factory.mktemp("width")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="first_convolution"),
            layers.BatchNormalization(name="normalize"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", name="漢字"),
        ]
    )
    model.save(folder / "m.keras")
    model.export(folder / "m.onnx", verbose=False)
    np.save(folder / "x.npy", np.zeros((2, 8, 8, 1)))
    write(folder)
    return folder


COMMANDS = [
    ["inspect", "m.keras"],
    ["inspect", "m.onnx"],
    ["verify", "m.onnx"],
    ["export", "m.keras", "-o", "again.onnx"],
    ["predict", "m.onnx", "x.npy", "-o", "y.npy"],
    ["doctor"],
    ["bench", "train", "tiny.py", "--steps", "1", "--epochs", "1", "--profile"],
]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", COMMANDS, ids=[" ".join(c[:2]) for c in COMMANDS])
def test_lines_keep_to_the_width_of_the_terminal(
    made: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    monkeypatch.setenv("SEQC_EXECUTOR", "naive")
    monkeypatch.setattr("seqc.cli._profile.SMALLEST_SHARE", 0)  # which rows are added up differs from run to run
    whole = lines(arguments, None, monkeypatch)
    words = {word for line in whole for word in line.split() if steady(word)}
    for width in (40, 60, 80, 200):
        narrow = lines(arguments, width, monkeypatch)
        shown = {word for line in narrow for word in line.split()}
        assert words <= shown, width
        for line in narrow:
            # Longer only where one word, behind its margin, is.
            assert cells(line) <= width or len(line.split()) <= 2, line


def lines(arguments: list[str], width: int | None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    for module in ("seqc.cli._output", "seqc.export.receipt"):
        monkeypatch.setattr(f"{module}.terminal_width", lambda: width)
    printed: str = seqc(*arguments).stdout
    return printed.splitlines()


# Units of measured times, and the heading of a table's first column, which blocks of lines do without.
CHANGING = {"us", "ms", "s", "layer", "node"}


def steady(word: str) -> bool:
    """Whether a word is the same in every run and every layout: measured times and rules under headings are not."""
    return not any(c.isdigit() for c in word) and not set(word) <= set("-") and word.strip("(),;") not in CHANGING


def test_sentences_are_folded_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from seqc.cli._output import Screen

    monkeypatch.setattr("seqc.cli._output.terminal_width", lambda: 20)
    Screen(False).line("  one two three four five six\n\nseven")
    assert capsys.readouterr().out == "  one two three four\nfive six\n\nseven\n"


@pytest.mark.slow
def test_json_is_never_folded(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    wide: Any = lines(["inspect", "m.onnx", "--json"], None, monkeypatch)
    assert lines(["inspect", "m.onnx", "--json"], 20, monkeypatch) == wide
