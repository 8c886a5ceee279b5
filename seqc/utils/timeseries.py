"""Windows of a series, as batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.errors import ConfigError
from seqc.graph.ir import Array
from seqc.utils.dataset import Numbered


class Windows(Numbered):
    """Batches of windows of a series, with what belongs to each.

    Args:
        data: what windows are cut out of, along the first axis. targets: of each start, or None. starts: where windows
        begin. offsets: which elements from there on are in one. batch_size: windows in a batch; None for single ones.
        shuffle: whether each epoch has its own order. rng: for that.
    """

    def __init__(
        self,
        data: Array,
        targets: Array | None,
        starts: Array,
        offsets: Array,
        batch_size: int | None,
        shuffle: bool,
        rng: np.random.RandomState,
    ) -> None:
        super().__init__()
        self._data, self._targets, self._starts, self._offsets = data, targets, starts, offsets
        self._batch_size, self._shuffle, self._rng = batch_size, shuffle, rng

    def __len__(self) -> int:
        return -(-len(self._starts) // (self._batch_size or 1))

    def __getitem__(self, number: int) -> Any:
        if not 0 <= number < len(self):
            raise IndexError(f"There is no batch {number} of {len(self)}.")
        if self._batch_size is None:
            starts = self._starts[number]
        else:
            starts = self._starts[number * self._batch_size : (number + 1) * self._batch_size]
        windows = self._data[starts[..., None] + self._offsets]
        return windows if self._targets is None else (windows, self._targets[starts])

    def on_epoch_end(self) -> None:
        if self._shuffle:
            self._starts = self._rng.permutation(self._starts)


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Numbered:
    """Returns windows of a series as batches, for `fit`, `evaluate` and `predict`, or to be looked at one by one.

    Args:
        data: the series along the first axis. targets: of the window that begins at each place; None for windows alone.
        sequence_length: elements in a window. sequence_stride: how far windows are apart. sampling_rate: how far the
        elements in a window are apart. batch_size: windows in a batch; None for single windows.
        shuffle: whether windows come in random order, another one in each epoch. seed: of that order.
        start_index, end_index: the part of the series that is used, without the end. format: makes no difference.

    Raises:
        ConfigError: a number is out of its range.
    """
    count = len(data)
    if format not in ("tf", "grain"):
        raise ConfigError(f'`format` should be either "tf" or "grain". Received: format={format}')
    if start_index is not None and not 0 <= start_index < count:
        raise ConfigError(
            f"`start_index` must be 0 or greater, and lower than the length of the data, {count}. "
            f"Received: start_index={start_index}"
        )
    if end_index is not None and not (start_index or 0) < end_index < count:
        raise ConfigError(
            f"`end_index` must be higher than `start_index`, and lower than the length of the data, {count}. "
            f"Received: start_index={start_index}, and end_index={end_index}"
        )
    for name, number in (("sampling_rate", sampling_rate), ("sequence_stride", sequence_stride)):
        if not 0 < number < count:
            raise ConfigError(
                f"`{name}` must be higher than 0, and lower than the length of the data, {count}. "
                f"Received: {name}={number}"
            )
    first, end = start_index or 0, count if end_index is None else end_index
    possible = end - first - (sequence_length - 1) * sampling_rate
    if targets is not None:
        possible = min(possible, len(targets))
    starts = np.arange(0, max(possible, 0), sequence_stride)
    rng = np.random.RandomState(seed)
    offsets = np.arange(0, sequence_length * sampling_rate, sampling_rate)
    part = slice(first, end)
    made = Windows(
        np.asarray(data)[part],
        None if targets is None else np.asarray(targets)[part],
        rng.permutation(starts) if shuffle else starts,
        offsets,
        batch_size,
        shuffle,
        rng,
    )
    return made
