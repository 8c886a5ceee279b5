"""What connections do in one turn of the event loop, put in order: all read, then all answer, then all write."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

LOG = logging.getLogger("seqc_runtime.server")
Call = tuple[Callable[..., object], tuple[Any, ...]]


class Advancing(Protocol):
    """A connection that has read something."""

    transport: Any

    def advance(self) -> None:
        """Go on with what was read."""


class Turn:
    """The turn of an event loop.

    A system call lets the processor forget the way through the interpreter and the model. So where many requests come
    at once, answering them one after the other and writing afterwards takes half the time of doing both for each.
    """

    def __init__(self) -> None:
        self._waiting: list[Advancing] = []
        self._later: list[Call] | None = None

    def take(self, connection: Advancing) -> None:
        """Let a connection advance once all have read what has come for them."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._end)
        self._waiting.append(connection)

    def forget(self) -> None:
        """Begin anew, for the event loop was closed."""
        self._waiting, self._later = [], None

    def do(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call what writes, after all have answered; in the order of the calls."""
        if self._later is None:
            function(*arguments)
        else:
            self._later.append((function, arguments))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let what is written wait until the end of the block."""
        if self._later is not None:
            yield
            return
        later: list[Call] = []
        self._later = later
        try:
            yield
        finally:
            self._later = None
            for function, arguments in later:
                function(*arguments)

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, []
        if len(waiting) == 1:
            _advance(waiting[0])
            return
        with self.together():
            for connection in waiting:
                _advance(connection)


def _advance(connection: Advancing) -> None:
    try:
        connection.advance()
    except Exception:  # one that fails must not keep others from their answers
        LOG.exception("a connection failed")
        connection.transport.abort()
