"""What a dataset is asked: its elements, how many there are, and what is made of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from seqc import tree
from seqc.errors import ArgumentTypeError, DataError
from seqc.utils.elements import TensorSpec, shown

# How many elements there are where they never end, as tf.data says it.
ENDLESS = -1


class Elements:
    """What `Dataset` is without the methods that make other datasets of it."""

    # Whether the last element may have fewer rows than the others.
    _uneven = False
    # What was said of the types and shapes of the elements.
    _spec: Any = None

    @staticmethod
    def _made(*args: Any, **said: Any) -> Any:
        """Returns a dataset; see `seqc.utils.dataset.Made`."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__(self).")

    def __len__(self) -> int:
        raise TypeError("The dataset's length is unknown.")

    def __bool__(self) -> bool:
        return True  # as in TensorFlow, whatever the length, for `if validation:`

    def reduce(self, initial_state: Any, reduce_func: Callable[[Any, Any], Any], name: str | None = None) -> Any:
        """Returns what a function of a state and an element makes of a state, by all elements in turn."""
        state = as_element(initial_state)
        for item in self:
            state = as_element(reduce_func(state, item))
        return state

    def get_single_element(self, name: str | None = None) -> Any:
        """Returns the element of a dataset that has just one.

        Raises:
            DataError: it has none, or more than one.
        """
        some = list(islice(iter(self), 2))
        if len(some) != 1:
            raise DataError(f"The dataset has {'more than one element' if some else 'no elements'}; one was asked for.")
        return some[0]

    def cardinality(self, name: str | None = None) -> Any:
        """Returns how many elements there are: -1 where they never end, -2 where nobody knows."""
        known = known_of(self)
        return counted(-2 if known is None else known)

    @property
    def element_spec(self) -> Any:
        """A `TensorSpec` for each array of an element, in its form: as was said of them, or as the first element is.

        The rows of batches of which the last one may be smaller are None.

        Raises:
            DataError: there is no element.
        """
        for item in self:
            return tree.map_structure(self._said_of, item)
        raise DataError("The dataset has no elements, which would tell their shapes.")

    def _said_of(self, part: Any) -> Any:
        if isinstance(part, Elements):
            return part.element_spec
        shape = (None, *part.shape[1:]) if self._uneven and part.ndim else part.shape
        return TensorSpec(shape, part.dtype)

    def as_numpy_iterator(self) -> Iterator[Any]:
        """Returns an iterator over the elements as plain arrays and numbers."""
        return (tree.map_structure(lambda part: np.asarray(part)[()], item) for item in self)


def as_element(value: Any) -> Any:
    """Returns arrays, tensors and numbers in the form of `value` as arrays that can be looked at."""
    if isinstance(value, dict):
        return {name: as_element(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(as_element(part) for part in value)
    return value if isinstance(value, Elements) else shown(value)


def counted(number: int) -> Any:
    """Returns a number as an element of type int64."""
    return shown(np.int64(number))


def known_of(dataset: Elements) -> int | None:
    """Returns how many elements a dataset has, `ENDLESS`, or None where nobody knows."""
    try:
        return len(dataset)
    except TypeError as error:
        return ENDLESS if "infinite" in str(error) else None


def called(function: Callable[..., Any], item: Any) -> Any:
    """Returns what a function makes of an element; the parts of a tuple are its arguments."""
    found = function(*item) if isinstance(item, tuple) else function(item)
    return tuple(found) if isinstance(found, list) else found


def only_dataset(found: Any, argument: str) -> Any:
    """Returns what a function made, which must be a dataset."""
    if not isinstance(found, Elements):
        raise ArgumentTypeError(f"The `{argument}` argument must return a dataset. Received: {type(found).__name__}")
    return found
