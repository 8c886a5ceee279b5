"""Reuters: 11,228 newswires as numbers of words, of 46 topics, from a local copy or Keras's mirror."""

from __future__ import annotations

import numpy as np

from seqc.datasets._origins import KERAS, fetched
from seqc.datasets._plain import read_npz
from seqc.datasets._words import as_lists, limited, shifted, short_ones, shuffled, word_index
from seqc.graph.ir import Array
from seqc.utils.absent import absent

__all__ = ["get_label_names", "get_word_index", "load_data"]

Part = tuple[Array, Array]
_SHA256 = "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"
_INDEX_MD5 = "4d44cc38712099c9e383dc6e5f11a921"
_TOPICS = (
    "cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton carcass "
    "crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail ipi "
    "iron-steel rubber heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead"
)


def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Part, Part]:
    """Returns `(x_train, y_train), (x_test, y_test)`: arrays of lists of numbers, and topics 0 to 45.

    Args:
        path: name of the file in the cache, in which Keras keeps it, too. num_words: numbers from this on are
        `oov_char`. skip_top: and those below this one. maxlen: newswires of so many words or more are left out.
        test_split: the part that is for tests. seed: of the order. start_char: begins each newswire; None for nothing.
        oov_char: stands for words left out; None to drop them. index_from: what is added to the numbers of words.

    Raises:
        DataError: the file is not there and cannot be downloaded, or is not what it should be; or no newswire is
        shorter than `maxlen`.

    Source: D. D. Lewis, Reuters-21578, 1997.
    """
    held = read_npz(fetched(path, f"{KERAS}reuters.npz", _SHA256))
    x, y = shuffled(held["x"], held["y"], np.random.RandomState(seed))
    texts, labels = short_ones(shifted(x, start_char, index_from), y, maxlen)
    texts = limited(texts, num_words, skip_top, oov_char)
    n = int(len(texts) * (1 - test_split))
    topics = np.array(labels)
    return (as_lists(texts[:n]), topics[:n]), (as_lists(texts[n:]), topics[n:])


def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """Returns the number of each word, before `index_from` is added.

    Args:
        path: name of the file in the cache.

    Raises:
        DataError: the file is not there and cannot be downloaded, or is not what it should be.
    """
    return word_index(fetched(path, f"{KERAS}reuters_word_index.json", _INDEX_MD5))


def get_label_names() -> tuple[str, ...]:
    """Returns the names of the topics, in the order of their numbers."""
    return tuple(_TOPICS.split())


__getattr__ = absent(__name__, __all__)
