"""Small data sets in Keras's shape: `(x_train, y_train), (x_test, y_test) = seqc.datasets.digits.load_data()`.

Importing this package reads no data and opens no connection; `load_data` does. `digits` comes with seqc; the others are
taken from the folders in which seqc or Keras keeps them, or downloaded from where they were published, and checked.
"""

from __future__ import annotations

from seqc.utils.absent import absent, late

__all__ = [
    "boston_housing",
    "california_housing",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "imdb",
    "mnist",
    "reuters",
]

__getattr__ = late(
    __name__,
    {name: f"{__name__}.{name}" for name in __all__},
    absent(__name__, __all__, "Arrays that were read elsewhere train as well."),
)


def __dir__() -> list[str]:
    return __all__
