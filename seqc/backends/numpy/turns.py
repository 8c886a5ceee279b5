"""One at a time, whatever exceptions come between."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from types import FrameType
from typing import Any, TypeVar

R = TypeVar("R")

# Seconds after which one who waits looks whether the turn is really somebody's.
PATIENCE = 0.05

# Counts forks: what a thread did that the child does not have is not under way there.
_process = 0


class Turn:
    """Lets one thread at a time do something; others wait.

    A lock that an interruption leaves locked would block everybody for ever. Here it only decides who comes next. What
    keeps others out is a `Context`: it can be entered once at a time, and the interpreter itself leaves it. It also
    holds what is done inside apart from the caller's own context variables.
    """

    def __init__(self) -> None:
        self._start_anew()

    def _start_anew(self) -> None:
        self._lock, self._context, self._process = threading.Lock(), Context(), _process

    def take(self, function: Callable[..., R], *arguments: Any) -> R:
        """Returns what a function returns that is called when it is this thread's turn.

        Raises:
            RuntimeError: this thread asks in the middle of its own turn, from a signal handler for instance.
        """
        if self._process != _process:  # whoever had the turn when the process was forked is not here
            self._start_anew()
        inside: list[bool] = []
        while True:
            held = self._lock.acquire(timeout=PATIENCE)
            try:
                return self._context.run(self._enter, inside, function, *arguments)
            except RuntimeError:
                if inside:
                    raise
            finally:
                if held or inside:
                    with suppress(RuntimeError):  # it was not locked
                        self._lock.release()
            if self._is_under_way_here():
                raise RuntimeError("A step of this model is under way in this very thread.")
            if held:
                time.sleep(PATIENCE)

    def _enter(self, inside: list[bool], function: Callable[..., R], *arguments: Any) -> R:
        inside.append(True)
        return function(*arguments)

    def _is_under_way_here(self) -> bool:
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            if frame.f_code is Turn._enter.__code__ and frame.f_locals["self"] is self:
                return True
            frame = frame.f_back
        return False


def _forked() -> None:
    global _process
    _process += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
