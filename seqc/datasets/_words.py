"""Texts as numbers of words, as the data sets of reviews and of news give them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from seqc.errors import DataError
from seqc.graph.ir import Array

Texts = list[list[int]]


def shuffled(texts: Array, labels: Array, rng: np.random.RandomState) -> tuple[Array, Array]:
    """Returns both in another order, the same for the same state."""
    order = np.arange(len(texts))
    rng.shuffle(order)
    return texts[order], labels[order]


def shifted(texts: Iterable[Any], start_char: int | None, index_from: int) -> Texts:
    """Returns the texts with their numbers moved up, behind the number that begins each."""
    if start_char is not None:
        return [[start_char, *(w + index_from for w in text)] for text in texts]
    return [[w + index_from for w in text] for text in texts] if index_from else [list(text) for text in texts]


def short_ones(texts: Texts, labels: Any, maxlen: int | None) -> tuple[Texts, Any]:
    """Returns the texts of fewer than `maxlen` words, with their labels.

    Raises:
        DataError: there are none.
    """
    if not maxlen:
        return texts, labels
    kept = [i for i, text in enumerate(texts) if len(text) < maxlen]
    if not kept:
        raise DataError(
            f"After filtering for sequences shorter than maxlen={maxlen}, no sequence was kept. Increase maxlen."
        )
    return [texts[i] for i in kept], [labels[i] for i in kept]


def limited(texts: Texts, num_words: int | None, skip_top: int, oov_char: int | None) -> Texts:
    """Returns the texts with one number, or none, for the words that are too rare or too frequent."""
    largest = num_words or max(max(text) for text in texts)
    if oov_char is None:
        return [[w for w in text if skip_top <= w < largest] for text in texts]
    return [[w if skip_top <= w < largest else oov_char for w in text] for text in texts]


def as_lists(texts: Texts) -> Array:
    """Returns an array of lists."""
    found = np.empty(len(texts), object)
    found[:] = texts
    return found


def word_index(file: Path) -> dict[str, int]:
    """Returns the number of each word out of a file of JSON."""
    found: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))
    return found
