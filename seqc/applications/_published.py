"""The files of weights that Keras publishes for its applications."""

from __future__ import annotations

from dataclasses import dataclass

from seqc.errors import DataError
from seqc.utils.downloads import get_file

FOLDER = "https://storage.googleapis.com/tensorflow/keras-applications/"


@dataclass(frozen=True)
class Published:
    """A file of weights.

    Attributes:
        name: in the folder `models` of Keras's cache. folder: its URL. file_hash: SHA-256 or MD5; None where Keras
        publishes none. there: its name at the URL, where that is another.
    """

    name: str
    folder: str
    file_hash: str | None = None
    there: str | None = None

    def path(self, application: str) -> str:
        """Returns where the file is; it is downloaded if it is not in the cache.

        Args:
            application: the name of the architecture, for the error.

        Raises:
            DataError: it is not there and cannot be downloaded, or it is not what its hash says.
        """
        url = self.folder + (self.there or self.name)
        try:
            return get_file(self.name, url, file_hash=self.file_hash, cache_subdir="models")
        except DataError as error:
            raise DataError(
                f"{application} needs the file {self.name} for weights='imagenet'. {error} Or give weights=None, for "
                "random weights, or the path of another file of weights."
            ) from error


# With the classifier at the end, and without.
Files = tuple[Published, Published]


def kernels(folder: str, stem: str, *hashes: str) -> Files:
    """Returns the files of an architecture that Keras converted from TensorFlow's kernels, by their hashes."""
    with_top, without = (
        Published(f"{stem}_weights_tf_dim_ordering_tf_kernels{ending}.h5", f"{FOLDER}{folder}/", one)
        for ending, one in zip(("", "_notop"), hashes, strict=True)
    )
    return with_top, without


def pair(folder: str, stem: str, *hashes: str | None, without: str = "_notop") -> Files:
    """Returns the files of an architecture whose names differ in their ending alone."""
    first, second = (
        Published(f"{stem}{ending}.h5", folder, one) for ending, one in zip(("", without), hashes, strict=True)
    )
    return first, second
