"""Tables of houses and their prices, cut into a part to train on and one for tests."""

from __future__ import annotations

import numpy as np

from seqc.datasets._origins import KERAS, fetched
from seqc.datasets._plain import read_npz
from seqc.errors import ConfigError
from seqc.graph.ir import Array

Part = tuple[Array, Array]


def load_table(path: str, name: str, sha256: str, test_split: float, seed: int, rows: int | None) -> tuple[Part, Part]:
    """Returns `(x_train, y_train), (x_test, y_test)` of a table.

    Args:
        path: name of the file in the cache. name: at the mirror. sha256: of the file. test_split: the part that is for
        tests. seed: of the order. rows: how many are taken; None for all.

    Raises:
        ConfigError: `test_split` is no part. DataError: the file is not there and cannot be downloaded, or is damaged.
    """
    if not 0 <= test_split < 1:
        raise ConfigError(f"Invalid `test_split` argument: {test_split}. It must be between 0 and 1 (exclusive of 1).")
    held = read_npz(fetched(path, KERAS + name, sha256))
    x, y = held["x"][:rows], held["y"][:rows]
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    x, y, n = x[order], y[order], int(len(x) * (1 - test_split))
    return (x[:n], y[:n]), (x[n:], y[n:])
