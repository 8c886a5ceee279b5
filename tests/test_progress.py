"""What fit, evaluate and predict print: Keras's lines, with or without a terminal."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers
from seqc.utils.progress import Progress

X = np.linspace(-1, 1, 40, dtype="float32").reshape(20, 2)
Y = X.sum(1, keepdims=True)
BAR = "━" * 20


def model(**options: Any) -> keras.Sequential:
    made = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    made.compile("sgd", "mse", **options)
    return made


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def test_level_one_prints_an_epoch_and_its_bar(capsys: pytest.CaptureFixture[str]) -> None:
    model(metrics=["mae"]).fit(X, Y, epochs=2, batch_size=5, validation_data=(X, Y))
    lines = capsys.readouterr().out.splitlines()
    numbers = " - ".join(rf"{name}: \d\.\d{{4}}" for name in ("loss", "mae", "val_loss", "val_mae"))
    assert [lines[0], lines[2]] == ["Epoch 1/2", "Epoch 2/2"]
    assert len(lines) == 4
    for line in (lines[1], lines[3]):
        assert re.fullmatch(rf"4/4 {BAR} 0s \d+[mu]s/step - {numbers}", line), line


def test_level_two_prints_a_plain_line_per_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    model().fit(X, Y, epochs=2, batch_size=2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/2"
    assert re.fullmatch(r"10/10 - 0s - \d+[mu]s/step - loss: \d\.\d{4}", lines[1]), lines[1]


@pytest.mark.parametrize("verbose", [0, False])
def test_level_zero_prints_nothing(verbose: Any, capsys: pytest.CaptureFixture[str]) -> None:
    trained = model()
    trained.fit(X, Y, epochs=2, verbose=verbose)
    trained.evaluate(X, Y, verbose=verbose)
    trained.predict(X, verbose=verbose)
    assert capsys.readouterr().out == ""


def test_one_epoch_evaluation_and_prediction_print_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    trained = model()
    trained.fit(X, Y, verbose=True)
    trained.evaluate(X, Y, batch_size=5)
    trained.predict(X, batch_size=5)
    fitted, evaluated, predicted = capsys.readouterr().out.splitlines()
    assert fitted.startswith(f"1/1 {BAR} 0s ")
    assert re.fullmatch(rf"4/4 {BAR} 0s \d+[mu]s/step - loss: \d\.\d{{4}}", evaluated)
    assert re.fullmatch(rf"4/4 {BAR} 0s \d+[mu]s/step", predicted)


def test_steps_that_nobody_knows_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    model().fit((X[i : i + 5], Y[i : i + 5]) for i in range(0, 20, 5))
    assert capsys.readouterr().out.startswith(f"4/4 {BAR} 0s ")


def test_a_terminal_sees_the_bar_move_and_the_last_line_stay(terminal: Terminal) -> None:
    with redirect_stdout(terminal):
        model().fit(X, Y, epochs=2, batch_size=4)
    raw = terminal.getvalue()
    shown = plain(raw)
    assert "Epoch 1/2" in shown
    assert f"5/5 {BAR}" in shown
    assert "\x1b[" in raw
    assert shown.rstrip().splitlines()[-1].startswith(f"5/5 {BAR}")


def test_a_moving_bar_shows_what_is_left(terminal: Terminal) -> None:
    with redirect_stdout(terminal), Progress(1, 3) as shown:
        shown.start(0, 40)
        assert shown.wants()
        shown.advance(10, {"loss": 0.5})
        assert not shown.wants()
        shown.advance(11, None)
    text = plain(terminal.getvalue())
    assert "Epoch 1/3" in text
    assert re.search(rf"10/40 {BAR} 0s \d+[mu]s/step - loss: 0\.5000", text)
    assert "11/40" not in text


def test_a_moving_bar_of_unknown_length_counts(terminal: Terminal) -> None:
    with redirect_stdout(terminal), Progress(1, None) as shown:
        shown.start(0, None)
        shown.advance(7, {})
    assert "      7/Unknown" in plain(terminal.getvalue())


def test_an_error_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    class Broken(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            raise KeyboardInterrupt

    with redirect_stdout(terminal), pytest.raises(KeyboardInterrupt):
        model().fit(X, Y, callbacks=[Broken()])
    hidden, shown = terminal.getvalue().count("\x1b[?25l"), terminal.getvalue().count("\x1b[?25h")
    assert hidden == shown > 0
    assert re.search(rf"1/\d+ {BAR} .*/step.*\n$", plain(terminal.getvalue()))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5000"),
        (0.0, "0.0000"),
        (1.5e-5, "1.5000e-05"),
        (2e6, "2.0000e+06"),
        (float("nan"), "nan"),
        (-3.25, "-3.2500"),
    ],
)
def test_numbers_are_short(value: float, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(2, None) as shown:
        shown.start(0, 1)
        shown.advance(1, None)
        shown.finish({"loss": value})
    assert capsys.readouterr().out.endswith(f" - loss: {text}\n")


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
@pytest.mark.parametrize("level", [1, 2])
def test_a_line_of_many_metrics_breaks_between_them(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, width: int, level: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    names = ["accuracy", "loss", "precision", "val_accuracy", "val_loss", "val_precision"]
    with redirect_stdout(terminal), Progress(level, 1) as shown:
        shown.start(0, 469)
        shown.advance(469, dict.fromkeys(names, 0.5))
        shown.finish(dict.fromkeys(names, 0.5))
    last = plain(terminal.getvalue()).rstrip().rpartition("469/469")
    final = [line.rstrip() for line in (last[1] + last[2]).splitlines()]
    longest = max(len(" 469/469 - 0s - 0us/step"), len("  - val_precision: 0.5000"))
    assert all(len(line) <= max(width, longest) for line in final)
    assert re.findall(r"(\w+): 0\.5000", "\n".join(final)) == names
    assert len(final) == 1 if width == 200 else len(final) > 1
    assert all(line.startswith("  - ") for line in final[1:])


def test_names_of_metrics_are_shown_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(1, None) as shown:
        shown.start(0, 1)
        shown.advance(1, None)
        shown.finish({"[red]\x1b[2J[/red]": 0.5})
    assert capsys.readouterr().out.endswith(" - [red]\\x1b[2J[/red]: 0.5000\n")


def test_a_stream_that_knows_no_drawing_gets_an_ascii_bar() -> None:
    raw = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(raw, encoding="ascii", write_through=True)), Progress(1, None) as shown:
        shown.start(0, 2)
        shown.advance(2, None)
        shown.finish({"loss": 0.5})
    assert raw.getvalue().startswith(b"2/2 ==================== 0s ")
