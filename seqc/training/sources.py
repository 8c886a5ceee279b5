"""Where batches come from: arrays cut up, or whatever yields batches."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from sys import maxsize
from types import GeneratorType
from typing import Any

import numpy as np

from seqc import tree
from seqc.errors import ConfigError, DataError
from seqc.limits import limited
from seqc.seeds import generator, random_state, set_random_state
from seqc.stored import is_stored
from seqc.sure import present
from seqc.training.arrange import holds_arrays, is_array
from seqc.training.data import Batch, Data, unpack
from seqc.training.numbered import batch_count, by_number, numbered_items
from seqc.training.tables import is_table
from seqc.utils.display import note

DEFAULT_BATCH_SIZE = 32

# Turns (x, y, sample_weight) into checked data.
Prepare = Callable[[Any, Any, Any], Data]


class Source:
    """Batches, epoch by epoch.

    Where an epoch has a number of steps of its own, each one goes on where the last one stopped; without, it is one
    pass over the data.

    Args:
        per_epoch: steps of an epoch, None for a whole pass. length: batches in a pass, None if not known.
    """

    def __init__(self, per_epoch: int | None, length: int | None) -> None:
        steps = per_epoch or length
        most = limited("max_steps_per_epoch", "steps_per_epoch", steps)
        self.per_epoch = per_epoch if most == steps else most
        self.length = length
        # Of the pass under way: how many batches were taken, and the state of what is random before the first, where
        # somebody may ask for that.
        self.taken, self.keeps_place = 0, False
        self.began: Any = None
        # The same before the epoch under way, where that is not the first one of its pass.
        self.epoch_began: Any = None
        self._under_way: Iterator[Batch] | None = None

    @property
    def steps(self) -> int | None:
        """The number of steps in an epoch, None if not known before it ends."""
        return self.per_epoch or self.length

    @property
    def rows(self) -> int | None:
        """The number of samples in an epoch, None if not known before it ends."""
        return None

    def one_pass(self) -> Iterator[Batch]:
        """Starts a pass over the data."""
        raise NotImplementedError(f"{type(self).__name__}.one_pass")

    def close(self) -> None:
        """Ends what makes batches ahead of their time."""

    def restart(self) -> None:
        """Makes the next epoch start at the beginning of the data."""
        self._end_pass()

    def resume(self, taken: int, began: Any, done: int = 0, epoch_began: Any = None) -> Batch | None:
        """Begins a pass of which so many batches were taken before; they are passed over, and the last one is returned.

        Epochs that ended and began on the way do so again, since data may draw another order for each.

        Args:
            began: the state of what is random before the pass. done: how many of the batches were of an epoch that is
            to go on, 0 where the last one was at its end. epoch_began: the state before the last epoch, where that did
            not begin the pass.

        Raises:
            ConfigError: there are fewer batches.
        """
        set_random_state(began)
        self._begin_pass()
        self.epoch_began = epoch_began
        batches, last = present(self._under_way), None
        each = self.per_epoch or max(taken, 1)
        for start in range(0, taken, each):
            if start:
                self._end_epoch()
            if start and start + each >= taken:
                set_random_state(epoch_began)
            self._begin_epoch()
            count = min(each, taken - start)
            for batch in islice(batches, count):
                self.taken, count, last = self.taken + 1, count - 1, batch
            if count:
                raise ConfigError(f"{taken} batches of the data were trained on, and there are {self.taken} now")
        if taken and not done:
            self._end_epoch()
        return last

    def _begin_pass(self) -> None:
        self.taken, self.began = 0, random_state() if self.keeps_place else None
        self._under_way = self.one_pass()

    def _end_pass(self) -> None:
        self.taken, self._under_way = 0, None

    def epoch(self, done: int = 0) -> Iterator[Batch]:
        """Yields the batches of one epoch; warns where the data end before its steps are done.

        Args:
            done: how many of its batches were done before.
        """
        if self._under_way is None:
            self._begin_pass()
        if not done:
            self.epoch_began = random_state() if self.keeps_place and self.taken else None
        self._begin_epoch()
        yield from self._steps(done)
        self._end_epoch()  # which a run that is stopped in the middle does not come to

    def _begin_epoch(self) -> None:
        """Called before the batches of an epoch are made."""

    def _end_epoch(self) -> None:
        """Called after the last batch of an epoch."""

    def _steps(self, done: int) -> Iterator[Batch]:
        going_on = self.taken > 0
        for batch in islice(present(self._under_way), None if self.per_epoch is None else self.per_epoch - done):
            self.taken += 1
            yield batch
            done += 1
        if done == self.per_epoch:
            return
        self._end_pass()
        if done == 0 and going_on:  # the last epoch had taken exactly all there was
            self._begin_pass()
            yield from self._steps(0)
        elif self.per_epoch is not None and done:
            note(
                f"The data ran out: {done} of the {self.per_epoch} steps of the epoch were done. Give fewer steps, or "
                "data that last for steps * epochs batches.",
                warn=True,
            )


class ArraySource(Source):
    """Batches cut from arrays, in order or in a new random order in each pass; the last one may be smaller.

    Args:
        shuffle: True for an order of all samples; "batch" for one within each batch, which has its samples always.
    """

    def __init__(
        self, data: Data, batch_size: int | None, shuffle: bool | str = False, per_epoch: int | None = None
    ) -> None:
        if isinstance(shuffle, str) and shuffle != "batch":
            raise ConfigError(f"shuffle must be True, False or 'batch'; got {shuffle!r}.")
        if batch_size is None:
            batch_size = DEFAULT_BATCH_SIZE if per_epoch is None else -(-len(data) // per_epoch)
        super().__init__(per_epoch, -(-len(data) // batch_size))
        self.data, self.batch_size, self.shuffle = data, batch_size, shuffle

    @property
    def rows(self) -> int | None:
        return min(len(self.data), (self.steps or 0) * self.batch_size)

    def one_pass(self) -> Iterator[Batch]:
        size, count = self.batch_size, len(self.data)
        within = self.shuffle == "batch"
        order = generator().permutation(count) if self.shuffle and not within else None
        for start in range(0, count, size):
            stop = min(start + size, count)
            if within:
                yield self.data.rows(start + generator().permutation(stop - start))
            else:
                yield self.data.rows(slice(start, stop) if order is None else order[start:stop])


class IterableSource(Source):
    """Batches that something else yields: (x, y, sample_weight), (x, y), (x,) or x.

    An iterator such as a generator can be gone through once, unless its batches are kept. Anything else is gone through
    anew in each pass; a `PyDataset`, and any object with `__getitem__` and `__len__` but no `__iter__`, gives its
    batches by number, in random order with `shuffle`, and is told of each epoch by `on_epoch_begin()` and
    `on_epoch_end()`, however many steps it has.

    Raises:
        DataError: the batches never end, and nothing says how many make an epoch.
    """

    def __init__(
        self, batches: Any, prepare: Prepare, shuffle: bool | str = False, per_epoch: int | None = None, what: str = "x"
    ) -> None:
        super().__init__(per_epoch, _length(batches, what, per_epoch))
        self.batches, self.prepare, self.shuffle, self.what = batches, prepare, shuffle, what
        self._begun: Iterator[Any] | None = None
        self._begun_at: Any = None
        self._kept: list[Data] | None = None
        self._numbered: Generator[Any, None, None] | None = None
        self._in_epoch = self._skipped = False

    def close(self) -> None:
        if self._numbered is not None:
            self._numbered.close()
            self._numbered = self._begun = None

    @property
    def once(self) -> bool:
        """Whether there is only one pass."""
        if isinstance(self.batches, Iterator):
            return True
        found = iter(self.batches) if hasattr(self.batches, "__iter__") and self._holds_generator() else None
        return found is not None and iter(self.batches) is found

    def _holds_generator(self) -> bool:
        """Whether the object keeps a generator, which it may give out every time."""
        return any(isinstance(one, GeneratorType) for one in getattr(self.batches, "__dict__", {}).values())

    def keep(self) -> None:
        """Keeps the batches of what can be gone through once, so that each pass begins with the same ones."""
        self._kept = []

    def first(self) -> Data:
        """Begins the first pass and returns its first batch, which the pass yields as well.

        Raises:
            DataError: there is none.
        """
        self._begun_at = random_state()
        self._begin_epoch()
        items = self._items()
        for item in items:
            self._begun = chain([item], items)
            try:
                return self._checked(item)
            except BaseException:
                self.close()
                raise
        only = " but such without samples" if self._skipped else ""
        raise DataError(f"{self.what} ({type(self.batches).__name__}) gave no batches{only}.")

    def resume(self, taken: int, began: Any, done: int = 0, epoch_began: Any = None) -> Batch | None:
        if self.once:  # its first batch was drawn already, and the next follow that one
            began = random_state()
        else:
            self.close()  # its order was not that of the pass to go on with
            self._begun, self._in_epoch = None, False
        return super().resume(taken, began, done, epoch_began)

    def _end_pass(self) -> None:
        super()._end_pass()
        if self._begun is None:
            self.close()

    def _begin_pass(self) -> None:
        super()._begin_pass()
        if self._begun is not None:
            self.began = self._begun_at

    def _begin_epoch(self) -> None:
        if not self._in_epoch:
            self._tell("on_epoch_begin")
        self._in_epoch = True

    def _end_epoch(self) -> None:
        if self.taken == self.length and by_number(self.batches):
            self._end_pass()  # the next one begins with the next epoch, and with what the data draw for that
        self._tell("on_epoch_end")
        self._in_epoch = False

    def _tell(self, what: str) -> None:
        if by_number(self.batches) and hasattr(self.batches, what):
            getattr(self.batches, what)()

    def one_pass(self) -> Iterator[Batch]:
        for data in self._kept or ():
            yield data.rows(slice(None))
        items, self._begun = self._begun or self._items(), None
        for item in items:
            data = self._checked(item)
            if self._kept is not None:
                data = data.copied()  # a generator may fill the same arrays for each batch
                self._kept.append(data)
            yield data.rows(slice(None))

    def _items(self) -> Iterator[Any]:
        if by_number(self.batches):
            self.close()
            self._numbered = numbered_items(self.batches, self.shuffle)
        items = self.batches if self._numbered is None else self._numbered
        return (
            item for item in items if not self._skips(item)
        )  # closed, it leaves a generator as it is, to go on later

    def _skips(self, item: Any) -> bool:
        """Tells whether a batch has no samples, so that there is nothing to do with it, and says so once."""
        found = [leaf for leaf in tree.flatten(item) if is_array(leaf)]
        if not found or any(np.shape(leaf)[0] for leaf in found):
            return False
        if not self._skipped:
            note(f"A batch of {self.what} has no samples; such are passed over.", warn=True)
        self._skipped = True
        return True

    def _checked(self, item: Any) -> Data:
        if _is_sample(item):
            raise DataError(
                f"{self.what} ({type(self.batches).__name__}) gives single samples; it must give batches of them: "
                "dataset.batch(32) of tf.data and of Hugging Face (or fit(stream, batch_size=32) of the latter), "
                "DataLoader(dataset, batch_size=32) of PyTorch."
            )
        if isinstance(item, list | tuple) and not any(map(holds_arrays, item)):
            raise DataError(
                f"Each batch of {self.what} must be (x, y), (x, y, sample_weight) or x, made of arrays; got "
                f"{type(item).__name__} of {', '.join(type(part).__name__ for part in item) or 'nothing'}."
            )
        return self.prepare(*unpack(item, f"A batch of {self.what}"))


def _length(batches: Any, what: str, per_epoch: int | None) -> int | None:
    """Returns how many batches there are in a pass, None if nobody knows."""
    endless = False
    try:
        count = batch_count(batches)
        if count is None:
            raise TypeError("infinite")
        if count < maxsize:
            return count
        endless = True  # as grain has it
    except TypeError as error:  # it has no length, or does not know it, or never ends
        endless = "infinite" in str(error)
    if endless and per_epoch is None:
        raise DataError(
            f"{what} ({type(batches).__name__}) never ends: say how many batches to take, with steps_per_epoch in "
            "fit, validation_steps for validation_data, and steps in evaluate and predict."
        )
    return None


def _is_sample(item: Any) -> bool:
    """Tells whether a source gives one sample, whose label, or one of whose parts, is a single number or text."""
    parts = list(item) if isinstance(item, list | tuple) else [item]
    found = [leaf for part in parts for leaf in (part.values() if isinstance(part, Mapping) else [part])]
    named = any(isinstance(part, Mapping) for part in parts)
    single = any(map(_is_single, found))
    return single and (named or (len(parts) in (2, 3) and holds_arrays(parts)))


def _is_single(value: Any) -> bool:
    return isinstance(value, str | bytes | int | float | np.generic) or getattr(value, "shape", None) == ()


def yields_batches(value: Any) -> bool:
    """Tells whether what stands in the place of x is not samples but something that gives batches."""
    if hasattr(value, "__array__") or is_table(value) or hasattr(value, "to_numpy") or is_stored(value):
        return False
    if isinstance(value, list | tuple | range | str | bytes | Mapping):
        return False
    if isinstance(value, Sequence) and len(value) and not isinstance(value[0], tuple):  # a column of Hugging Face
        return False
    return isinstance(value, Iterable) or (hasattr(value, "__getitem__") and hasattr(value, "__len__"))
