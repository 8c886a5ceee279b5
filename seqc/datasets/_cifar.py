"""Files of CIFAR: small pictures in colour, and what is on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seqc.datasets._plain import read_pickle
from seqc.errors import DataError
from seqc.graph.ir import Array

HOME = "https://www.cs.toronto.edu/~kriz/"


def read_batch(path: Path, labels: str) -> tuple[Array, Array]:
    """Returns pictures (n, 32, 32, 3) and their labels (n, 1), both uint8.

    Args:
        path: the file. labels: the name of the labels in it.

    Raises:
        DataError: it is damaged, or something else.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    held: Any = read_pickle(content, str(path), encoding="bytes")
    try:
        pictures = np.asarray(held[b"data"], np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return pictures, np.asarray(held[labels.encode()], np.uint8).reshape(-1, 1)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no file of CIFAR: {error!r}.") from error
