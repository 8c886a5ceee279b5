"""California housing: 20,640 blocks of houses of 1990, from a local copy or Keras's mirror."""

from __future__ import annotations

from seqc.datasets._housing import Part, load_table
from seqc.errors import ConfigError
from seqc.utils.absent import absent

__all__ = ["load_data"]

_SHA256 = "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"


def load_data(
    version: str = "large", path: str = "california_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[Part, Part]:
    """Returns `(x_train, y_train), (x_test, y_test)`: 8 numbers for each block, and median prices in dollars.

    Args:
        version: "large" for all, "small" for the first 600. path: name of the file in the cache, in which Keras keeps
        it, too. test_split: the part that is for tests. seed: of the order.

    Raises:
        ConfigError: there is no such version, or `test_split` is no part. DataError: the file is not there and cannot
        be downloaded, or is damaged.

    Source: R. K. Pace and R. Barry, Sparse Spatial Autoregressions, 1997.
    """
    if version not in ("small", "large"):
        raise ConfigError(f"Argument `version` must be one of 'small', 'large'. Received: version={version}")
    rows = 600 if version == "small" else None
    return load_table(path, "california_housing.npz", _SHA256, test_split, seed, rows)


__getattr__ = absent(__name__, __all__)
