"""What is being traced: the path of the layer, which values carry for messages and names; which values are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from seqc.contexts import give_back

_scope: ContextVar[str] = ContextVar("scope", default="")


def current_scope() -> str:
    """Returns the path of the layer that is being traced, "" outside of any."""
    return _scope.get()


@contextmanager
def scope(name: str, whole: bool = False) -> Iterator[None]:
    """Values made inside carry `name` as their origin, appended to the scopes around it unless it is the whole path."""
    outer = _scope.get()
    token = _scope.set(name if whole or not outer else f"{outer}/{name}")
    try:
        yield
    finally:
        give_back(_scope, token)


# The trace that is being recorded, if any; see `seqc.graph.tracing`.
trace_under_way: ContextVar[Any] = ContextVar("trace", default=None)

# Where values are noted that are made while somebody asks for it.
_made: ContextVar[set[Any] | None] = ContextVar("made", default=None)


def note(value: Any) -> None:
    """Notes a value that is being made, where somebody asks for it."""
    if (made := _made.get()) is not None:
        made.add(value)


@contextmanager
def noting() -> Iterator[set[Any]]:
    """Gives the set of the values that are made inside."""
    made: set[Any] = set()
    outer = _made.get()
    token = _made.set(made)
    try:
        yield made
    finally:
        give_back(_made, token)
        if outer is not None:
            outer |= made
