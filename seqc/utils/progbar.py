"""Keras's progress bar, for loops of one's own."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from seqc.errors import ConfigError
from seqc.utils.display import say


class Progbar:
    """A bar that says how many steps of a loop are done, how long they take, and the means of some values.

    Args:
        target: how many steps there are; None where nobody knows. width: of the bar, in characters.
        verbose: 1 for a bar that is drawn again and again, 2 for a line at the end, 0 for nothing.
        interval: seconds between two drawings.
        stateful_metrics: names of values that are shown as they are; of all others their means are shown.
        stateless_metrics: the other way round: names of those of which means are shown. unit_name: of a step.

    Raises:
        ConfigError: both are given.
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ConfigError(
                "Only one of `stateful_metrics` or `stateless_metrics` can be provided: the first names the exceptions "
                "from means, the second those of which means are shown."
            )
        self.target, self.width, self.verbose, self.interval = target, width, verbose, interval
        self.unit_name = unit_name
        self.stateful_metrics = None if stateless_metrics is not None else set(stateful_metrics or ())
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        # By name: what was added up, and over how many steps.
        self._values: dict[str, tuple[Any, int]] = {}
        self._in_place = os.name == "posix" or sys.stdout.isatty() or "ipykernel" in sys.modules
        self._done = self._width_before = 0
        self._start = time.time()
        self._shown = 0.0
        self._first: float | None = None

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Says that so many steps are done, and what came out of the last of them.

        Args:
            current: how many steps are done. values: (name, value) of each. finalize: whether the loop is done; by
            default as soon as there are `target` steps.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            self._take(name, value, max(current - self._done, 1), finalize)
        self._done = current
        now = time.time()
        pace = self._pace(current, now)
        if self.verbose == 1:
            if now - self._shown < self.interval and not finalize:
                return
            self._draw(current, finalize, now, pace)
        elif self.verbose == 2 and finalize and self.target:
            count = f"{current:{len(str(self.target))}d}/{self.target}"
            say(f"{count} - {now - self._start:.0f}s -{self._duration(pace)}{self._metrics()}\n")
        self._shown = now

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Says that `n` more steps are done; see `update`."""
        self.update(self._done + n, values)

    def _take(self, name: str, value: Any, steps: int, finalize: bool) -> None:
        stateful = self.stateful_metrics is not None and name in self.stateful_metrics
        stateful = stateful or (self.stateless_metrics is not None and name not in self.stateless_metrics)
        if stateful or finalize:
            self._values[name] = (value, 1)
        else:
            total, count = self._values.get(name, (0, 0))
            self._values[name] = (total + value * steps, count + steps)

    def _pace(self, current: int, now: float) -> float:
        """Returns the seconds that a step takes; the first, in which things are made ready, counts if it is alone."""
        if not current:
            return 0.0
        found = (
            (now - self._first) / (current - 1)
            if self._first is not None and current > 1
            else (now - self._start) / current
        )
        if self._first is None and current:
            self._first = now
        return found

    def _draw(self, current: int, finalize: bool, now: float, pace: float) -> None:
        if self.target:
            done = int(self.width * current / self.target)
            bar = f"{current:{int(math.log10(self.target)) + 1}d}/{self.target} {'━' * self.width}"
            shown = f"\x1b[1m{bar[: bar.index('━')].rstrip()}\x1b[0m " if self.width else bar
            shown += f"\x1b[32m{'━' * done}\x1b[0m" if done > 0 else ""
            shown += f"\x1b[37m{'━' * (self.width - done)}\x1b[0m"
        else:
            bar = shown = f"{current:7d}/Unknown"
        left = pace * (self.target - current) if self.target and not finalize else None
        when = f"{now - self._start:.0f}s" if left is None else _clock(int(left))
        info = f"{self._duration(pace)}{self._metrics()}"
        width = len(bar) + 1 + len(when) + len(info)
        before = "\b" * self._width_before + "\r" if self._in_place else "\n"
        behind = " " * max(0, self._width_before - width) + ("\n" if finalize else "")
        say(f"{before}{shown} \x1b[1m{when}\x1b[0m{info}{behind}")
        self._width_before = width

    def _metrics(self) -> str:
        text = ""
        for name, (total, count) in self._values.items():
            mean = float(np.mean(total)) / max(1, count)
            text += f" - {name}: {mean:.4f}" if abs(mean) > 1e-3 else f" - {name}: {mean:.4e}"
        return text

    def _duration(self, seconds: float) -> str:
        if seconds >= 1 or seconds == 0:
            return f" {seconds:.0f}s/{self.unit_name}"
        if seconds >= 1e-3:
            return f" {seconds * 1e3:.0f}ms/{self.unit_name}"
        return f" {seconds * 1e6:.0f}us/{self.unit_name}"


def _clock(seconds: int) -> str:
    if seconds > 3600:
        return f"{seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"
    return f"{seconds // 60}:{seconds % 60:02d}" if seconds > 60 else f"{seconds}s"
