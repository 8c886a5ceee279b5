"""What is certain where it stands, told to whoever reads the types; and an error where it is not, also under -O."""

from __future__ import annotations

from typing import Any, TypeVar, overload

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


def present(value: T | None) -> T:
    """Returns a value that is there.

    Raises:
        RuntimeError: it is None, by a mistake in seqc.
    """
    if value is None:
        raise mistake("a value is missing")
    return value


@overload
def of_kind(value: object, kind: type[A], /) -> A: ...
@overload
def of_kind(value: object, kind: type[A], other: type[B], /) -> A | B: ...
@overload
def of_kind(value: object, kind: type[A], other: type[B], third: type[C], /) -> A | B | C: ...
def of_kind(value: object, *kinds: type) -> Any:
    """Returns a value that is of one of up to three kinds.

    Raises:
        RuntimeError: it is of another, by a mistake in seqc.
    """
    if not isinstance(value, kinds):
        raise mistake(f"{' or '.join(kind.__name__ for kind in kinds)} is expected, and not {type(value).__name__}")
    return value


def mistake(what: str) -> RuntimeError:
    """Returns the error for what cannot be, whatever the user does."""
    return RuntimeError(f"A mistake in seqc, which is worth a report: {what}.")
