"""A bar that shows how far something is that takes a while: on a terminal, and only if it does take a while."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

# Seconds after which the bar appears.
AFTER = 2.0
REFRESH_SECONDS = 0.1

# Called with what is being done, how much of it is, and how much there is to do.
Tell = Callable[[str, float, float], None]


def nobody(what: str, done: float, total: float) -> None:
    """Tells nobody."""


@contextmanager
def working(title: str) -> Iterator[Tell]:
    """Yields what is told how far the work is; the bar is gone when it ends, however that is."""
    bar: Progress | None = None
    began, shown = time.perf_counter(), 0.0

    def tell(what: str, done: float, total: float) -> None:
        nonlocal bar, shown
        if bar is None:
            if time.perf_counter() - began < AFTER or not sys.stdout.isatty():
                return
            bar = _bar()
            bar.start()
            bar.add_task(title)
        bar.update(bar.task_ids[0], description=f"{title}: {what}", completed=done, total=total)
        if time.perf_counter() - shown >= REFRESH_SECONDS:
            bar.refresh()
            shown = time.perf_counter()

    try:
        yield tell
    finally:
        if bar is not None:
            bar.stop()


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    # A console of our own, so that output that is redirected later is found.
    console = Console(file=sys.stdout, highlight=False)
    columns = TextColumn("{task.description}"), BarColumn(20), TaskProgressColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True, auto_refresh=False)
