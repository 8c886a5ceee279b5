"""Context variables that have a value inside a `with` block."""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TypeVar

T = TypeVar("T")


def give_back(variable: ContextVar[T], token: Token[T]) -> None:
    """Gives a variable the value that it had before the block.

    A block that an interruption left is closed when it is collected, perhaps in another context or thread: there is
    nothing to give back then, and Python would print an error that nobody can do anything about.
    """
    with suppress(ValueError):
        variable.reset(token)
