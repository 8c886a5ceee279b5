"""Boston housing: 506 suburbs of the 1970s, from a local copy or Keras's mirror.

Keras warns that one column makes prices depend on race; the data are for old scripts, not for new work.
"""

from __future__ import annotations

from seqc.datasets._housing import Part, load_table
from seqc.utils.absent import absent

__all__ = ["load_data"]

_SHA256 = "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"


def load_data(path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113) -> tuple[Part, Part]:
    """Returns `(x_train, y_train), (x_test, y_test)`: 13 numbers for each suburb, and prices in thousands of dollars.

    Args:
        path: name of the file in the cache, in which Keras keeps it, too. test_split: the part that is for tests.
        seed: of the order.

    Raises:
        ConfigError: `test_split` is no part. DataError: the file is not there and cannot be downloaded, or is damaged.

    Source: D. Harrison and D. L. Rubinfeld, Hedonic prices and the demand for clean air, 1978.
    """
    return load_table(path, "boston_housing.npz", _SHA256, test_split, seed, None)


__getattr__ = absent(__name__, __all__)
