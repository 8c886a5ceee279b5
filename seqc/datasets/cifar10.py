"""CIFAR-10: 60,000 pictures of 32 by 32 pixels in colour, of ten kinds, from a local copy or its home page."""

from __future__ import annotations

import numpy as np

from seqc.datasets._cifar import HOME, read_batch
from seqc.datasets._origins import fetched
from seqc.graph.ir import Array
from seqc.utils.absent import absent

__all__ = ["load_data"]

Part = tuple[Array, Array]
_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"


def load_data() -> tuple[Part, Part]:
    """Returns `(x_train, y_train), (x_test, y_test)`, all uint8: 50,000 and 10,000 pictures, and labels (n, 1).

    Raises:
        DataError: the archive is not there and cannot be downloaded, or is not what it should be.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    folder = fetched("cifar-10-batches-py-target", f"{HOME}cifar-10-python.tar.gz", _SHA256, unpacked=True)
    inside = folder / "cifar-10-batches-py"
    parts = [read_batch(inside / f"data_batch_{i}", "labels") for i in range(1, 6)]
    x_train, y_train = (np.concatenate(some) for some in zip(*parts, strict=True))
    return (x_train, y_train), read_batch(inside / "test_batch", "labels")


__getattr__ = absent(__name__, __all__)
