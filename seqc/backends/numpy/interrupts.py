"""Ctrl-C while a step runs: the step is finished first, so that the state is that of a whole one.

Python raises KeyboardInterrupt between any two instructions of the main thread. In the middle of a step, that would
leave some weights changed and others not. While a model is used, the signal is therefore handled here: during a step it
is only written down, and raised when the step is over - after half a second at most, from when on no more operations of
the step begin. Where Python swallows the exception, as in what it calls when an object is freed or a process is forked,
the signal is sent again. Everywhere else, and for whatever an application of its own has put in place, nothing changes.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import CodeType, FrameType
from typing import Any, ParamSpec, TypeVar

from seqc.backends.numpy.workers import Run

# How long a step may go on after Ctrl-C, and after how long one that was swallowed is sent again, in seconds.
GRACE, AGAIN = 0.5, 0.01
UNFINISHED = (
    "This came in the middle of a training step: weights, optimizer and metrics may be in part those before the step, "
    "in part those after it. To go on from a state that is known, load or set the weights anew."
)

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_steps: set[CodeType] = set()


def whole(function: F) -> F:
    """Marks a function that Ctrl-C does not end halfway. Its first argument after `self` is the `Run` that is told."""
    _steps.add(function.__code__)
    return function


def finish_steps(function: Callable[P, R]) -> Callable[P, R]:
    """Returns the function so that Ctrl-C meanwhile finishes the step under way before it is raised."""

    @wraps(function)
    def wrapper(*arguments: P.args, **named: P.kwargs) -> R:
        with _handling():
            return function(*arguments, **named)

    return wrapper


@contextmanager
def _handling() -> Iterator[None]:
    """Handles Ctrl-C here where nobody but Python does so. Should an interruption skip the end, no harm is done."""
    alone = threading.current_thread() is threading.main_thread()
    if not alone or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    try:
        signal.signal(signal.SIGINT, _interrupted)
        _report.append(sys.unraisablehook)
        sys.unraisablehook = _swallowed
        yield
    finally:
        if sys.unraisablehook is _swallowed:
            sys.unraisablehook = _report[0]
        _report.clear()
        if signal.getsignal(signal.SIGINT) is _interrupted:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupted(number: int, frame: FrameType | None) -> None:
    run = _run_under_way(frame)
    if run is None:
        signal.default_int_handler(number, frame)
    elif not run.interrupted:  # a second time changes nothing: it will not be long
        run.interrupted = True
        # Not by `threading`, whose locks the thread that was interrupted may hold.
        _thread.start_new_thread(_end_soon, (run,))


# Who is told of exceptions that Python swallows, while they are looked at here.
_report: list[Callable[[Any], Any]] = []


def _swallowed(about: Any) -> None:
    """Takes an exception that Python cannot raise; Ctrl-C is to end the program's work and not only what it met."""
    if isinstance(about.exc_value, KeyboardInterrupt):
        _thread.start_new_thread(_send_again, ())
    else:
        (_report[0] if _report else sys.__unraisablehook__)(about)


def _send_again() -> None:
    time.sleep(AGAIN)
    _thread.interrupt_main()


def _run_under_way(frame: FrameType | None) -> Run | None:
    """Returns the run of the step that a frame is part of. What is on the stack cannot be left over by accident."""
    while frame is not None:
        if frame.f_code in _steps:
            name = frame.f_code.co_varnames[1]
            run: Run | None = frame.f_locals.get(name)
            return run
        frame = frame.f_back
    return None


def _end_soon(run: Run) -> None:
    time.sleep(GRACE)
    run.cancel()
