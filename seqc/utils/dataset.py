"""Data that come one after another, with the methods of `tf.data.Dataset` that scripts written for Keras call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from functools import partial
from itertools import chain, count, islice, takewhile
from typing import Any, NoReturn

import numpy as np

from seqc import tree
from seqc.errors import ArgumentTypeError, ConfigError, DataError
from seqc.seeds import generator
from seqc.sure import present
from seqc.utils.absent import guess
from seqc.utils.batches import PyDataset
from seqc.utils.dataset_base import ENDLESS, as_element, called, counted, known_of, only_dataset
from seqc.utils.dataset_groups import Grouping
from seqc.utils.element_order import by_turns, chosen, different, drawn, forever, listed, once, scanned, shuffled
from seqc.utils.elements import TensorSpec, declared, row, signature


class _Methods(type):
    """Says which methods there are where a script calls another one of the class."""

    def __getattr__(cls, name: str) -> Any:
        return _no_method(name)


class Dataset(Grouping, metaclass=_Methods):
    """Elements, most often batches, that can be gone through again and again.

    Each is an array, or a tuple or a dictionary of them. A subclass writes `__iter__`, and `__len__` where the number
    of elements is known. What the methods return goes through this dataset anew whenever it is gone through; their
    argument `name` is taken and not needed.
    """

    def __getattr__(self, name: str) -> Any:
        return _no_method(name)

    @staticmethod
    def _made(*args: Any, **said: Any) -> Dataset:
        return Made(*args, **said)

    @staticmethod
    def from_tensor_slices(tensors: Any, name: str | None = None) -> Dataset:
        """Returns the rows of arrays, one after another.

        Args:
            tensors: arrays, or a tuple or a dictionary of them, of one length along the first axis.

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
        return Made(lambda: (row(arrays, number) for number in range(length)), length)

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
            generator: the function. args: what it gets. output_signature: a `TensorSpec` for each array, in the form of
            an element; or output_types and output_shapes, in that form.

        Raises:
            DataError: in a pass: an element is not what was said of it.
        """
        said = signature(output_types, output_shapes) if output_types is not None else output_signature
        if said is None:
            return Made(lambda: (as_element(item) for item in generator(*args)), None)
        return Made(lambda: (declared(item, said) for item in generator(*args)), None, spec=said)

    @staticmethod
    def range(*limits: Any, output_type: Any = "int64", name: str | None = None) -> Dataset:
        """Returns numbers one after another, as Python's `range` does, of type int64 unless told otherwise."""
        numbers = range(*map(int, limits))
        said = TensorSpec((), output_type)
        return Made(lambda: map(said.take, numbers), len(numbers), spec=said)

    @staticmethod
    def counter(start: Any = 0, step: Any = 1, dtype: Any = "int64", name: str | None = None) -> Dataset:
        """Returns numbers from one on without an end, each larger by `step`."""
        said = TensorSpec((), dtype)
        return Made(lambda: map(said.take, count(start, step)), ENDLESS, spec=said)

    @staticmethod
    def random(
        seed: int | None = None, rerandomize_each_iteration: bool | None = None, name: str | None = None
    ) -> Dataset:
        """Returns whole numbers at random, from 0 to 2**32 - 1 and without an end.

        Args:
            seed: of the numbers; without one it is that of `set_random_seed`. rerandomize_each_iteration: whether
            passes differ; None for no.
        """
        said, begin = TensorSpec((), "int64"), _draws(seed, bool(rerandomize_each_iteration))
        return Made(lambda: map(said.take, iter(partial(begin().integers, 2**32), None)), ENDLESS, spec=said)

    @staticmethod
    def sample_from_datasets(
        datasets: Any,
        weights: Any = None,
        seed: int | None = None,
        stop_on_empty_dataset: bool = False,
        rerandomize_each_iteration: bool | None = None,
    ) -> Dataset:
        """Returns elements of several datasets, each the next one of a dataset that is drawn at random.

        Args:
            datasets: a list of them. weights: how often each is drawn; all alike unless told otherwise. seed: of the
            draws; without one it is that of `set_random_seed`. stop_on_empty_dataset: whether all ends where one is
            drawn that has ended; otherwise the others go on. rerandomize_each_iteration: whether passes differ; None
            for no.

        Raises:
            ConfigError: there are no datasets, or not one weight for each, of 0 or more and not all 0.
        """
        parts = _datasets(datasets)
        share = np.ones(len(parts)) if weights is None else np.asarray(weights, "float64")
        if share.shape != (len(parts),) or not (share >= 0).all() or not 0 < share.sum() < np.inf:
            raise ConfigError(
                f"`weights` must be one number for each of the {len(parts)} datasets, of 0 or more and not all 0. "
                f"Received: {weights!r:.200}"
            )
        parts, share = [part for part, one in zip(parts, share, strict=True) if one], share[share > 0]
        if len(parts) == 1:
            return parts[0]
        begin, stop = _draws(seed, bool(rerandomize_each_iteration)), stop_on_empty_dataset
        counts = [known_of(part) for part in parts]
        endless = all(n == ENDLESS for n in counts) if stop else ENDLESS in counts
        known, uneven = ENDLESS if endless else None, any(part._uneven for part in parts)
        return Made(lambda: chosen(parts, drawn(share, begin()), stop), known, uneven=uneven)

    @staticmethod
    def choose_from_datasets(datasets: Any, choice_dataset: Any, stop_on_empty_dataset: bool = True) -> Dataset:
        """Returns elements of several datasets, each the next one of a dataset whose number is given.

        Args:
            datasets: a list of them. choice_dataset: a dataset of their numbers. stop_on_empty_dataset: whether all
            ends where one is chosen that has ended; otherwise it is passed over.

        Raises:
            ConfigError: there are no datasets. DataError: in a pass: there is no such number.
        """
        parts = _datasets(datasets)
        if not isinstance(choice_dataset, Dataset):
            raise ArgumentTypeError(f"`choice_dataset` must be a dataset. Received: {choice_dataset!r:.200}")
        uneven = any(part._uneven for part in parts)
        return Made(lambda: chosen(parts, listed(choice_dataset), stop_on_empty_dataset), None, uneven=uneven)

    @staticmethod
    def zip(*args: Any, datasets: Any = None, name: str | None = None) -> Dataset:
        """Returns the elements of several datasets in the form in which these are given, as long as all have one.

        Args:
            args: datasets, or tuples and dictionaries of them. datasets: one of these, in the place of `args`.

        Raises:
            ArgumentTypeError: something is no dataset.
        """
        form = tree.lists_to_tuples((args[0] if len(args) == 1 else args) if args else datasets)
        parts = tree.flatten(form)
        if not all(isinstance(part, Dataset) for part in parts):
            raise ArgumentTypeError(f"What is taken together must be datasets. Received: {form!r:.200}")
        counts = [known_of(part) for part in parts]
        finite = [n for n in counts if n is not None and n != ENDLESS]
        known = None if None in counts else min(finite, default=ENDLESS)
        return Made(lambda: (tree.pack_sequence_as(form, some) for some in zip(*parts, strict=False)), known)

    def take(self, count: int, name: str | None = None) -> Dataset:
        """Returns the first elements; all where `count` is -1."""
        known = known_of(self)
        some = None if count < 0 else count
        least = [n for n in (known, some) if n is not None and n != ENDLESS]
        most = None if known is None else min(least, default=ENDLESS)
        return Made(lambda: islice(iter(self), some), most, self)

    def skip(self, count: int, name: str | None = None) -> Dataset:
        """Returns what comes after the first elements; nothing where `count` is -1."""
        if count < 0:
            return self.take(0)
        known = known_of(self)
        left = known if known in (None, ENDLESS) else max(known - count, 0)
        return Made(lambda: islice(iter(self), count, None), left, self)

    def shard(self, num_shards: int, index: int, name: str | None = None) -> Dataset:
        """Returns every so-manieth element, from the one with this number on.

        Raises:
            ConfigError: there is no such part.
        """
        if not 0 <= index < num_shards:
            raise ConfigError(f"`index` must lie between 0 and num_shards={num_shards}. Received: index={index}")
        known = known_of(self)
        some = known if known in (None, ENDLESS) else max(-(-(known - index) // num_shards), 0)
        return Made(lambda: islice(iter(self), index, None, num_shards), some, self)

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """Returns what a function makes of each element; the parts of a tuple are its arguments.

        Args:
            map_func: the function; it gets arrays. num_parallel_calls, deterministic: taken and not needed.
        """
        return Made(lambda: (as_element(called(map_func, item)) for item in self), known_of(self), uneven=self._uneven)

    def flat_map(self, map_func: Callable[..., Any], name: str | None = None) -> Dataset:
        """Returns the elements of the datasets that a function makes of each element, one dataset after the other."""
        return Made(lambda: chain.from_iterable(_dataset_of(map_func, item) for item in self), None)

    def interleave(
        self,
        map_func: Callable[..., Any],
        cycle_length: int | None = None,
        block_length: int | None = None,
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """Returns the elements of the datasets that a function makes of each element, of several of them by turns.

        Args:
            map_func: the function. cycle_length: of how many; 4 unless told otherwise. block_length: how many elements
            of each at its turn, by default one. num_parallel_calls, deterministic: taken and not needed.
        """
        turns = 4 if cycle_length in (None, -1) else int(present(cycle_length))
        block = block_length or 1
        if turns < 1 or block < 1:
            raise ConfigError(f"`cycle_length` and `block_length` must be positive. Received: {turns} and {block}")

        return Made(lambda: by_turns((_dataset_of(map_func, item) for item in self), turns, block), None)

    def scan(self, initial_state: Any, scan_func: Callable[[Any, Any], Any], name: str | None = None) -> Dataset:
        """Returns what a function of a state and an element makes of them, by all elements in turn.

        Args:
            initial_state: the first state, in each pass. scan_func: returns the next state and what is made.

        Raises:
            ArgumentTypeError: in a pass: the function does not return two things.
        """

        def step(state: Any, item: Any) -> tuple[Any, Any]:
            found = scan_func(state, item)
            if not isinstance(found, tuple | list) or len(found) != 2:
                raise ArgumentTypeError(f"`scan_func` must return a state and an element. Received: {found!r:.200}")
            return as_element(found[0]), as_element(found[1])

        return Made(lambda: scanned(self, as_element(initial_state), step), known_of(self))

    def apply(self, transformation_func: Callable[[Dataset], Any]) -> Any:
        """Returns what a function makes of the dataset."""
        return transformation_func(self)

    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """Returns the elements of which a function says True."""
        return Made(lambda: (item for item in self if bool(called(predicate, item))), None, self)

    def take_while(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """Returns the elements before the first one of which a function does not say True."""
        return Made(lambda: takewhile(lambda item: bool(called(predicate, item)), self), None, self)

    def unique(self, name: str | None = None) -> Dataset:
        """Returns the elements, each an array, without those that came before."""
        return Made(lambda: different(self), None, self)

    def shuffle(
        self,
        buffer_size: Any,
        seed: int | None = None,
        reshuffle_each_iteration: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """Returns the elements in a random order, another one in each pass.

        Args:
            buffer_size: among how many elements that have been read the next one is drawn. seed: of the order; without
            one it is that of `set_random_seed`. reshuffle_each_iteration: whether passes differ; None for yes.
        """
        size = int(np.asarray(buffer_size))
        if size < 1:
            raise ConfigError(f"`buffer_size` must be positive. Received: buffer_size={size}")
        draws = _draws(seed, reshuffle_each_iteration in (None, True))

        def begin() -> Iterator[Any]:
            return shuffled(self, size, draws())  # drawn here, and not when the first element is

        return Made(begin, known_of(self), self)

    def repeat(self, count: int | None = None, name: str | None = None) -> Dataset:
        """Returns the elements again and again: so many times, or without an end where it is None or -1."""
        known = known_of(self)
        if count is None or count < 0:
            return Made(lambda: forever(self), 0 if known == 0 else ENDLESS, self)
        times = count
        whole = known if known in (None, ENDLESS) else known * times
        return Made(lambda: chain.from_iterable(iter(self) for _ in range(times)), whole, self)

    def cache(self, filename: str = "", name: str | None = None) -> Dataset:
        """Returns the same elements, which are kept in memory after the first whole pass."""
        kept: list[list[Any]] = []
        return Made(lambda: once(self, kept), known_of(self), self)

    def prefetch(self, buffer_size: Any = None, name: str | None = None) -> Dataset:
        """Returns the dataset: elements are read when they are asked for."""
        return self

    def with_options(self, options: Any, name: str | None = None) -> Dataset:
        """Returns the dataset: there is nothing to set."""
        return self

    def concatenate(self, dataset: Dataset, name: str | None = None) -> Dataset:
        """Returns these elements, and after them those of another dataset."""
        counts = [known_of(self), known_of(dataset)]
        known = None if None in counts else ENDLESS if ENDLESS in counts else sum(n for n in counts if n is not None)
        return Made(lambda: chain(iter(self), iter(dataset)), known, uneven=self._uneven)

    def enumerate(self, start: int = 0, name: str | None = None) -> Dataset:
        """Returns pairs of a number, from `start` on, and an element."""
        return Made(lambda: ((counted(number), item) for number, item in zip(count(start), self)), known_of(self))


class Made(Dataset):
    """A dataset that is gone through by calling a function.

    Args:
        begin: returns an iterator over the elements. known: how many there are; None where nobody knows.
        of: the dataset whose elements are as these, in shapes and types. uneven: whether the last one may have fewer.
        spec: what is known of their types and shapes.
    """

    def __init__(
        self,
        begin: Callable[[], Iterator[Any]],
        known: int | None,
        of: Dataset | None = None,
        uneven: bool = False,
        spec: Any = None,
    ) -> None:
        self._begin, self._known = begin, known
        self._spec = spec if of is None else of._spec
        self._uneven = uneven if of is None else of._uneven

    @property
    def element_spec(self) -> Any:
        return super().element_spec if self._spec is None else self._spec

    def __iter__(self) -> Iterator[Any]:
        return self._begin()

    def __len__(self) -> int:
        if self._known is None:
            raise TypeError("The dataset's length is unknown.")
        if self._known == ENDLESS:
            raise TypeError("The dataset is infinite.")
        return self._known


class Numbered(Dataset, PyDataset):
    """A dataset whose elements have numbers: a subclass writes `__len__` and `__getitem__`.

    Where it has an order, its `on_epoch_end` makes another one, and does not change the old one in place.
    """

    _begun = False

    def __iter__(self) -> Iterator[Any]:
        # The order of a pass is drawn as it begins, so that it does not depend on how far those before it went.
        if self._begun:
            self.on_epoch_end()
        self._begun = True
        now = copy(self)
        return (as_element(now[number]) for number in range(len(now)))

    @property
    def element_spec(self) -> Any:
        for number in range(len(self)):
            return tree.map_structure(self._said_of, as_element(self[number]))  # which begins no pass
        return super().element_spec

    @property
    def _uneven(self) -> bool:  # type: ignore[override]
        return getattr(self, "_batch_size", 0) is not None


def _dataset_of(function: Callable[..., Any], item: Any) -> Dataset:
    found: Dataset = only_dataset(called(function, item), "map_func")
    return found


def _datasets(given: Any) -> list[Dataset]:
    """Returns a list of datasets."""
    parts = list(given)
    if not parts:
        raise ConfigError("`datasets` should not be empty.")
    if not all(isinstance(part, Dataset) for part in parts):
        raise ArgumentTypeError(f"`datasets` must be datasets. Received: {given!r:.200}")
    return parts


def _draws(seed: int | None, again: bool) -> Callable[[], np.random.Generator]:
    """Returns what gives the random numbers of each pass: other ones again, or the same."""
    kept = generator(seed)
    fixed = int(kept.integers(2**31))
    # Drawn as a pass begins, so that it does not depend on how far those before it went.
    return lambda: np.random.default_rng(kept.integers(2**31) if again else fixed)


def _no_method(name: str) -> NoReturn:
    if name.startswith("_"):
        raise AttributeError(f"A dataset has no attribute '{name}'", name=name)
    known = tuple(one for one in dir(Dataset) if not one.startswith("_"))
    raise AttributeError(
        f"A dataset has no '{name}'. {guess('tf.data.Dataset', name, known)} What is missing can be a generator: "
        "Dataset.from_generator(function, output_signature=dataset.element_spec).",
        name=name,
    )
