"""NumPy's own files: one array (.npy), or several by name (.npz), read and written in order without holding them."""

from __future__ import annotations

import contextlib
import io
import math
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from seqc_runtime.errors import RuntimeInputError
from seqc_runtime.inputs import Array
from seqc_runtime.tensors import TensorInfo

# What zipfile raises for archives that are damaged, encrypted, or packed in ways it does not know.
_DAMAGE = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError)


class ArrayReader:
    """Samples along axis 0 of arrays, one for each input.

    name: of the file, for errors. batched: the inputs that have the batch axis; the others go whole with every chunk.
    arrays: by input; what can be sliced.
    """

    def __init__(self, name: str, batched: Sequence[str], arrays: Mapping[str, ArrayStream]) -> None:
        self._name = name
        self._arrays = arrays
        self._batched = batched
        sizes = {name: _samples(arrays[name].shape, name) for name in arrays if name in self._batched}
        if len(set(sizes.values())) > 1:
            raise RuntimeInputError(f"{name}: arrays need the same number of samples; got {sizes}")
        self._rows = sizes[batched[0]]

    def expected(self, done: int) -> int:
        """How many samples there are."""
        return self._rows

    def chunks(self, step: int) -> Iterator[dict[str, Array]]:
        """Inputs of up to `step` samples each; at least one, which may be empty."""
        whole = {
            name: stream.take(stream.shape[0] if stream.shape else 1)
            for name, stream in self._arrays.items()
            if name not in self._batched
        }
        for _ in range(0, max(self._rows, 1), step):
            yield {name: whole[name] if name in whole else stream.take(step) for name, stream in self._arrays.items()}


def _samples(shape: tuple[int, ...], name: str) -> int:
    if not shape:
        raise RuntimeInputError(f"array {name!r} is a single number: samples along axis 0 were expected")
    return shape[0]


class ArrayStream:
    """An array in NumPy's format, taken a few samples at a time.

    stream: at the start of the format. name: of the file, for errors. size: bytes of the stream.
    """

    def __init__(self, stream: IO[bytes], name: str, size: int) -> None:
        self._stream = stream
        self._name = name
        try:
            version = npy.read_magic(stream)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            self.shape, self._fortran, self._dtype = read(stream)
            if any(axis < 0 for axis in self.shape):
                raise ValueError(f"its shape is {self.shape}")
        except (ValueError, EOFError, *_DAMAGE) as error:
            raise RuntimeInputError(f"{name} is not an array in NumPy's format: {error}") from error
        if self._dtype.hasobject:
            raise RuntimeInputError(f"{name} holds Python objects, which only a pickle could bring: save plain numbers")
        if math.prod(self.shape) * self._dtype.itemsize > size - stream.tell():
            raise self._ends_early()
        self._rest: Array | None = self._all() if self._fortran else None
        self._at = 0

    def take(self, count: int) -> Array:
        """The next `count` samples, or what is left of them."""
        if not self.shape:
            return self._read(())
        count = min(count, self.shape[0] - self._at)
        self._at += count
        if self._rest is not None:
            return self._rest[self._at - count : self._at]
        return self._read((count, *self.shape[1:]))

    def _read(self, shape: tuple[int, ...]) -> Array:
        values = np.empty(shape, self._dtype)
        if values.nbytes:
            self._fill(values.reshape(-1).view(np.uint8).data)
        return values

    def _fill(self, target: memoryview) -> None:
        done = 0
        while done < len(target):
            try:
                piece = self._stream.readinto(target[done:])  # type: ignore[attr-defined]
            except (OSError, *_DAMAGE) as error:
                raise RuntimeInputError(f"{self._name} is damaged: {error}") from error
            if not piece:
                raise self._ends_early()
            done += piece

    def _ends_early(self) -> RuntimeInputError:
        return RuntimeInputError(f"{self._name} ends early: {self.shape} {self._dtype} was promised")

    def _all(self) -> Array:
        # Its samples do not lie one after another: the system reads what is looked at, where it can.
        if isinstance(self._stream, io.BufferedReader) and 0 not in self.shape:
            return np.memmap(self._stream, self._dtype, "r", self._stream.tell(), self.shape, order="F")
        return self._read(self.shape[::-1]).T


@contextlib.contextmanager
def open_npy(path: Path, infos: Sequence[TensorInfo], batched: Sequence[str]) -> Iterator[ArrayReader]:
    """Samples of a model's only input. batched: the inputs that have the batch axis."""
    if len(infos) != 1:
        names = ", ".join(repr(info.name) for info in infos)
        raise RuntimeInputError(
            f"{str(path)!r} holds one array, and the model has {len(infos)} inputs ({names}): save them in one file, "
            "numpy.savez(path, name=array, ...)"
        )
    with open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        yield ArrayReader(str(path), batched, {infos[0].name: ArrayStream(stream, str(path), size)})


@contextlib.contextmanager
def open_npz(path: Path, infos: Sequence[TensorInfo], batched: Sequence[str]) -> Iterator[ArrayReader]:
    """Samples of inputs by name; the only array of a file may have any name when there is one input.

    batched: the inputs that have the batch axis.
    """
    with contextlib.ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
        except zipfile.BadZipFile as error:
            raise RuntimeInputError(f"{str(path)!r} is not a .npz file: {error}") from error
        members = {entry.removesuffix(".npy"): entry for entry in archive.namelist()}
        names = {info.name: info.name for info in infos}
        if len(infos) == 1 and len(members) == 1:
            names = {infos[0].name: next(iter(members))}
        missing = [name for name in names.values() if name not in members]
        if missing:
            raise RuntimeInputError(
                f"{str(path)!r} has no array {', '.join(map(repr, missing))}; it has "
                f"{', '.join(map(repr, sorted(members))) or 'none'}, and the model's inputs are "
                f"{', '.join(repr(info.name) for info in infos)}"
            )
        streams = {}
        for name, member in names.items():
            about = archive.getinfo(members[member])
            try:
                stream = stack.enter_context(archive.open(about))
            except _DAMAGE as error:
                raise RuntimeInputError(f"{path}: {member} cannot be read: {error}") from error
            streams[name] = ArrayStream(stream, f"{path}: {member}", about.file_size)
        yield ArrayReader(str(path), batched, streams)


class NpyWriter:
    """Writes one array whose number of rows is known when it is closed only."""

    def __init__(self, path: Path) -> None:
        self._stream: IO[bytes] = open(path, "wb")  # noqa: SIM115 - closed by close()
        self._rows = 0
        self._row: tuple[int, ...] = ()
        self._dtype = np.dtype(np.float32)
        self._room = 0

    def write(self, results: Sequence[tuple[TensorInfo, Array]]) -> None:
        """Append the rows of the only output."""
        if len(results) != 1:
            names = ", ".join(repr(info.name) for info, _ in results)
            raise RuntimeInputError(
                f"a .npy file holds one array, and the model has several outputs ({names}): "
                "write .npz, .csv or .parquet"
            )
        ((info, result),) = results
        self.append(info, result)

    def append(self, info: TensorInfo, result: Array) -> None:
        """Append rows of an output."""
        if result.dtype == object:
            raise RuntimeInputError(
                f"output {info.name!r} is text, which a .npy file would hold in a fixed width: write .csv or .parquet"
            )
        if not self._room:
            self._row, self._dtype = result.shape[1:], result.dtype
            self._room = self._write_header()
        elif self._row != result.shape[1:]:
            raise RuntimeInputError(
                f"output {info.name!r} has rows of shape {self._row} first and {result.shape[1:]} later, "
                "which one array cannot hold"
            )
        self._stream.write(np.ascontiguousarray(result).reshape(-1).view(np.uint8).data)
        self._rows += len(result)

    def close(self) -> None:
        """Write the number of rows, and close the file."""
        with self._stream:
            if self._room:
                self._stream.seek(0)
                if self._write_header() != self._room:
                    raise RuntimeInputError(f"{self._rows} rows are more than the header of a .npy file has room for")

    def discard(self) -> None:
        """Close the file as it is."""
        # Closing writes what is left, for which the disk may have no room.
        with contextlib.suppress(OSError):
            self._stream.close()

    def _write_header(self) -> int:
        # NumPy leaves room in the header for the first axis to grow.
        about: dict[str, Any] = {
            "descr": npy.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._rows, *self._row),
        }
        npy.write_array_header_1_0(self._stream, about)
        return self._stream.tell()


class NpzWriter:
    """Writes several arrays by name: each into a file of its own first, since a zip's members follow one another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts: dict[str, tuple[Path, NpyWriter]] = {}

    def write(self, results: Sequence[tuple[TensorInfo, Array]]) -> None:
        """Append rows."""
        for info, result in results:
            if info.name not in self._parts:
                part = self._path.with_name(f"{self._path.name}.{len(self._parts)}")
                self._parts[info.name] = part, NpyWriter(part)
            self._parts[info.name][1].append(info, result)

    def close(self) -> None:
        """Put the arrays into one file."""
        try:
            for _, writer in self._parts.values():
                writer.close()
            with zipfile.ZipFile(self._path, "w", zipfile.ZIP_STORED) as archive:
                for name, (part, _) in self._parts.items():
                    # Names as they are, of which zipfile's own way would cut the first slash, and no time of day.
                    with open(part, "rb") as whole, archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        shutil.copyfileobj(whole, member)
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove the arrays' own files."""
        for part, writer in self._parts.values():
            writer.discard()
            part.unlink(missing_ok=True)
