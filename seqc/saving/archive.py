"""The zip container of a `.keras` file. Members are read into memory under limits; nothing is ever extracted."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePosixPath

from seqc.errors import SavingError

CONFIG, METADATA, WEIGHTS, ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets/"

# Keras stores its members without compression. A file that somebody zipped again may shrink them, but weights do not
# shrink a hundredfold; a member that claims so is a bomb.
_FREE_SIZE, _MOST_EXPANSION, _MOST_MEMBERS = 1 << 24, 100, 10_000
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError)


class SavingFileNotFound(SavingError, FileNotFoundError):
    """There is no file at the path."""


class Archive:
    """An open `.keras` file.

    Attributes:
        path: where it is, for messages. size: bytes of the whole file.
    """

    def __init__(self, file: zipfile.ZipFile, path: str) -> None:
        self.path = path
        self._file = file
        self._members: dict[str, zipfile.ZipInfo] = {}
        if len(file.infolist()) > _MOST_MEMBERS:
            raise SavingError(f"'{path}' holds {len(file.infolist())} members; a model has at most {_MOST_MEMBERS}.")
        for member in file.infolist():
            self._admit(member)

    def _admit(self, member: zipfile.ZipInfo) -> None:
        name = member.filename
        if name in self._members:
            raise SavingError(f"'{self.path}' holds '{name}' twice. Readers would disagree on what it says; refused.")
        if name.startswith("/") or "\\" in name or ":" in name or ".." in PurePosixPath(name).parts:
            raise SavingError(f"'{self.path}' holds a member whose name leaves the archive: {name!r}. Refused.")
        if member.file_size > _FREE_SIZE and member.file_size > _MOST_EXPANSION * member.compress_size:
            raise SavingError(
                f"Member '{name}' of '{self.path}' unpacks from {member.compress_size} to {member.file_size} bytes, "
                f"more than {_MOST_EXPANSION} times. Refused as a decompression bomb."
            )
        self._members[name] = member

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str) -> bytes:
        """Returns a member's content.

        Raises:
            SavingError: it is missing or damaged.
        """
        if name not in self._members:
            raise SavingError(
                f"'{self.path}' has no member '{name}', so it is not a complete Keras model. It holds: "
                f"{', '.join(sorted(self._members)[:20]) or 'nothing'}."
            )
        try:
            return self._file.read(name)
        except _BROKEN as error:
            raise SavingError(f"Member '{name}' of '{self.path}' is damaged: {error}.") from error

    def assets(self) -> dict[str, bytes]:
        """Returns the asset files by their path below `assets/`."""
        return {n[len(ASSETS) :]: self.read(n) for n in self._members if n.startswith(ASSETS) and not n.endswith("/")}


@contextmanager
def open_archive(path: str | os.PathLike[str]) -> Iterator[Archive]:
    """Opens a `.keras` file for reading.

    Raises:
        SavingFileNotFound: there is none. SavingError: it is not a zip archive, or not one to trust.
    """
    if not os.path.exists(path):
        raise SavingFileNotFound(
            f"File not found: filepath={path}. Please ensure the file is an accessible `.keras` zip file."
        )
    try:
        file = zipfile.ZipFile(path)
    except _BROKEN as error:
        raise SavingError(f"'{path}' is not a `.keras` zip archive: {error}. It may be cut off or damaged.") from error
    with file:
        yield Archive(file, str(path))


def pack(members: Mapping[str, bytes]) -> bytes:
    """Returns a zip archive of members, stored as Keras does. The same members give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, content in members.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = 0o644 << 16
            file.writestr(member, content)
    return buffer.getvalue()
