"""Elements of a dataset that are taken together: batches and windows, and rows of batches that are taken apart."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any

from seqc import tree
from seqc.errors import ConfigError
from seqc.utils.dataset_base import ENDLESS, Elements, known_of
from seqc.utils.element_order import in_groups, sliding
from seqc.utils.elements import padded, rows, stacked


class Grouping(Elements):
    """The methods of `Dataset` that return datasets of batches, of windows or of rows."""

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Any:
        """Returns batches of so many elements, the last one smaller where it must be and may be.

        Raises:
            ConfigError: the size is not positive. DataError, in a pass: elements of a batch have different shapes.
        """
        return self._in_batches(batch_size, drop_remainder, stacked)

    def padded_batch(
        self,
        batch_size: int,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Any:
        """Returns batches of elements that are filled up to one shape.

        Args:
            batch_size, drop_remainder: see `batch`. padded_shapes: the shapes, in the form of an element, with None
            for axes that are as long as the longest in the batch; by default all are. padding_values: what to fill
            with, in that form; by default zeros, and empty texts.

        Raises:
            ConfigError: the size is not positive. DataError, in a pass: an element is larger than its shape.
        """
        return self._in_batches(batch_size, drop_remainder, lambda some: padded(some, padded_shapes, padding_values))

    def _in_batches(self, batch_size: Any, drop_remainder: bool, together: Callable[[list[Any]], Any]) -> Any:
        size = int(batch_size)
        if size < 1:
            raise ConfigError(f"`batch_size` must be positive. Received: batch_size={batch_size}")
        known = known_of(self)
        if known not in (None, ENDLESS):
            known = known // size if drop_remainder else -(-known // size)
        return self._made(
            lambda: map(together, in_groups(self, size, drop_remainder)), known, uneven=not drop_remainder
        )

    def window(
        self,
        size: int,
        shift: int | None = None,
        stride: int = 1,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Any:
        """Returns datasets of elements that follow each other: for an element of several parts, a dataset of each.

        Args:
            size: how many elements a window has. shift: how many elements further the next one begins; its size
            unless told otherwise. stride: from one of its elements to the next. drop_remainder: whether a shorter one
            at the end is left out.

        Raises:
            ConfigError: a number is not positive.
        """
        step = size if shift is None else shift
        if min(size, step, stride) < 1:
            raise ConfigError(f"Numbers of `window` must be positive. Received: {size=}, {shift=}, {stride=}")
        reach = (size - 1) * stride + 1
        known = known_of(self)
        if known not in (None, ENDLESS):
            known = max((known - reach) // step + 1, 0) if drop_remainder else -(-known // step)
        return self._made(
            lambda: (_columns(held[::stride], self._made) for held in sliding(self, reach, step, drop_remainder)), known
        )

    def unbatch(self, name: str | None = None) -> Any:
        """Returns the rows of the elements, one by one."""
        return self._made(lambda: chain.from_iterable(map(rows, self)), None)

    def rebatch(self, batch_size: int, drop_remainder: bool = False, name: str | None = None) -> Any:
        """Returns the rows of batches in batches of another size."""
        return self.unbatch().batch(batch_size, drop_remainder)


def _columns(items: list[Any], make: Callable[..., Any]) -> Any:
    """Returns a dataset of each part of elements."""
    columns = zip(*(tree.flatten(item) for item in items), strict=True)
    made = [make(partial(iter, column), len(column)) for column in columns]
    return tree.pack_sequence_as(items[0], made)
