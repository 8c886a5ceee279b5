"""What a layer knows of the tokens it looks up, and how it learns them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqc.errors import ConfigError, DataError
from seqc.graph.ir import Array
from seqc.graph.strings import STRING, as_strings, is_text
from seqc.layers.adapting import parts_of


def as_tokens(data: Any, dtype: str, who: str) -> Array:
    """Returns data as an array of strings or of int64.

    Raises:
        DataError: they are something else.
    """
    if hasattr(data, "to_numpy"):
        data = data.to_numpy()
    wanted = "strings" if dtype == STRING else "integers"
    try:
        if dtype == STRING and is_text(data):
            return as_strings(data)
        array = np.asarray(data)
    except ValueError as error:
        raise DataError(f"{who} takes {wanted} in an array or list: {error}") from None
    if dtype == STRING and is_text(array):  # a tensor of TensorFlow, of bytes
        return as_strings(array)
    if dtype == STRING or array.dtype.kind not in "biuf":
        raise DataError(f"{who} takes {wanted}. Received an array of {array.dtype}.")
    return array.astype(np.int64)


def token_batches(data: Any, dtype: str, steps: int | None, who: str) -> Iterator[Array]:
    """Yields the arrays that `adapt` is given, with a first axis of samples.

    Args:
        data: an array or a list of strings or integers, or one string; or batches of such: a generator, a
            `PyDataset`; of pairs the first.
        dtype: "string" or "int64".
        steps: how many batches to take at most.
        who: whom errors name.

    Raises:
        DataError: they are something else.
    """
    data = [data] if isinstance(data, str | bytes) else data
    whole = isinstance(data, list | tuple) or hasattr(data, "shape") or hasattr(data, "to_numpy")
    parts = [data] if isinstance(data, list | tuple) else parts_of(data, who)
    for i, part in enumerate(parts):
        if steps is not None and i >= steps and not whole:
            return
        array = as_tokens(part, dtype, who)
        yield array[:, None] if whole and array.ndim == 1 else array


def read_tokens(path: str, dtype: str) -> list[Any]:
    """Returns the tokens of a text file, one a line.

    Raises:
        ConfigError: there is no such file, a line is empty, or no integer where they are wanted.
    """
    try:
        text = Path(path).read_bytes().decode()  # in which a "\r" may belong to a token
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Vocabulary file {path} does not exist, or cannot be read: {error}.") from None
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    if "" in lines:
        raise ConfigError(f"Vocabulary file {path} must hold a token a line: line {lines.index('') + 1} is empty.")
    return typed(lines, dtype, f"Vocabulary file {path}")


def typed(lines: Sequence[str], dtype: str, who: str) -> list[Any]:
    """Returns lines of a file as tokens.

    Raises:
        ConfigError: a line is no integer where they are wanted.
    """
    if dtype == STRING:
        return list(lines)
    try:
        return [int(line) for line in lines]
    except ValueError as error:
        raise ConfigError(f"{who} must hold an integer a line: {error}.") from None


class TokenCounts:
    """How often there were tokens in data, and in how many documents: the rows of its arrays."""

    def __init__(self) -> None:
        self._tokens: Counter[Any] = Counter()
        self._documents: Counter[Any] = Counter()
        self._count = 0

    def add(self, array: Array, in_documents: bool) -> None:
        """Counts the tokens of an array, of which an axis less than two counts as one document."""
        rows = array.reshape(1, -1) if array.ndim < 2 else array.reshape(len(array), -1)
        self.add_rows(rows.tolist(), in_documents)

    def add_rows(self, rows: Iterable[Sequence[Any]], in_documents: bool) -> None:
        """Counts the tokens of documents; how many documents have one only where that is asked for."""
        for row in rows:
            self._tokens.update(row)
            self._count += 1
            if in_documents:
                self._documents.update(set(row))

    def most_common(self, without: Sequence[Any], limit: int | None) -> list[Any]:
        """Returns tokens by their counts, the later in order first where these are equal, `limit` of them at most."""
        found = [(n, t.encode() if isinstance(t, str) else t, t) for t, n in self._tokens.items() if t not in without]
        return [token for _, _, token in sorted(found, reverse=True)[:limit]]

    def idf(self, tokens: Sequence[Any]) -> Array:
        """Returns the inverse document frequencies, log(1 + documents / (1 + those with the token))."""
        counts = np.array([self._documents[token] for token in tokens], np.float64)
        return np.log(1 + self._count / (1 + counts)).astype(np.float32)
