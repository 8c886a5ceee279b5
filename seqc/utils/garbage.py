"""Python's search for objects that refer to one another, and to nothing else, put off while much is made that stays."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def collected_later(function: Callable[P, R]) -> Callable[P, R]:
    """Returns the function so that it makes its objects without the collector looking through them meanwhile.

    Tracing and planning make some hundred thousand objects that are all kept; looked through again and again, they
    cost a tenth of a model's first step.
    """

    @wraps(function)
    def wrapper(*arguments: P.args, **named: P.kwargs) -> R:
        was_on = gc.isenabled()
        try:
            gc.disable()
            return function(*arguments, **named)
        finally:
            if was_on:
                gc.enable()

    return wrapper
