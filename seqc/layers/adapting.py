"""What `adapt` of a layer takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from seqc.errors import DataError
from seqc.graph.ir import Array


def batches_of(data: Any) -> Iterator[Array]:
    """Yields the arrays that data hold, in double precision; of pairs the first.

    Raises:
        DataError: they hold something else.
    """
    if hasattr(data, "shape") or hasattr(data, "to_numpy"):
        data = [data.to_numpy() if hasattr(data, "to_numpy") else data]
    elif not isinstance(data, Iterable) and hasattr(data, "__len__") and hasattr(data, "__getitem__"):
        data = map(data.__getitem__, range(len(data)))
    elif not isinstance(data, Iterable) or isinstance(data, str):
        raise DataError(f"adapt() takes an array or batches of them. Received: {type(data).__name__}")
    for batch in data:
        first = batch[0] if isinstance(batch, tuple) else batch
        if not hasattr(first, "shape"):
            raise DataError(
                f"adapt() takes batches that are arrays. Received: {type(first).__name__}. Put np.array(...) around it."
            )
        array = np.asarray(first)
        if array.dtype.kind not in "biuf":
            raise DataError(f"adapt() takes numbers. Received an array of {array.dtype}.")
        yield array.astype(np.float64)
