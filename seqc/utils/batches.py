"""Batches by number."""

from __future__ import annotations

from typing import Any


class PyDataset:
    """Data that `fit`, `evaluate` and `predict` take batch by batch: in random order where `fit` shuffles.

    A subclass writes `__len__`, the number of batches, and `__getitem__(number)`, which returns (x, y) or
    (x, y, sample_weight); it may write `on_epoch_end`.

    Args:
        workers, use_multiprocessing, max_queue_size: accepted for Keras's sake; batches are made one after another.
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__(self), the number of batches.")

    def __getitem__(self, number: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__(self, number).")

    def on_epoch_end(self) -> None:
        """Called after the last batch of an epoch."""
