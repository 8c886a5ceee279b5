"""A progress bar on standard error: rich's where it is installed, else a line; nothing where nobody looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Told how many samples are done, and how many there are, None when nothing tells.
Told = Callable[[int, int | None], None]
_SECONDS = 0.2


@contextmanager
def bar(shown: bool | None) -> Iterator[Told]:
    """What to tell of progress. shown: None shows a bar only on a terminal."""
    if sys.stderr is None or not (sys.stderr.isatty() if shown is None else shown):
        yield lambda done, total: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TimeRemainingColumn
    except ImportError:
        with _line() as told:
            yield told
        return
    columns = (BarColumn(), TaskProgressColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Results may be on their way to standard output, which is not the bar's to redirect.
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def _line() -> Iterator[Told]:
    last = 0.0

    def told(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _SECONDS or done == total:
            last = now
            whole = "" if not total else f" of {total} ({done / total:.0%})"
            sys.stderr.write(f"\r{done}{whole} samples")
            sys.stderr.flush()

    try:
        yield told
    finally:
        if last:
            sys.stderr.write("\n")
