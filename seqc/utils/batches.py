"""Batches by number."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any


class PyDataset:
    """Data that `fit`, `evaluate` and `predict` take batch by batch: in random order where `fit` shuffles.

    A subclass writes `__len__`, the number of batches, and `__getitem__(number)`, which returns (x, y) or
    (x, y, sample_weight); it may write `on_epoch_begin` and `on_epoch_end`. One whose batches never end writes the
    property `num_batches`, which is None, in the place of `__len__`.

    With several workers batches are made before they are needed, and come in the order in which they were asked for, so
    that the numbers are those of one worker. Where `__getitem__` draws random numbers, threads draw them in whatever
    order they run; with processes, `random` and `numpy.random` begin anew for each batch, from what `numpy.random` of
    the program gives, so that a seed set there makes them repeatable. No worker is left when `fit` and its like return
    or raise; a batch that is being made is made to its end first.

    Args:
        workers: how many batches are made at a time.
        use_multiprocessing: whether processes make them, each of which has the dataset as it is when an epoch begins,
            in the place of threads. Where processes are spawned and not forked, the dataset must pickle.
        max_queue_size: how many batches at most are ready or being made, beside the one in use.
    """

    # What a subclass has whose __init__ does not call this one's.
    workers = 1
    use_multiprocessing = False
    max_queue_size = 10

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    @property
    def num_batches(self) -> int | None:
        """The number of batches in an epoch, None where they never end.

        Raises:
            NotImplementedError: the subclass defines neither this nor `__len__`.
        """
        if not hasattr(self, "__len__"):
            raise NotImplementedError(f"{type(self).__name__} does not define __len__(self), the number of batches.")
        return len(self)

    def __getitem__(self, number: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__(self, number).")

    def __iter__(self) -> Iterator[Any]:
        count = self.num_batches
        for number in itertools.count() if count is None else range(count):
            yield self[number]

    def on_epoch_begin(self) -> None:
        """Called before the first batch of an epoch is made; with `steps_per_epoch`, of each one as well."""

    def on_epoch_end(self) -> None:
        """Called after the last batch of an epoch, and not where a run stops in the middle of it."""
