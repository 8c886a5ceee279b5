"""Which layer is being traced: the path that values carry, for messages and names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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
        _scope.reset(token)
