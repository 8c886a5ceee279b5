"""Sequences of different lengths as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.errors import ConfigError, DataError
from seqc.graph.ir import Array


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> Array:
    """Returns sequences as the rows of one array, filled up and cut off to one length.

    Args:
        sequences: lists or arrays; steps may be vectors, all of one shape.
        maxlen: length of the rows, by default that of the longest sequence. dtype: of the result.
        padding, truncating: "pre" or "post", the end at which to fill up and to cut off. value: what to fill up with.

    Returns:
        An array of shape (number of sequences, maxlen, *shape of a step).

    Raises:
        ConfigError: `padding` or `truncating` is something else. DataError: there is nothing to pad, something is no
        sequence, or steps differ in shape.

    Example:
        >>> seqc.utils.pad_sequences([[1], [2, 3, 4, 5]], maxlen=3)
        array([[0, 0, 1],
               [3, 4, 5]], dtype=int32)
    """
    for name, end in (("padding", padding), ("truncating", truncating)):
        if end not in ("pre", "post"):
            raise ConfigError(f"pad_sequences {name} must be 'pre' or 'post'; got {end!r}.")
    if isinstance(value, str | bytes) and np.dtype(dtype).kind not in "OSU":
        raise ConfigError(f"pad_sequences cannot fill up {np.dtype(dtype).name} with value={value!r}; give a number.")
    try:
        rows = [np.asarray(s, dtype=dtype) if len(s) else None for s in sequences]
    except TypeError:
        raise DataError("pad_sequences takes a list of sequences, such as [[1, 2, 3], [4, 5]].") from None
    except ValueError as error:
        raise DataError(f"pad_sequences cannot read a sequence as {np.dtype(dtype).name}: {error}.") from None
    step = next((row.shape[1:] for row in rows if row is not None), ())
    length = max((0 if row is None else len(row) for row in rows), default=0) if maxlen is None else int(maxlen)
    result = np.full((len(rows), length, *step), value, dtype=dtype)
    for i, row in enumerate(rows):
        if row is None or length == 0:
            continue
        if row.shape[1:] != step:
            raise DataError(f"The steps of sequence {i} have shape {row.shape[1:]}; those before it {step}.")
        kept = row[-length:] if truncating == "pre" else row[:length]
        if padding == "post":
            result[i, : len(kept)] = kept
        else:
            result[i, length - len(kept) :] = kept
    return result
