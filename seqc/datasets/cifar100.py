"""CIFAR-100: 60,000 pictures of 32 by 32 pixels in colour, of a hundred kinds, from a local copy or its home."""

from __future__ import annotations

from seqc.datasets._cifar import HOME, read_batch
from seqc.datasets._origins import fetched
from seqc.errors import ConfigError
from seqc.graph.ir import Array
from seqc.utils.absent import absent

__all__ = ["load_data"]

Part = tuple[Array, Array]
_SHA256 = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"


def load_data(label_mode: str = "fine") -> tuple[Part, Part]:
    """Returns `(x_train, y_train), (x_test, y_test)`, all uint8: 50,000 and 10,000 pictures, and labels (n, 1).

    Args:
        label_mode: "fine" for the hundred kinds, "coarse" for the twenty groups of them.

    Raises:
        ConfigError: there is no such mode. DataError: the archive is not there and cannot be downloaded, or is not what
        it should be.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    if label_mode not in ("fine", "coarse"):
        raise ConfigError(f'`label_mode` must be one of `"fine"`, `"coarse"`. Received: label_mode={label_mode}.')
    folder = fetched("cifar-100-python-target", f"{HOME}cifar-100-python.tar.gz", _SHA256, unpacked=True)
    inside, labels = folder / "cifar-100-python", f"{label_mode}_labels"
    return read_batch(inside / "train", labels), read_batch(inside / "test", labels)


__getattr__ = absent(__name__, __all__)
