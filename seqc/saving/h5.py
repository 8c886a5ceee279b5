"""The HDF5 container of weights: arrays by path, read without following links or trusting declared sizes."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from seqc.errors import MissingDependencyError, SavingError
from seqc.graph.element_types import need_bfloat16
from seqc.graph.ir import Array
from seqc.saving.h5_attributes import Texts
from seqc.saving.limits import MOST_EXPANSION, room

# Filters that HDF5 itself brings (deflate, shuffle, fletcher32); any other would load a plug-in, which is code.
_FILTERS = (1, 2, 3)
BROKEN = (OSError, RuntimeError, KeyError, TypeError, ValueError, ArithmeticError, MemoryError)


class Store:
    """The arrays of an open HDF5 file.

    Attributes:
        source: what the file is called in messages.
        used: paths that were read.
        size: bytes of all arrays together.
        root: the file itself, as h5py has it.
        texts: reads its attributes.
    """

    def __init__(self, file: Any, source: str, file_bytes: int) -> None:
        self.source = source
        self.used: set[str] = set()
        self.size = 0
        self.root = file
        self._stored = 0
        self._zeros = False
        self._room = room(file_bytes)
        self._datasets: dict[str, Any] = {}
        # For each group that holds arrays, their names.
        self._names: dict[str, dict[str, None]] = {}
        self._scan(file)
        self.texts = Texts(source, file_bytes, max(0, file_bytes - self._stored))

    def unread(self) -> Store:
        """Returns the same arrays with zeros in place of their numbers, which are not read."""
        found = copy.copy(self)
        found.used, found._zeros = set(), True
        return found

    @contextmanager
    def and_in(self, file: BinaryIO, file_bytes: int) -> Iterator[None]:
        """Takes in the arrays of another HDF5 file, which stays open meanwhile.

        Args:
            file: its content. file_bytes: how large it is.

        Raises:
            SavingError: as `open_store` does; or an array is in two files.
        """
        with opened(file, self.source) as handle:
            with damage(self.source):
                self._room += room(file_bytes)
                self._scan(handle)
            yield

    def _scan(self, root: Any) -> None:
        """Looks at everything in the file, once and from the outside in."""
        import h5py

        seen: set[int] = set()
        path_bytes = 0
        waiting = [("", root)]
        while waiting:
            prefix, group = waiting.pop()
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
                if address in seen:
                    raise SavingError(f"'{path}' in '{self.source}' is a second name of another object. Refused.")
                seen.add(address)
                path_bytes += len(path)
                if path_bytes > self._room:  # groups inside groups: their paths grow with the square of the file
                    raise SavingError(f"'{self.source}' nests its groups too deep. Refused.")
                if isinstance(item, h5py.Group):
                    waiting.append((f"{path}/", item))
                elif isinstance(item, h5py.Dataset):
                    self._admit(path, item)

    def _admit(self, path: str, dataset: Any) -> None:
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
        self.size += declared
        self._stored += stored
        if self.size > self._room:
            raise SavingError(
                f"{where} declares {declared} bytes, but only {stored} are stored. Refused as a bomb: the arrays of a "
                f"file may take {MOST_EXPANSION} times its size."
            )
        # TensorFlow on Windows wrote the separators of its paths as backslashes, inside the name of one group.
        path = path.replace("\\", "/")
        if path in self._datasets:
            raise SavingError(f"{where} has the path of another array. Refused.")
        self._datasets[path] = dataset
        folder, _, name = path.rpartition("/")
        self._names.setdefault(f"{folder}/" if folder else "", {})[name] = None

    def group(self, path: str) -> StoreGroup:
        """Returns the arrays directly below a path."""
        return StoreGroup(self, f"{path}/" if path else "")

    def names(self, prefix: str) -> Collection[str]:
        """Returns the names of the arrays directly below a prefix that ends with a slash."""
        return self._names.get(prefix, {})

    def paths(self) -> list[str]:
        """Returns the paths of all arrays."""
        return list(self._datasets)

    def known(self, path: str) -> str | None:
        """Returns the path of an array as the store has it, None if there is no such array."""
        path = "/".join(part for part in path.replace("\\", "/").split("/") if part)
        return path if path in self._datasets else None

    def shape(self, path: str) -> tuple[int, ...]:
        """Returns the declared shape of an array, without reading it."""
        return tuple(self._datasets[path].shape)

    def dtype(self, path: str) -> str:
        """Returns what the elements of an array are."""
        return str(self._datasets[path].dtype)

    def label(self, path: str) -> str | None:
        """Returns how the group that holds an array is called, None where nothing says it."""
        return self.texts.one(self._datasets[path].parent, "name")

    def read(self, path: str) -> Array:
        """Returns an array of numbers.

        Raises:
            SavingError: it holds something else or is damaged.
        """
        dataset = self._datasets[path]
        self.used.add(path)
        try:
            kind = dataset.dtype.kind
            if dataset.dtype == "V2" and self.texts.one(dataset, "dtype") == "bfloat16":
                need_bfloat16(f"Array '{path}' in '{self.source}'")
                if self._zeros:
                    return np.broadcast_to(np.zeros((), "bfloat16"), dataset.shape)
                return np.asarray(dataset[()]).view("bfloat16")
            if kind not in "fiub" or "dtype" in dataset.attrs:
                held = dataset.attrs.get("dtype", dataset.dtype)
                raise SavingError(f"Array '{path}' in '{self.source}' holds {held}; weights are floats or integers.")
            if self._zeros:
                return np.broadcast_to(np.zeros((), dataset.dtype), dataset.shape)
            return np.asarray(dataset[()])
        except BROKEN as error:
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
    """Returns the bytes it takes to read an array; of one in chunks, at least one chunk is unpacked."""
    sizes = [math.prod(int(d) for d in shape) for shape in (dataset.shape, dataset.chunks or (0,))]
    return max(sizes) * int(dataset.dtype.itemsize)


@contextmanager
def open_store(file: BinaryIO, source: str, file_bytes: int) -> Iterator[Store]:
    """Opens an HDF5 file for reading.

    Args:
        file: its content.
        source: what it is called in messages.
        file_bytes: how large the file is that it came with; the arrays may take a multiple of that.

    Raises:
        SavingError: it is not HDF5, is damaged, or is not one to trust.
    """
    with opened(file, source) as handle:
        with damage(source):
            store = Store(handle, source, file_bytes)
        yield store


def opened(file: BinaryIO, source: str) -> Any:
    """Returns an HDF5 file that h5py opened.

    Raises:
        SavingError: it is none.
    """
    h5py = require_h5py()
    try:
        return h5py.File(file, "r")
    except BROKEN as error:
        raise SavingError(f"'{source}' is not an HDF5 file: {error}. It may be cut off or damaged.") from error


@contextmanager
def damage(source: str) -> Iterator[None]:
    """Says of what h5py stumbles over that the file is damaged."""
    try:
        yield
    except BROKEN as error:
        if isinstance(error, SavingError):
            raise
        raise SavingError(f"'{source}' is damaged: {error}.") from error


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
                if array.dtype.name == "bfloat16":  # as Keras marks them: HDF5 has no such numbers
                    group[key].attrs["dtype"] = "bfloat16"
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
