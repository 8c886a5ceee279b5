"""What `adapt` of a layer takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from numbers import Real
from typing import Any

import numpy as np

from seqc.errors import DataError
from seqc.graph.ir import Array
from seqc.stored import blocks, is_lazy, is_stored, stored


def parts_of(data: Any, who: str = "adapt()") -> Iterator[Any]:
    """Yields what data hold, batch by batch: of pairs the first, of what lies in a file so much at a time.

    Args:
        data: an array or a column; or batches of such: a generator, a list, a `PyDataset`, a tf.data.Dataset, a
        DataLoader. who: whom errors name.

    Raises:
        DataError: they are something else.
    """
    if is_stored(data) or is_lazy(data):
        yield from blocks(stored(data, "data") if is_stored(data) else data)
        return
    if hasattr(data, "shape") or hasattr(data, "to_numpy"):
        yield data
        return
    if isinstance(data, Sequence) and hasattr(data, "features"):  # a column of Hugging Face
        yield data[:]
        return
    if not isinstance(data, Iterable) and hasattr(data, "__len__") and hasattr(data, "__getitem__"):
        data = map(data.__getitem__, range(len(data)))
    if not isinstance(data, Iterable) or isinstance(data, str | bytes):
        raise DataError(f"{who} takes an array or batches of them. Received: {type(data).__name__}")
    for batch in data:
        pair = isinstance(batch, tuple) or (isinstance(batch, list) and batch and hasattr(batch[0], "shape"))
        yield batch[0] if pair else batch


def batches_of(data: Any) -> Iterator[Array]:
    """Yields the arrays that data hold, in double precision; of pairs the first.

    Raises:
        DataError: they hold something else.
    """
    for part in parts_of(data):
        part = part.to_numpy() if hasattr(part, "to_numpy") else part
        if not hasattr(part, "shape"):
            raise DataError(
                f"adapt() takes batches that are arrays. Received: {type(part).__name__}. Put np.array(...) around it."
            )
        array = np.asarray(part)
        if array.dtype.kind not in "biuf":
            raise DataError(f"adapt() takes numbers. Received an array of {array.dtype}.")
        yield array.astype(np.float64)


def without_lists(data: Any) -> Any:
    """Returns data, of a list of numbers, or of lists of such, the one array that they are.

    Raises:
        DataError: the lists differ in length.
    """
    inner = data
    while isinstance(inner, list | tuple) and inner:
        inner = inner[0]
    if inner is data or not isinstance(inner, Real):
        return data
    try:
        return np.asarray(data)
    except ValueError as error:
        raise DataError(f"adapt() takes lists that make an array: {error}") from None
