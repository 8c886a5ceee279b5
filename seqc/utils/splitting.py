"""Data cut in two."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from seqc import tree
from seqc.errors import ArgumentTypeError, ConfigError, DataError
from seqc.graph.ir import Array
from seqc.utils.dataset import Dataset, Numbered
from seqc.utils.dataset_base import as_element


class Samples(Dataset):
    """Samples, one after the other; `batch` makes batches of them, which `fit` takes.

    Attributes:
        arrays: the samples, in arrays as they were given, of which rows are samples.
    """

    def __init__(self, arrays: Any) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(tree.flatten(self.arrays)[0])

    def __iter__(self) -> Iterator[Any]:
        return (as_element(_at(self.arrays, i)) for i in range(len(self)))

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Batches:
        """Returns batches of so many samples, the last one smaller where it must be and may be."""
        whole = len(self) - len(self) % batch_size if drop_remainder else len(self)
        return Batches(_at(self.arrays, slice(whole)), batch_size)


class Batches(Numbered):
    """Samples in batches, in their order."""

    def __init__(self, arrays: Any, size: int) -> None:
        super().__init__()
        self._arrays, self._size = arrays, size

    def __len__(self) -> int:
        return -(-len(tree.flatten(self._arrays)[0]) // self._size)

    def __getitem__(self, number: int) -> Any:
        if not 0 <= number < len(self):
            raise IndexError(f"There is no batch {number} of {len(self)}.")
        return _at(self._arrays, slice(number * self._size, (number + 1) * self._size))


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Samples, Samples]:
    """Returns the first and the last samples of data, in two parts.

    Args:
        dataset: an array, a list or tuple of arrays of the same length, a dictionary of them, or anything that gives
        samples one by one, or batches of (x, y) if it is a `PyDataset`, a `tf.data.Dataset` or a `torch` one.
        left_size, right_size: how many samples, or which part of them; what is left of the other one where one is
        None. shuffle: whether samples are mixed beforehand, as `random.shuffle` does by `seed`.
        preferred_backend: accepted for Keras's sake; samples are NumPy's arrays.

    Raises:
        ConfigError: the sizes make no sense. ArgumentTypeError: one is no number, or the data are none.
        DataError: arrays have different lengths, or samples different shapes.
    """
    arrays = _rows(dataset)
    if left_size is None and right_size is None:
        raise ConfigError(
            "At least one of the `left_size` or `right_size` must be specified. Received: left_size=None and "
            "right_size=None"
        )
    lengths = {len(leaf) for leaf in tree.flatten(arrays)}
    if len(lengths) != 1:
        raise DataError(f"All arrays of a dataset have the same length; these have {sorted(lengths)}.")
    total = lengths.pop()
    order = list(range(total))
    if shuffle:
        random.Random(seed).shuffle(order)
    left, right = _sizes(left_size, right_size, total)
    return tuple(  # type: ignore[return-value]
        Samples(_at(arrays, part)) for part in (order[:left], order[-right:])
    )


def _at(arrays: Any, where: Any) -> Any:
    """Returns what lies at a place of arrays, or at some."""
    return tree.map_structure(lambda array: array[where], arrays)


def _rows(dataset: Any) -> Any:
    """Returns data as arrays of which rows are samples."""
    if isinstance(dataset, np.ndarray):
        return dataset
    if isinstance(dataset, list | tuple | dict) and dataset and all(map(_is_array, tree.flatten(dataset))):
        if isinstance(dataset, list) and all(np.ndim(x) == 0 for x in dataset):
            return np.asarray(dataset)
        return tree.map_structure(np.asarray, tuple(dataset) if isinstance(dataset, list) else dataset)
    if not isinstance(dataset, Iterable) or isinstance(dataset, str | bytes):
        raise ArgumentTypeError(
            "The `dataset` argument must be arrays, a list or tuple of them, or something that gives samples. "
            f"Received: dataset={dataset!r} of type {type(dataset)}"
        )
    samples = [tree.map_structure(np.asarray, sample) for sample in dataset]
    if not samples:
        raise DataError("The dataset gives no samples.")
    columns = zip(*(tree.flatten(sample) for sample in samples), strict=True)
    return tree.pack_sequence_as(samples[0], [_stacked(column) for column in columns])


def _stacked(column: tuple[Array, ...]) -> Array:
    shapes = {a.shape for a in column}
    if len(shapes) > 1:
        raise DataError(f"All the elements of `dataset` must have the same shape. Received: {sorted(shapes)}")
    return np.stack(column)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic | int | float) or hasattr(value, "__array__")


def _sizes(left: Any, right: Any, total: int) -> tuple[int, int]:
    for name, size in (("left_size", left), ("right_size", right)):
        if size is not None and type(size) not in (int, float):
            raise ArgumentTypeError(f"Invalid `{name}` Type. Expected: int or float or None, Received: {type(size)}")
        if size is not None and not 0 < size < (total if isinstance(size, int) else 1):
            raise ConfigError(
                f"`{name}` should be either a positive integer smaller than {total}, or a float within the range "
                f"`[0, 1]`. Received: {name}={size}"
            )
    if isinstance(left, float) and isinstance(right, float) and left + right > 1:
        raise ConfigError("The sum of `left_size` and `right_size` is greater than 1.")
    counts = [round(size * total) if isinstance(size, float) else size for size in (left, right)]
    found = [total - counts[1 - i] if count is None else count for i, count in enumerate(counts)]
    if sum(found) > total:
        raise ConfigError(
            f"The sum of `left_size` and `right_size` should be smaller than the {total}. Received: left_size + "
            f"right_size = {sum(found)}"
        )
    if not all(found):
        raise ConfigError(
            f"With `dataset` of length={total}, `left_size`={found[0]} and `right_size`={found[1]}, one split will be "
            "empty. Adjust any of the aforementioned parameters."
        )
    return found[0], found[1]
