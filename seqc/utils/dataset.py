"""Data that come one after another, with the methods of `tf.data.Dataset` that scripts written for Keras call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, count, islice
from typing import Any

import numpy as np

from seqc import tree
from seqc.errors import ArgumentTypeError, ConfigError, DataError
from seqc.graph.ir import Array
from seqc.seeds import generator
from seqc.utils.batches import PyDataset


class Shown(np.ndarray[Any, Any]):
    """An array as scripts look at tensors: `x[0].numpy()` is an array, also where x[0] is a single number."""

    def numpy(self) -> Array:
        """Returns the plain array, or the number or text that it holds."""
        plain = np.asarray(self)
        return plain if plain.ndim else plain[()]

    def __getitem__(self, where: Any) -> Any:
        found = super().__getitem__(where)
        return found if isinstance(found, np.ndarray) else _shown(found)


class Dataset:
    """Elements, most often batches, that can be gone through again and again.

    Each is an array, or a tuple or a dictionary of them. A subclass writes `__iter__`, and `__len__` where the number
    of elements is known. What the methods return goes through this dataset anew whenever it is gone through.
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__(self).")

    def __len__(self) -> int:
        raise TypeError("The dataset's length is unknown.")

    @staticmethod
    def from_tensor_slices(tensors: Any, name: str | None = None) -> Dataset:
        """Returns the rows of arrays, one after another.

        Args:
            tensors: arrays, or a tuple or a dictionary of them, of one length along the first axis.
            name: taken and not needed.

        Raises:
            DataError: they have different lengths. ArgumentTypeError: they are not arrays with a first axis.
        """
        arrays = as_element(tensors)
        found = tree.flatten(arrays)
        if not found or any(np.ndim(array) == 0 for array in found):
            raise ArgumentTypeError(f"from_tensor_slices takes arrays with a first axis. Received: {tensors!r:.200}")
        lengths = {len(array) for array in found}
        if len(lengths) > 1:
            raise DataError(f"All arrays of a dataset have the same length; these have {sorted(lengths)}.")
        length = lengths.pop()
        return Made(lambda: (_row(arrays, number) for number in range(length)), length)

    @staticmethod
    def from_tensors(tensors: Any, name: str | None = None) -> Dataset:
        """Returns one element, which is all that is given."""
        return Made(lambda: iter([as_element(tensors)]), 1)

    @staticmethod
    def from_generator(
        generator: Callable[..., Iterable[Any]],
        output_types: Any = None,
        output_shapes: Any = None,
        args: tuple[Any, ...] = (),
        output_signature: Any = None,
        name: str | None = None,
    ) -> Dataset:
        """Returns what a function gives whenever it is called with `args`, such as a generator.

        Args:
            generator: the function. output_types, output_shapes, output_signature, name: taken and not needed.
        """
        return Made(lambda: (as_element(item) for item in generator(*args)), None)

    @staticmethod
    def range(*limits: int) -> Dataset:
        """Returns numbers one after another, as Python's `range` does."""
        numbers = range(*limits)
        return Made(lambda: (_shown(number) for number in numbers), len(numbers))

    @staticmethod
    def zip(*datasets: Any) -> Dataset:
        """Returns tuples of the elements of several datasets, or of a tuple of them, as long as all have one."""
        parts = datasets[0] if len(datasets) == 1 and isinstance(datasets[0], tuple | list) else datasets
        counts = [_known(part) for part in parts]
        finite = [n for n in counts if n is not None and n != ENDLESS]
        known = None if None in counts else min(finite, default=ENDLESS)
        return Made(lambda: zip(*parts, strict=False), known)

    def take(self, count: int) -> Dataset:
        """Returns the first elements; all where `count` is -1."""
        known = _known(self)
        some = None if count < 0 else count
        least = [n for n in (known, some) if n is not None and n != ENDLESS]
        return Made(lambda: islice(iter(self), some), None if known is None else min(least, default=ENDLESS))

    def skip(self, count: int) -> Dataset:
        """Returns what comes after the first elements; nothing where `count` is -1."""
        if count < 0:
            return self.take(0)
        known = _known(self)
        return Made(
            lambda: islice(iter(self), count, None), known if known in (None, ENDLESS) else max(known - count, 0)
        )

    def map(
        self, map_func: Callable[..., Any], num_parallel_calls: Any = None, deterministic: bool | None = None
    ) -> Dataset:
        """Returns what a function makes of each element; the parts of a tuple are its arguments.

        Args:
            map_func: the function; it gets arrays. num_parallel_calls, deterministic: taken and not needed.
        """
        return Made(lambda: (as_element(_called(map_func, item)) for item in self), _known(self))

    def filter(self, predicate: Callable[..., Any]) -> Dataset:
        """Returns the elements of which a function says True."""
        return Made(lambda: (item for item in self if bool(_called(predicate, item))), None)

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
    ) -> Dataset:
        """Returns batches of so many elements, the last one smaller where it must be and may be.

        Raises:
            ConfigError: the size is not positive. DataError, in a pass: elements of a batch have different shapes.
        """
        size = int(batch_size)
        if size < 1:
            raise ConfigError(f"`batch_size` must be positive. Received: batch_size={batch_size}")
        known = _known(self)
        if known not in (None, ENDLESS):
            known = known // size if drop_remainder else -(-known // size)

        def batches() -> Iterator[Any]:
            items = iter(self)
            while some := list(islice(items, size)):
                if len(some) == size or not drop_remainder:
                    yield _stacked(some)

        return Made(batches, known)

    def unbatch(self) -> Dataset:
        """Returns the rows of the elements, one by one."""

        def rows() -> Iterator[Any]:
            for item in self:
                yield from (_row(item, number) for number in range(len(tree.flatten(item)[0])))

        return Made(rows, None)

    def shuffle(
        self, buffer_size: Any, seed: int | None = None, reshuffle_each_iteration: bool | None = None
    ) -> Dataset:
        """Returns the elements in a random order, another one in each pass.

        Args:
            buffer_size: among how many elements that have been read the next one is drawn. seed: of the order; without
            one it is that of `set_random_seed`. reshuffle_each_iteration: whether passes differ; None for yes.
        """
        size = int(np.asarray(buffer_size))
        if size < 1:
            raise ConfigError(f"`buffer_size` must be positive. Received: buffer_size={size}")
        again = reshuffle_each_iteration in (None, True)
        kept = generator(seed) if again else None
        fixed = int(generator(seed).integers(2**31))

        def mixed() -> Iterator[Any]:
            rng = np.random.default_rng(fixed) if kept is None else kept
            items = iter(self)
            read = list(islice(items, size))
            for item in items:
                place = int(rng.integers(len(read)))
                yield read[place]
                read[place] = item
            yield from (read[place] for place in rng.permutation(len(read)))

        return Made(mixed, _known(self))

    def repeat(self, count: int | None = None) -> Dataset:
        """Returns the elements again and again: so many times, or without an end where it is None or -1."""
        known = _known(self)
        if count is None or count < 0:
            return Made(lambda: chain.from_iterable(iter(self) for _ in _forever()), ENDLESS)
        times = count
        return Made(
            lambda: chain.from_iterable(iter(self) for _ in range(times)),
            known if known in (None, ENDLESS) else known * times,
        )

    def cache(self, filename: str = "") -> Dataset:
        """Returns the same elements, which are kept in memory after the first whole pass."""
        kept: list[Any] = []
        whole = [False]

        def once() -> Iterator[Any]:
            if whole[0]:
                yield from kept
                return
            read = []
            for item in self:
                read.append(item)
                yield item
            kept[:], whole[0] = read, True

        return Made(once, _known(self))

    def prefetch(self, buffer_size: Any = None) -> Dataset:
        """Returns the dataset: elements are read when they are asked for."""
        return self

    def with_options(self, options: Any) -> Dataset:
        """Returns the dataset: there is nothing to set."""
        return self

    def concatenate(self, dataset: Dataset) -> Dataset:
        """Returns these elements, and after them those of another dataset."""
        counts = [_known(self), _known(dataset)]
        known = None if None in counts else ENDLESS if ENDLESS in counts else sum(n for n in counts if n is not None)
        return Made(lambda: chain(iter(self), iter(dataset)), known)

    def enumerate(self, start: int = 0) -> Dataset:
        """Returns pairs of a number, from `start` on, and an element."""
        return Made(lambda: ((_shown(number), item) for number, item in zip(count(start), self)), _known(self))

    def cardinality(self) -> Any:
        """Returns how many elements there are: -1 where they never end, -2 where nobody knows."""
        known = _known(self)
        return _shown(-2 if known is None else known)

    def as_numpy_iterator(self) -> Iterator[Any]:
        """Returns an iterator over the elements as plain arrays and numbers."""
        return (tree.map_structure(lambda part: np.asarray(part)[()], item) for item in self)


# How many elements there are where they never end, as tf.data says it.
ENDLESS = -1


class Made(Dataset):
    """A dataset that is gone through by calling a function.

    Args:
        begin: returns an iterator over the elements. known: how many there are; None where nobody knows.
    """

    def __init__(self, begin: Callable[[], Iterator[Any]], known: int | None) -> None:
        self._begin, self._known = begin, known

    def __iter__(self) -> Iterator[Any]:
        return self._begin()

    def __len__(self) -> int:
        if self._known is None:
            raise TypeError("The dataset's length is unknown.")
        if self._known == ENDLESS:
            raise TypeError("The dataset is infinite.")
        return self._known


class Numbered(Dataset, PyDataset):
    """A dataset whose elements have numbers: a subclass writes `__len__` and `__getitem__`."""

    def __iter__(self) -> Iterator[Any]:
        for number in range(len(self)):
            yield as_element(self[number])
        self.on_epoch_end()


def as_element(value: Any) -> Any:
    """Returns arrays, tensors and numbers in the form of `value` as arrays that can be looked at."""
    if isinstance(value, dict):
        return {name: as_element(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(as_element(part) for part in value)
    return _shown(value)


def _shown(value: Any) -> Any:
    array = np.asarray(value)
    return array.view(Shown)


def _row(item: Any, number: int) -> Any:
    return tree.map_structure(lambda part: part[number], item)


def _called(function: Callable[..., Any], item: Any) -> Any:
    return function(*item) if isinstance(item, tuple) else function(item)


def _stacked(items: list[Any]) -> Any:
    columns = list(zip(*(tree.flatten(item) for item in items), strict=True))
    for column in columns:
        if len({np.shape(part) for part in column}) > 1:
            raise DataError(
                "The elements of a batch have different shapes: "
                f"{', '.join(sorted({str(np.shape(part)) for part in column})[:4])}. Pad or resize them first."
            )
    return tree.pack_sequence_as(items[0], [np.stack(column).view(Shown) for column in columns])


def _known(dataset: Dataset) -> int | None:
    """Returns how many elements a dataset has, `ENDLESS`, or None where nobody knows."""
    try:
        return len(dataset)
    except TypeError as error:
        return ENDLESS if "infinite" in str(error) else None


def _forever() -> Iterator[None]:
    while True:
        yield None
