"""One at a time, whatever exceptions come between."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVar

R = TypeVar("R")

# Seconds after which one who waits looks whether the turn is really somebody's.
PATIENCE = 0.05

# Counts forks: what a thread did that the child does not have is not under way there.
_process = 0


class Taken(Exception):
    """Somebody is at it."""


class Claim:
    """Lets one at a time do something; others are told that it is taken.

    A lock that an interruption leaves locked would keep everybody out for ever. What keeps others out here is a
    `Context`: it can be entered once at a time, and the interpreter itself leaves it. It also holds what is done inside
    apart from the caller's own context variables.
    """

    def __init__(self) -> None:
        self._start_anew()

    def _start_anew(self) -> None:
        self._context, self._process = Context(), _process

    def __reduce__(self) -> tuple[type[Claim], tuple[()]]:
        """A copy, or what is pickled, is nobody's yet."""
        return Claim, ()

    def take(self, function: Callable[..., R], *arguments: Any) -> R:
        """Returns what a function of Python's returns that is called while nobody else is at it.

        Raises:
            Taken: somebody is, in this thread or another.
        """
        if self._process != _process:  # whoever was at it when the process was forked is not here
            self._start_anew()
        try:
            return self._context.run(function, *arguments)
        except RuntimeError as error:
            if _is_of_this_frame(error):
                raise Taken from None
            raise


class Turn:
    """Lets one thread at a time do something; others wait.

    A `Claim` keeps others out; the lock only decides who comes next.
    """

    def __init__(self) -> None:
        self._start_anew()

    def _start_anew(self) -> None:
        self._lock, self._claim, self._process = threading.Lock(), Claim(), _process

    def take(self, function: Callable[..., R], *arguments: Any) -> R:
        """Returns what a function of Python's returns that is called when it is this thread's turn.

        Raises:
            RuntimeError: this thread asks in the middle of its own turn, from a signal handler for instance.
        """
        if self._process != _process:  # whoever had the turn when the process was forked is not here
            self._start_anew()
        while True:
            acquired, entered = self._lock.acquire(timeout=PATIENCE), True
            try:
                return self._claim.take(function, *arguments)
            except Taken:
                entered = False
            finally:
                if acquired or entered:
                    try:  # noqa: SIM105  (`suppress` costs more)
                        self._lock.release()
                    except RuntimeError:
                        pass  # it was not locked
            if self._is_under_way_here():
                raise RuntimeError("A step of this model is under way in this very thread.")
            if acquired:
                time.sleep(PATIENCE)

    def _is_under_way_here(self) -> bool:
        frame = sys._getframe(1).f_back
        while frame is not None:
            if frame.f_code is Turn.take.__code__ and frame.f_locals["self"] is self:
                return True
            frame = frame.f_back
        return False


def _is_of_this_frame(error: BaseException) -> bool:
    """Tells whether not the function raised an error, but the interpreter: the context is entered already."""
    return error.__traceback__ is not None and error.__traceback__.tb_next is None


def _forked() -> None:
    global _process
    _process += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
