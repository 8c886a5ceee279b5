"""Elements of a dataset that are taken together: batches and windows, and rows of batches that are taken apart."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any

from seqc import tree
from seqc.errors import ConfigError, DataError
from seqc.sure import present
from seqc.utils.dataset_base import ENDLESS, Elements, called, counted, known_of, only_dataset
from seqc.utils.element_order import by_key, in_groups, sliding
from seqc.utils.elements import TensorSpec, padded, rows, stacked


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

    def group_by_window(
        self,
        key_func: Callable[..., Any],
        reduce_func: Callable[[Any, Any], Any],
        window_size: int | None = None,
        window_size_func: Callable[[Any], Any] | None = None,
        name: str | None = None,
    ) -> Any:
        """Returns the elements of the datasets that a function makes of elements with the same key.

        Args:
            key_func: returns the key of an element, a whole number. reduce_func: makes a dataset of a key and of a
            dataset of elements. window_size: of how many elements; or window_size_func: of how many, by the key.

        Raises:
            ConfigError: both or none of the sizes are given, or a size is not positive.
        """
        if (window_size is None) == (window_size_func is None):
            raise ConfigError("Either `window_size` or `window_size_func` must be given.")

        def size_of(key: int) -> int:
            size = int(present(window_size) if window_size_func is None else window_size_func(counted(key)))
            if size < 1:
                raise ConfigError(f"The size of a window must be positive. Received: {size}")
            return size

        def made(key: int, items: list[Any]) -> Any:
            return only_dataset(reduce_func(counted(key), self._made(partial(iter, items), len(items))), "reduce_func")

        groups = partial(by_key, self, lambda item: int(called(key_func, item)), size_of)
        return self._made(lambda: chain.from_iterable(made(*group) for group in groups()), None)

    def bucket_by_sequence_length(
        self,
        element_length_func: Callable[..., Any],
        bucket_boundaries: Any,
        bucket_batch_sizes: Any,
        padded_shapes: Any = None,
        padding_values: Any = None,
        pad_to_bucket_boundary: bool = False,
        no_padding: bool = False,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Any:
        """Returns batches of elements of similar lengths, filled up to one shape.

        Args:
            element_length_func: returns the length of an element. bucket_boundaries: lengths at which another bucket
            begins. bucket_batch_sizes: of each bucket, one more. padded_shapes, padding_values, drop_remainder: see
            `padded_batch`. pad_to_bucket_boundary: whether None for an axis is the boundary less 1. no_padding: whether
            elements of a batch have one shape already.

        Raises:
            ConfigError: there is not one size for each bucket, or `pad_to_bucket_boundary` needs `padded_shapes`.
            DataError: in a pass: an element is as long as the last boundary and is to be filled up to it.
        """
        limits, sizes = [int(n) for n in bucket_boundaries], [int(n) for n in bucket_batch_sizes]
        if len(sizes) != len(limits) + 1 or min(sizes) < 1 or limits != sorted(limits):
            raise ConfigError(
                f"`bucket_batch_sizes` must be {len(limits) + 1} positive numbers, one more than `bucket_boundaries`, "
                f"which must rise. Received: {sizes} and {limits}"
            )
        shapes = padded_shapes
        if pad_to_bucket_boundary and not no_padding and shapes is None:
            shapes = _shapes_said(self)

        def together(key: Any, some: Any) -> Any:
            size = sizes[int(key)]
            if no_padding:
                return some.batch(size, drop_remainder)
            if pad_to_bucket_boundary and key == len(limits):
                raise DataError(f"With pad_to_bucket_boundary=True, lengths must be below {limits[-1:]}.")
            most = limits[int(key)] - 1 if pad_to_bucket_boundary else None
            return some._in_batches(size, drop_remainder, lambda a: padded(a, shapes, padding_values, most))

        def bucket(*item: Any) -> Any:
            return bisect_right(limits, int(element_length_func(*item)))

        made = self.group_by_window(bucket, together, window_size_func=lambda key: sizes[int(key)])
        return self._made(lambda: iter(made), None, uneven=not drop_remainder)

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


def _shapes_said(dataset: Elements) -> Any:
    said = dataset._spec
    parts = tree.flatten(said)
    if said is None or not all(isinstance(part, TensorSpec) and part.shape is not None for part in parts):
        raise ConfigError("`pad_to_bucket_boundary` needs `padded_shapes`, with None for the axes that are filled up.")
    return tree.map_structure(lambda part: part.shape, said)
