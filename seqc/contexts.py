"""Variables that have a value inside a `with` block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import ref

T = TypeVar("T")


class Block(Generic[T]):
    """A block in which a variable has a value: until it is over, or nothing is left of it."""

    __slots__ = ("__weakref__", "over", "value")

    def __init__(self, value: T) -> None:
        self.value, self.over = value, False


class Begun(NamedTuple):
    """What a context remembers of a block that has begun, and of the one around it."""

    block: ref[Block[Any]]
    around: Begun | None


class Scoped(Generic[T]):
    """A variable that has a value inside `with variable.holding(value)`, in the context (thread, task) that says so.

    Ctrl-C can come between any two instructions: also after a block has begun and before Python knows what to undo, or
    while it undoes it; and a block that was left that way may be closed late, by another thread, after the ones around
    it. So nothing is undone: the context remembers the blocks that have begun, and those that are over don't count.
    """

    def __init__(self, name: str, default: T) -> None:
        self.default = default
        self._begun: ContextVar[Begun | None] = ContextVar(name, default=None)

    def get(self) -> T:
        """Returns the value of the innermost block, else the default."""
        begun = self._begun.get()
        if begun is None or (begun := _not_over(begun)) is None or (block := begun.block()) is None:
            return self.default
        value: T = block.value
        return value

    @contextmanager
    def holding(self, value: T) -> Iterator[T]:
        """Inside, the variable has this value."""
        block = Block(value)
        try:
            self._begun.set(Begun(ref(block), _not_over(self._begun.get())))
            yield value
        finally:
            block.over = True


def _not_over(begun: Begun | None) -> Begun | None:
    """Returns the innermost block that is not over."""
    while begun is not None and ((block := begun.block()) is None or block.over):
        begun = begun.around
    return begun


def open_blocks() -> list[str]:
    """Returns the names of the variables that have a value in this context because of a block."""
    begun = {v.name: at for v, at in copy_context().items() if isinstance(at, Begun)}
    return [name for name, at in begun.items() if _not_over(at)]
