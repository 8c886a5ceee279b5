"""Where the data sets of Keras come from, and what they are known by."""

from __future__ import annotations

from pathlib import Path

from seqc.utils.downloads import get_file

KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


def fetched(name: str, origin: str, file_hash: str, subfolder: str = "datasets", unpacked: bool = False) -> Path:
    """Returns a file, or the folder it was unpacked into, from the folder in which Keras keeps its data sets.

    Args:
        name: of the file there; a copy that Keras downloaded is used. origin: its URL. file_hash: SHA-256, or MD5 where
        nothing else was published. subfolder: in the cache. unpacked: whether it is an archive.

    Raises:
        DataError: it is not there and cannot be downloaded, or is not what the hash says.
    """
    return Path(get_file(name, origin, file_hash=file_hash, cache_subdir=subfolder, extract=unpacked))
