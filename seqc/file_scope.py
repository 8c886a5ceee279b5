"""What holds while one file is read or written: which layers are one and the same, and how much room weights have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from seqc.errors import SavingError

# In a file that is read: objects by number. In one that is written: numbers by `id` of the object. Then: bytes left.
_shared: ContextVar[dict[Any, Any] | None] = ContextVar("shared", default=None)
_room: ContextVar[list[int] | None] = ContextVar("room", default=None)


def shared_objects() -> dict[Any, Any] | None:
    """Returns the table of objects that occur more than once in the file at hand, None outside of one."""
    return _shared.get()


@contextmanager
def one_file(weight_bytes: int | None = None, numbers: Mapping[int, int] | None = None) -> Iterator[None]:
    """Reads or writes one file inside: a layer that occurs twice stays one layer, and `reserve` counts.

    Args:
        weight_bytes: how large all weights together may get, None for no limit.
        numbers: for writing, a number for the `id` of each layer that occurs more than once.
    """
    shared, room = _shared.set(dict(numbers or {})), _room.set(None if weight_bytes is None else [weight_bytes])
    try:
        yield
    finally:
        _shared.reset(shared)
        _room.reset(room)


def reading() -> bool:
    """Tells whether a file is being read whose weights will replace those that layers make."""
    return _room.get() is not None


def reserve(shape: Sequence[int], itemsize: int, who: str) -> None:
    """Counts a weight about to be made while a file is read.

    Raises:
        SavingError: the file's configuration asks for more weights than the file holds.
    """
    room = _room.get()
    if room is None:
        return
    size = math.prod(shape) * itemsize
    room[0] -= size
    if room[0] < 0:
        raise SavingError(
            f"The file's configuration makes weight '{who}' of shape {tuple(shape)} ({size} bytes), more than all the "
            "weights in the file. The file is damaged or made to exhaust memory; refused."
        )
