"""Fashion-MNIST: 70,000 pictures of clothes of 28 by 28 pixels, from a local copy or Keras's mirror."""

from __future__ import annotations

from seqc.datasets import _idx
from seqc.datasets._origins import KERAS, fetched
from seqc.errors import DataError
from seqc.graph.ir import Array
from seqc.utils.absent import absent

__all__ = ["load_data"]

Part = tuple[Array, Array]
# Zalando published MD5 alone.
_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
_LARGEST = 47_040_016


def load_data() -> tuple[Part, Part]:
    """Returns `(x_train, y_train), (x_test, y_test)`, all uint8: 60,000 and 10,000 pictures, and labels 0 to 9.

    Raises:
        DataError: a file is not there and cannot be downloaded, or is not what it should be.

    Source: H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, 2017.
    """
    x_train, y_train, x_test, y_test = (_read(name) for name in _MD5)
    return (x_train, y_train), (x_test, y_test)


def _read(name: str) -> Array:
    file = fetched(name, KERAS + name, _MD5[name], subfolder="datasets/fashion-mnist")
    try:
        return _idx.parse(_idx.gunzip(file.read_bytes(), name, limit=_LARGEST), name)
    except DataError as error:
        raise DataError(f"{file} cannot be used: {error} Delete it, and it is downloaded again.") from error


__getattr__ = absent(__name__, __all__)
