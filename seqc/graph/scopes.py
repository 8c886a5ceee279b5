"""What is being traced: the path of the layer, which values carry for messages and names; which values are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import Any

from seqc.contexts import Scoped

_scope: Scoped[str] = Scoped("scope", default="")


def current_scope() -> str:
    """Returns the path of the layer that is being traced, "" outside of any."""
    return _scope.get()


def scope(name: str, whole: bool = False) -> AbstractContextManager[object]:
    """Values made inside carry `name` as their origin, appended to the scopes around it unless it is the whole path."""
    outer = _scope.get()
    return _scope.holding(name if whole or not outer else f"{outer}/{name}")


# The trace that is being recorded, if any; see `seqc.graph.tracing`.
trace_under_way: Scoped[Any] = Scoped("trace", default=None)

# Numbers of values in the order in which they are made.
SERIALS = count()


class Numbered:
    """What has such a number; a copy has one of its own, so that equal things are the same bytes whenever made."""

    __slots__ = ("serial",)
    serial: int

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).__slots__ if name != "__weakref__"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self.serial = next(SERIALS)


class Recording:
    """Which values are made while it is on: it knows them by their numbers, and keeps none of them."""

    def __init__(self) -> None:
        self._ended: list[tuple[int, int]] = []
        self._since: int | None = None

    @property
    def on(self) -> bool:
        return self._since is not None

    def start(self) -> None:
        self._since = next(SERIALS)

    def stop(self) -> None:
        if self._since is not None:
            self._ended.append((self._since, next(SERIALS)))
            self._since = None

    def __contains__(self, value: Any) -> bool:
        number = value.serial
        if self._since is not None and number > self._since:
            return True
        return any(first < number < last for first, last in self._ended)


@contextmanager
def noting() -> Iterator[Recording]:
    """Gives what tells the values that are made inside from others."""
    made = Recording()
    made.start()
    try:
        yield made
    finally:
        made.stop()
