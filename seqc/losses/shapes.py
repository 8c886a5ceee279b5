"""How two shapes, of labels and an output or of values and their weights, lie on each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc.errors import DataError
from seqc.graph import dims
from seqc.graph.batch import BATCH


class SizesWritten(DataError):
    """Of two shapes one has a number where the other has the size of a batch, which may be any."""


def clash(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Tells whether two shapes, aligned on the right, differ."""
    return any(x != y for x, y in zip(reversed(a), reversed(b), strict=False))


def broadcast(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Tells whether two shapes broadcast, aligned on the right, with the batch on one axis of the result."""
    pairs = zip(reversed(a), reversed(b), strict=False)
    return all(x == y or 1 in (x, y) for x, y in pairs) and not crosses(a, b)


def crosses(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Tells whether, aligned on the right, two shapes have the batch on one axis each, and on different ones."""
    places = [[i - len(shape) for i, size in enumerate(shape) if BATCH in dims.names(size)] for shape in (a, b)]
    return len(places[0]) == len(places[1]) == 1 and places[0] != places[1]


def misfit(a: Sequence[Any], b: Sequence[Any], message: str) -> DataError:
    """Returns the error of two shapes that do not lie on each other."""
    depends = [any(BATCH in dims.names(size) for size in shape) for shape in (a, b)]
    return SizesWritten(message) if depends[0] != depends[1] else DataError(message)


def shown(shape: Sequence[Any]) -> str:
    """Returns a shape as Python writes a tuple, names of sizes without quotes."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def one_per_sample(rank: int) -> str:
    """Returns how one weight per sample is given beside values of a rank."""
    ones = ", 1" * (rank - 1)
    added = f": numpy.reshape(weights, (-1{ones}))" if ones else ""
    return f"One weight per sample is of shape (n{ones or ','}){added}."
