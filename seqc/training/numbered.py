"""Batches that are asked for by number."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable
from typing import Any

from seqc.seeds import generator
from seqc.training.arguments import whole_number
from seqc.utils.batches import PyDataset


def by_number(batches: Any) -> bool:
    """Tells whether something gives its batches by number, and has no order of its own to give them in."""
    if isinstance(batches, PyDataset):
        return type(batches).__iter__ is PyDataset.__iter__
    return not isinstance(batches, Iterable)


def batch_count(batches: Any) -> int | None:
    """Returns how many batches there are in an epoch, None where they never end."""
    return batches.num_batches if isinstance(batches, PyDataset) else len(batches)


def numbered_items(batches: Any, shuffle: bool | str) -> Generator[Any, None, None]:
    """Yields the batches of one pass; when it is closed, no worker is left.

    Args:
        batches: a PyDataset, or what has `__getitem__` and `__len__`; the attributes of a PyDataset count where it has
            them.
        shuffle: whether they come in random order.
    """
    count = batch_count(batches)
    numbers: Iterable[int] = itertools.count() if count is None else range(count)
    if shuffle and count is not None:
        numbers = map(int, generator().permutation(count))
    workers = whole_number("workers", getattr(batches, "workers", 1) or 0, 0)
    processes = bool(getattr(batches, "use_multiprocessing", False))
    if workers > 1 or (workers and processes):
        from seqc.training.ahead import made_ahead  # loads multiprocessing, which few programs need

        most = whole_number("max_queue_size", getattr(batches, "max_queue_size", 10) or workers)
        yield from made_ahead(batches, numbers, workers, processes, most)
    else:
        for number in numbers:
            yield batches[number]
