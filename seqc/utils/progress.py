"""Keras's progress display: a bar drawn in place on a terminal, finished lines anywhere else."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.text import Text

from seqc.text import cells, label
from seqc.utils.display import LogLines, is_interactive_logging_enabled

WIDTH = 20
REFRESH_SECONDS = 0.1


class Progress:
    """Shows the epochs of one run.

    Args:
        level: 1 for a bar, 2 for a plain line per epoch, another for the number of the epoch alone. epochs: how many
        there are; None when there are none to speak of.
    """

    def __init__(self, level: int, epochs: int | None) -> None:
        self._level, self._epochs = level, epochs
        # A console of our own, so that output that is captured or redirected later is found.
        out: Any = sys.stdout if is_interactive_logging_enabled() else LogLines()
        self._console = Console(file=out, highlight=False, soft_wrap=True)
        self._moving = level == 1 and self._console.is_terminal
        self._width = self._console.width if self._console.is_terminal else None
        self._block = "=" if self._console.options.ascii_only else "━"
        self._live: Live | None = None
        self._steps: int | None = None
        self._done = 0
        self._logs: dict[str, Any] = {}
        self._began = self._shown = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        began = self._live is not None
        self._stop()
        if began and error is not None:  # in the middle of an epoch: what is known of it stays
            self._console.print(self._bar(self._logs))

    def start(self, epoch: int, steps: int | None) -> None:
        """An epoch of so many steps begins; None where nobody knows how many."""
        self._steps, self._done, self._logs = steps, 0, {}
        self._began = time.perf_counter()
        self._shown = 0.0
        if self._epochs is not None and self._epochs > 1:
            self._console.print(f"Epoch {epoch + 1}/{self._epochs}")
        if self._moving:
            self._live = Live(self._bar({}), console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    def wants(self) -> bool:
        """Tells whether the bar is due to be drawn again, so that metrics are worth computing."""
        return self._live is not None and time.perf_counter() - self._shown >= REFRESH_SECONDS

    def advance(self, done: int, logs: dict[str, Any] | None) -> None:
        """So many steps are done; `logs` are given when they were wanted."""
        self._done = done
        if self._live is not None and logs is not None:
            self._shown, self._logs = time.perf_counter(), dict(sorted(logs.items()))
            self._live.update(self._bar(self._logs), refresh=True)

    def finish(self, logs: dict[str, Any]) -> None:
        """The epoch is done: its final line stays, with the logs in their order."""
        self._stop()
        self._steps = self._done
        if self._level in (1, 2):
            self._console.print(self._line(logs) if self._level == 2 else self._bar(logs))

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _bar(self, logs: dict[str, Any]) -> Text:
        """Returns `469/469 ━━━━━━━━━━━━━━━━━━━━ 5s 10ms/step - accuracy: 0.9701 - loss: 0.1234`."""
        each = self._seconds_each()
        left = 0 if self._steps is None else self._steps - self._done
        times = f" {_clock(left * each if left else self._elapsed())} {_per_step(each)}/step"
        if self._steps is None:
            return self._folded(Text(f"{self._done:7d}/Unknown{times}"), logs)
        line = Text(f"{self._counted()} ")
        room = WIDTH if self._width is None else max(min(WIDTH, self._width - line.cell_len - cells(times)), 1)
        filled = room * self._done // max(self._steps, 1)
        line.append(self._block * filled, "green")
        line.append((self._block if self._block != "=" else ".") * (room - filled), "dim")
        return self._folded(line.append(times), logs)

    def _line(self, logs: dict[str, Any]) -> Text:
        """Returns `469/469 - 5s - 10ms/step - accuracy: 0.9701 - loss: 0.1234`."""
        line = f"{self._counted()} - {self._elapsed():.0f}s - {_per_step(self._seconds_each())}/step"
        return self._folded(Text(line), logs)

    def _folded(self, line: Text, logs: dict[str, Any]) -> Text:
        """Returns a line with its metrics; on a terminal it is continued below where the next does not fit."""
        length = line.cell_len
        for metric in _shown(logs):
            if self._width is not None and length + cells(metric) + 3 > self._width:
                line.append("\n ")
                length = 1
            line.append(f" - {metric}")
            length += cells(metric) + 3
        return line

    def _counted(self) -> str:
        return f"{self._done:{len(str(self._steps))}d}/{self._steps}"

    def _elapsed(self) -> float:
        return time.perf_counter() - self._began

    def _seconds_each(self) -> float:
        return self._elapsed() / max(self._done, 1)


def _shown(logs: dict[str, Any]) -> list[str]:
    return [f"{label(str(name))}: {_number(value)}" for name, value in logs.items()]


def _clock(seconds: float) -> str:
    whole = round(seconds)
    if whole > 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if whole > 60 else f"{whole}s"


def _per_step(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"


def _number(value: Any) -> str:
    if isinstance(value, np.floating):
        value = float(value)
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4f}" if value == 0 or 1e-3 < abs(value) < 1e5 else f"{value:.4e}"
