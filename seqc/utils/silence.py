"""Progress that nobody wants to see."""

from __future__ import annotations

from typing import Any


class Silence:
    """Takes the calls of a progress display and shows nothing."""

    def start(self, epoch: int, steps: int | None) -> None:
        """An epoch begins."""

    def wants(self) -> bool:
        """Tells whether the metrics are worth computing now."""
        return False

    def advance(self, done: int, logs: dict[str, Any] | None) -> None:
        """Steps are done."""

    def finish(self, logs: dict[str, Any]) -> None:
        """The epoch is done."""
