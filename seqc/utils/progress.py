"""Keras's progress bar: drawn in place on a terminal, one finished line per epoch anywhere else."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

WIDTH = 20
REFRESH_SECONDS = 0.1


class Progress:
    """Shows the epochs of one run.

    Args:
        level: 1 for a bar, 2 for a line per epoch. epochs: how many there are; None when there are none to speak of.
    """

    def __init__(self, level: int, epochs: int | None) -> None:
        self._epochs = epochs
        # A console of our own, so that output that is captured or redirected later is found.
        self._console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._moving = level == 1 and self._console.is_terminal
        self._live: Live | None = None
        self._steps = 1
        self._done = 0
        self._began = self._shown = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def start(self, epoch: int, steps: int) -> None:
        """An epoch of so many steps begins."""
        self._steps, self._done = steps, 0
        self._began = time.perf_counter()
        self._shown = 0.0
        if self._epochs is not None:
            self._console.print(f"Epoch {epoch + 1}/{self._epochs}")
        if self._moving:
            self._live = Live(self._line({}), console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    def wants(self, step: int) -> bool:
        """Tells whether the bar is due to be drawn again, so that metrics are worth computing."""
        return self._live is not None and time.perf_counter() - self._shown >= REFRESH_SECONDS

    def advance(self, step: int, logs: dict[str, Any] | None) -> None:
        """A step is done; `logs` are given when they were wanted."""
        self._done = step + 1
        if self._live is not None and logs is not None:
            self._shown = time.perf_counter()
            self._live.update(self._line(logs), refresh=True)

    def finish(self, logs: dict[str, Any]) -> None:
        """The epoch is done: its final line stays."""
        self._stop()
        self._console.print(self._line(logs))

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _line(self, logs: dict[str, Any]) -> Text:
        """`469/469 ━━━━━━━━━━━━━━━━━━━━ 5s 10ms/step - accuracy: 0.9701 - loss: 0.1234`"""
        elapsed = time.perf_counter() - self._began
        filled = round(WIDTH * self._done / max(self._steps, 1))
        each = elapsed / max(self._done, 1)
        over = self._done >= self._steps
        clock = f"{elapsed:.0f}s" if over else f"{(self._steps - self._done) * each:.0f}s left"
        line = Text(f"{self._done}/{self._steps} ")
        line.append("━" * filled, "green")
        line.append("━" * (WIDTH - filled), "dim")
        line.append(f" {clock} {_per_step(each)}/step")
        for name in sorted(logs, key=lambda n: (n.startswith("val_"), n)):
            line.append(f" - {name}: {_number(logs[name])}")
        return line


def _per_step(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4f}" if value == 0 or 1e-3 < abs(value) < 1e5 else f"{value:.4e}"
