"""Small data sets in Keras's shape: `(x_train, y_train), (x_test, y_test) = seqc.datasets.digits.load_data()`.

Importing this package reads no data and opens no connection; `load_data` does.
"""

from seqc.datasets import digits, mnist
from seqc.utils.absent import absent

__all__ = ["digits", "mnist"]

__getattr__ = absent(__name__, __all__, "Arrays that were read elsewhere train as well.")
