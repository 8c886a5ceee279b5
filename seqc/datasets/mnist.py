"""MNIST: 70,000 handwritten digits of 28 by 28 pixels, from local files or a public mirror."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from seqc.datasets import _fetch, _idx
from seqc.errors import DataError
from seqc.utils.absent import absent

__all__ = ["load_data"]

Arrays: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]

MIRRORS: tuple[str, ...] = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)


@dataclass(frozen=True)
class Archive:
    """One of the four files: its name, the size in bytes and the SHA-256 of what it holds when unpacked.

    The checksum is that of the unpacked content because copies in circulation are packed at different levels.
    """

    name: str
    size: int
    sha256: str


TRAIN_IMAGES = Archive(
    "train-images-idx3-ubyte.gz", 47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
)
TRAIN_LABELS = Archive(
    "train-labels-idx1-ubyte.gz", 60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
)
TEST_IMAGES = Archive(
    "t10k-images-idx3-ubyte.gz", 7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
)
TEST_LABELS = Archive(
    "t10k-labels-idx1-ubyte.gz", 10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
)
ARCHIVES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)


def load_data(path: str | os.PathLike[str] | None = None) -> tuple[Arrays, Arrays]:
    """MNIST as Keras gives it.

    The four `*-ubyte.gz` files are taken from the folder `path`. Without `path`, the first of these folders that holds
    all four is used: `$SEQC_DATA_HOME/mnist`, then `datasets/mnist` in the user's cache folder of seqc. When neither
    does, the missing files are downloaded into the first of them. Every file is checked before it is used.

    Args:
        path: a folder that holds the four files; nothing is downloaded when it is given.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, all uint8: x_train (60000, 28, 28) with values 0 (paper) to 255 (ink),
        y_train (60000,), x_test (10000, 28, 28), y_test (10000,).

    Raises:
        DataError: a file is missing from `path`, is damaged or is not MNIST, or no mirror could be reached.

    Source: Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten digits.
    """
    folder = _downloaded() if path is None else _complete(Path(path))
    x_train, y_train, x_test, y_test = (_read(folder / archive.name, archive) for archive in ARCHIVES)
    return (x_train, y_train), (x_test, y_test)


def _folders() -> list[Path]:
    import platformdirs

    cache = platformdirs.user_cache_path("seqc", appauthor=False) / "datasets" / "mnist"
    home = os.environ.get("SEQC_DATA_HOME")
    return [Path(home) / "mnist", cache] if home else [cache]


def _missing(folder: Path) -> list[Archive]:
    return [archive for archive in ARCHIVES if not (folder / archive.name).is_file()]


def _complete(folder: Path) -> Path:
    if missing := _missing(folder):
        names = ", ".join(archive.name for archive in missing)
        raise DataError(
            f"mnist.load_data(path={str(folder)!r}) needs a folder with the four MNIST files; {names} not found there. "
            "Put the files there, or leave out path to download them."
        )
    return folder


def _downloaded() -> Path:
    folders = _folders()
    for folder in folders:
        if not _missing(folder):
            return folder
    for archive in _missing(folders[0]):
        urls = [mirror + archive.name for mirror in MIRRORS]
        # No copy of a file is larger than what it unpacks to.
        _fetch.download(urls, folders[0] / archive.name, limit=archive.size, check=partial(_unpack, archive))
    return folders[0]


def _read(file: Path, archive: Archive) -> NDArray[np.uint8]:
    try:
        return _idx.parse(_unpack(archive, file.read_bytes()), archive.name)
    except DataError as error:
        raise DataError(
            f"{file} cannot be used: {error} Delete it; mnist.load_data() without path downloads a good one."
        ) from error


def _unpack(archive: Archive, packed: bytes) -> bytes:
    content = _idx.gunzip(packed, archive.name, limit=archive.size)
    found = hashlib.sha256(content).hexdigest()
    if found != archive.sha256:
        raise DataError(
            f"{archive.name} needs to unpack to {archive.size} bytes with SHA-256 {archive.sha256}; "
            f"got {len(content)} bytes with SHA-256 {found}."
        )
    return content


__getattr__ = absent(__name__, __all__)
