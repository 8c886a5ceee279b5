"""The HDF5 container of weights: arrays by path, read without following links or trusting declared sizes."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from seqc.errors import MissingDependencyError, SavingError
from seqc.ir import Array
from seqc.saving.archive import SavingFileNotFound

# Filters that HDF5 itself brings (deflate, shuffle, fletcher32); any other would load a plug-in, which is code.
_FILTERS = (1, 2, 3)
_FREE_SIZE, _MOST_EXPANSION, _MOST_OBJECTS, _MOST_DEPTH = 1 << 20, 1000, 1_000_000, 64
_BROKEN = (OSError, RuntimeError, KeyError, TypeError, ValueError, ArithmeticError)


class Store:
    """The arrays of an open HDF5 file.

    Attributes:
        source: what the file is called in messages. used: paths that were read.
    """

    def __init__(self, file: Any, source: str) -> None:
        self.source = source
        self.used: set[str] = set()
        self._datasets: dict[str, Any] = {}
        self._names: dict[str, list[str]] = {}
        self._seen: set[int] = set()
        self._scan(file, "", 0)

    def _scan(self, group: Any, prefix: str, depth: int) -> None:
        import h5py

        if depth > _MOST_DEPTH:
            raise SavingError(f"'{self.source}' nests its groups more than {_MOST_DEPTH} deep. Refused.")
        for name in group:
            path = f"{prefix}{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise SavingError(
                    f"'{path}' in '{self.source}' is a {type(link).__name__}: it points somewhere else instead of "
                    "holding an array. Refused; Keras never writes one."
                )
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in self._seen or len(self._seen) > _MOST_OBJECTS:
                raise SavingError(f"'{path}' in '{self.source}' is a second name of another object. Refused.")
            self._seen.add(address)
            if isinstance(item, h5py.Group):
                self._scan(item, f"{path}/", depth + 1)
            elif isinstance(item, h5py.Dataset):
                self._check(path, item)
                self._datasets[path] = item
                self._names.setdefault(prefix, []).append(name)

    def _check(self, path: str, dataset: Any) -> None:
        where = f"Array '{path}' in '{self.source}'"
        if dataset.external or dataset.is_virtual:
            raise SavingError(f"{where} keeps its data in another file. Refused; Keras never writes such an array.")
        if dataset.shape is None:
            raise SavingError(f"{where} has no shape.")
        created = dataset.id.get_create_plist()
        filters = [created.get_filter(i)[0] for i in range(created.get_nfilters())]
        if any(f not in _FILTERS for f in filters):
            raise SavingError(f"{where} needs the HDF5 filters {filters}, which load plug-ins. Refused.")
        declared, stored = _size(dataset), dataset.id.get_storage_size()
        if declared > _FREE_SIZE and declared > _MOST_EXPANSION * stored:
            raise SavingError(f"{where} declares {declared} bytes, but only {stored} are stored. Refused as a bomb.")

    @property
    def size(self) -> int:
        """Bytes of all arrays together."""
        return sum(_size(d) for d in self._datasets.values())

    def group(self, path: str) -> StoreGroup:
        """Returns the arrays directly below a path."""
        return StoreGroup(self, f"{path}/" if path else "")

    def names(self, prefix: str) -> list[str]:
        """Returns the names of the arrays directly below a prefix that ends with a slash."""
        return self._names.get(prefix, [])

    def paths(self) -> list[str]:
        """Returns the paths of all arrays."""
        return list(self._datasets)

    def shape(self, path: str) -> tuple[int, ...]:
        """Returns the declared shape of an array, without reading it."""
        return tuple(self._datasets[path].shape)

    def read(self, path: str) -> Array:
        """Returns an array of numbers.

        Raises:
            SavingError: it holds something else or is damaged.
        """
        dataset = self._datasets[path]
        self.used.add(path)
        try:
            kind = dataset.dtype.kind
            if kind not in "fiub" or "dtype" in dataset.attrs:
                held = dataset.attrs.get("dtype", dataset.dtype)
                raise SavingError(f"Array '{path}' in '{self.source}' holds {held}; weights are floats or integers.")
            return np.asarray(dataset[()])
        except _BROKEN as error:
            if isinstance(error, SavingError):
                raise
            raise SavingError(f"Array '{path}' in '{self.source}' is damaged: {error}.") from error


class StoreGroup(Mapping[str, Array]):
    """The arrays of one layer by name, read when asked for.

    Attributes:
        place: the path of the group, for messages.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        self.store, self.prefix, self.place = store, prefix, prefix.rstrip("/")

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the declared shape of an array, without reading it."""
        return self.store.shape(self.prefix + name)

    def __getitem__(self, name: str) -> Array:
        if name not in self.store.names(self.prefix):
            raise KeyError(name)
        return self.store.read(self.prefix + name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.store.names(self.prefix))

    def __len__(self) -> int:
        return len(self.store.names(self.prefix))


def _size(dataset: Any) -> int:
    return math.prod(int(d) for d in dataset.shape) * int(dataset.dtype.itemsize)


@contextmanager
def open_store(file: str | os.PathLike[str] | bytes, source: str) -> Iterator[Store]:
    """Opens the content or the path of an HDF5 file for reading.

    Raises:
        SavingFileNotFound: there is no file. SavingError: it is not HDF5, is damaged, or is not one to trust.
    """
    h5py = require_h5py()
    if not isinstance(file, bytes) and not os.path.exists(file):
        raise SavingFileNotFound(f"Weights file not found: filepath={file}.")
    try:
        handle = h5py.File(io.BytesIO(file) if isinstance(file, bytes) else os.fspath(file), "r")
    except _BROKEN as error:
        raise SavingError(f"'{source}' is not an HDF5 file: {error}. It may be cut off or damaged.") from error
    with handle:
        try:
            store = Store(handle, source)
        except _BROKEN as error:
            if isinstance(error, SavingError):
                raise
            raise SavingError(f"'{source}' is damaged: {error}.") from error
        yield store


def pack_store(groups: Mapping[str, tuple[str | None, Mapping[str, Array]]]) -> bytes:
    """Returns the content of an HDF5 file.

    Args:
        groups: for the path of each layer, its name (None for none) and its arrays. They go to `path/vars`.
    """
    h5py = require_h5py()
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, (name, arrays) in groups.items():
            group = file.create_group(f"{path}/vars" if path else "vars")
            if name is not None:
                group.attrs["name"] = name
            for key, array in arrays.items():
                group[key] = array
    return buffer.getvalue()


def require_h5py() -> Any:
    """Returns the module h5py.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError(
            "Keras keeps weights in HDF5, which seqc reads and writes with h5py. Install it: pip install h5py"
        ) from error
    return h5py
