"""IMDB: 50,000 reviews of films as numbers of words, good or bad, from a local copy or Keras's mirror."""

from __future__ import annotations

import numpy as np

from seqc.datasets._origins import KERAS, fetched
from seqc.datasets._plain import read_npz
from seqc.datasets._words import as_lists, limited, shifted, short_ones, shuffled, word_index
from seqc.graph.ir import Array
from seqc.utils.absent import absent

__all__ = ["get_word_index", "load_data"]

Part = tuple[Array, Array]
_SHA256 = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"
_INDEX_MD5 = "bfafd718b763782e994055a2d397834f"


def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Part, Part]:
    """Returns `(x_train, y_train), (x_test, y_test)`: arrays of 25,000 lists of numbers each, and labels 0 and 1.

    Args:
        path: name of the file in the cache, in which Keras keeps it, too. num_words: numbers from this on are
        `oov_char`. skip_top: and those below this one. maxlen: reviews of so many words or more are left out.
        seed: of the order. start_char: begins each review; None for nothing. oov_char: stands for words left out; None
        to drop them. index_from: what is added to the numbers of words.

    Raises:
        DataError: the file is not there and cannot be downloaded, or is not what it should be; or no review is shorter
        than `maxlen`.

    Source: A. L. Maas and others, Learning Word Vectors for Sentiment Analysis, 2011.
    """
    held = read_npz(fetched(path, f"{KERAS}imdb.npz", _SHA256))
    rng = np.random.RandomState(seed)
    x_train, train = shuffled(held["x_train"], held["y_train"], rng)
    x_test, test = shuffled(held["x_test"], held["y_test"], rng)
    first, y_train = short_ones(shifted(x_train, start_char, index_from), train, maxlen)
    second, y_test = short_ones(shifted(x_test, start_char, index_from), test, maxlen)
    texts = limited(first + second, num_words, skip_top, oov_char)
    labels, n = np.concatenate([y_train, y_test]), len(first)
    return (as_lists(texts[:n]), labels[:n]), (as_lists(texts[n:]), labels[n:])


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """Returns the number of each word, before `index_from` is added.

    Args:
        path: name of the file in the cache.

    Raises:
        DataError: the file is not there and cannot be downloaded, or is not what it should be.
    """
    return word_index(fetched(path, f"{KERAS}imdb_word_index.json", _INDEX_MD5))


__getattr__ = absent(__name__, __all__)
