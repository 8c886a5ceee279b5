"""The private copy of a model: what was looked at is what is loaded, whatever becomes of the original.

Files with weights are opened without following links, and never waited for. A hard link shows as a second name of a
file, which may be one that the model's owner could not read himself.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import weakref
from collections.abc import Iterator
from pathlib import Path

from seqc_runtime.gate.limits import Limits, RefusedError
from seqc_runtime.gate.locked import make_locked, remove_abandoned
from seqc_runtime.gate.tensors import External
from seqc_runtime.source import READ, open_file

_CHUNK = 1 << 20
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_BY_FOLDER = os.open in os.supports_dir_fd and os.stat in os.supports_dir_fd
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


class PrivateCopy:
    """A temporary directory of this user's own (mode 0700) with copies of files (mode 0400), and their SHA-256.

    It is removed when it is closed or nobody holds this object any more, by the process that made it; when that was
    killed, by the next that makes one.
    """

    def __init__(self, limits: Limits) -> None:
        remove_abandoned()
        self._path, lock = make_locked()
        self.digests: dict[str, str] = {}
        self.size = 0
        self._limits = limits
        self._remove = weakref.finalize(self, _remove, self._path, lock, os.getpid())

    @property
    def path(self) -> Path:
        """The directory."""
        return self._path

    def close(self) -> None:
        """Remove it now."""
        self._remove()

    def write(self, name: str, pieces: Iterator[bytes]) -> Path:
        """Write a file. Raises RefusedError when the copy gets too large."""
        target = self.path / name
        digest = hashlib.sha256()
        handle = os.open(target, _WRITE, 0o400)
        try:
            for piece in pieces:
                self.size += len(piece)
                if self.size > self._limits.weights:
                    raise RefusedError(f"it has more than {self._limits.weights} bytes with its weights")
                digest.update(piece)
                left = memoryview(piece)
                while left:
                    left = left[os.write(handle, left) :]
        finally:
            os.close(handle)
        self.digests[name] = digest.hexdigest()
        return target

    def add_weights(self, externals: list[External], directory: Path) -> None:
        """Copy the files that tensors name from the model's own directory, after checking what they name."""
        locations = sorted({external.location for external in externals})
        if len(locations) > self._limits.files:
            raise RefusedError(f"it has weights in {len(locations)} files; {self._limits.files} are let in")
        # Before anything is opened or made by these names, here or there.
        for location in locations:
            _check_name(location)
        with _directory(directory) as opened:
            for location in locations:
                if location not in self.digests:
                    self.write(location, _weights(location, directory, opened))
        sizes = {location: (self.path / location).stat().st_size for location in locations}
        for external in externals:
            end, size = external.offset + external.length, sizes[external.location]
            if end > size:
                raise RefusedError(
                    f"tensor {external.tensor} needs bytes {external.offset} to {end} of {external.location!r}, "
                    f"which has {size}"
                )


def read_model(path: Path, name: str, limits: Limits) -> Iterator[bytes]:
    """The bytes of a model file."""
    handle, status = open_file(path, name)
    try:
        if status.st_size > limits.file:
            raise RefusedError(f"it has {status.st_size} bytes; {limits.file} are let in")
        if not limits.links:
            there = os.stat(path, follow_symlinks=False)
            _check_plain(there, "the file is one")
            if (there.st_dev, there.st_ino) != (status.st_dev, status.st_ino):
                raise RefusedError("the file was replaced while it was looked at")
        yield from _pieces(handle, status)
    finally:
        os.close(handle)


def _weights(location: str, directory: Path, opened: int | None) -> Iterator[bytes]:
    what = f"it keeps weights in {location!r}"
    place = location if opened is not None else directory / location
    try:
        status = os.stat(place, dir_fd=opened, follow_symlinks=False)
        # Not even opened: some devices act when they are.
        _check_plain(status, what)
        handle = os.open(place, READ | _NO_LINK, dir_fd=opened)
    except FileNotFoundError as error:
        raise RefusedError(f"{what}, which is missing") from error
    except OSError as error:
        raise RefusedError(f"{what}, which cannot be opened ({error.strerror})") from error
    try:
        there = os.fstat(handle)
        _check_plain(there, what)
        if (there.st_dev, there.st_ino) != (status.st_dev, status.st_ino):
            raise RefusedError(f"{what}, which was replaced while it was looked at")
        yield from _pieces(handle, there)
    finally:
        os.close(handle)


def _check_name(location: str) -> None:
    if location in ("", ".", "..") or any(c in "/\\:*\0" for c in location) or len(location.encode()) > 255:
        raise RefusedError(
            f"it keeps weights in {location!r}, which is not the plain name of a file in its own directory"
        )


def _check_plain(status: os.stat_result, what: str) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise RefusedError(f"{what}, which is a link")
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError(f"{what}, which is not a plain file")
    if status.st_nlink != 1:
        raise RefusedError(f"{what}, which has {status.st_nlink} names: a hard link may be to anybody's file")


def _pieces(handle: int, status: os.stat_result) -> Iterator[bytes]:
    """What a file has, to the size it had when it was opened; a file that changes meanwhile is refused."""
    left = status.st_size
    while left:
        piece = os.read(handle, min(left, _CHUNK))
        if not piece:
            break
        left -= len(piece)
        yield piece
    now = os.fstat(handle)
    if left or (now.st_size, now.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise RefusedError("a file of it was changed while it was read")


@contextlib.contextmanager
def _directory(path: Path) -> Iterator[int | None]:
    """An open directory, so that it cannot be replaced between its files; None where files have no such base."""
    if not _BY_FOLDER:
        yield None
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def _remove(path: Path, lock: int | None, process: int) -> None:
    # A child that was forked holds the same object and does not own the directory.
    if os.getpid() == process:
        shutil.rmtree(path, ignore_errors=True)
        if lock is not None:
            os.close(lock)
