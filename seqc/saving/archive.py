"""The zip container of a `.keras` file. Members are read into memory, under limits."""

from __future__ import annotations

import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from seqc.errors import SavingError
from seqc.saving.limits import FREE_BYTES, MOST_DIRECTORY_BYTES, MOST_EXPANSION, MOST_MEMBERS, room

# Where the metadata have the seeds that the model draws by.
SEEDS = "seqc_seeds"
CONFIG, METADATA, WEIGHTS, ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets"

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError)


class Archive:
    """An open `.keras` file.

    Attributes:
        path: where it is, for messages.
        size: of the file, in bytes.
        room: bytes that its members may still unpack to.
    """

    def __init__(self, file: zipfile.ZipFile, path: str, size: int) -> None:
        self.path, self.size, self.room = path, size, room(size)
        self._file = file
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._assets: list[str] = []
        if len(file.infolist()) > MOST_MEMBERS:
            raise SavingError(f"'{path}' holds {len(file.infolist())} members; a model has at most {MOST_MEMBERS}.")
        for member in file.infolist():
            self._admit(member)
        self._assets.sort()  # so that what is in one folder stands together

    def _admit(self, member: zipfile.ZipInfo) -> None:
        name = member.filename
        if name in self._members:
            raise SavingError(f"'{self.path}' holds '{name}' twice. Readers would disagree on what it says; refused.")
        if name.startswith("/") or "\\" in name or ":" in name or ".." in PurePosixPath(name).parts:
            raise SavingError(f"'{self.path}' holds a member whose name leaves the archive: {name!r}. Refused.")
        if member.file_size > FREE_BYTES and member.file_size > MOST_EXPANSION * member.compress_size:
            raise SavingError(
                f"Member '{name}' of '{self.path}' unpacks from {member.compress_size} to {member.file_size} bytes, "
                f"more than {MOST_EXPANSION} times. Refused as a decompression bomb."
            )
        self._members[name] = member
        if name.startswith(f"{ASSETS}/") and not name.endswith("/"):
            self._assets.append(name)

    def names(self) -> list[str]:
        """Returns the names of all members."""
        return list(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str, most: int | None = None) -> bytes:
        """Returns a member's content.

        Args:
            name: of the member.
            most: bytes that it may have, if there is a limit of its own.

        Raises:
            SavingError: it is missing, damaged or too large.
        """
        if name not in self._members:
            raise SavingError(
                f"'{self.path}' has no member '{name}', so it is not a complete Keras model. It holds: "
                f"{', '.join(sorted(self._members)[:20]) or 'nothing'}."
            )
        size = self._members[name].file_size
        if most is not None and size > most:
            raise SavingError(f"Member '{name}' of '{self.path}' has {size} bytes; at most {most} are read. Refused.")
        self.room -= size
        if self.room < 0:
            raise SavingError(
                f"The members of '{self.path}' unpack to more than {MOST_EXPANSION} times the size of the file, with "
                f"'{name}'. Refused as a decompression bomb."
            )
        try:
            return self._file.read(name)
        except _BROKEN as error:
            raise SavingError(f"Member '{name}' of '{self.path}' is damaged: {error}.") from error

    def assets(self, path: str) -> dict[str, bytes]:
        """Returns the asset files of the layer at a path, by their path in its folder."""
        folder = f"{ASSETS}/{path}/" if path else f"{ASSETS}/"
        inside = takewhile(lambda name: name.startswith(folder), self._assets[bisect_left(self._assets, folder) :])
        return {name[len(folder) :]: self.read(name) for name in inside}


@contextmanager
def open_archive(file: BinaryIO, path: str, size: int) -> Iterator[Archive]:
    """Opens a zip archive for reading.

    Args:
        file: its content. path: for messages. size: of the file, in bytes.

    Raises:
        SavingError: it is not a whole archive, or not one to trust.
    """
    try:
        archive = zipfile.ZipFile(_Careful(file))
    except _BROKEN as error:
        raise SavingError(
            f"'{path}' is not a whole `.keras` zip archive: {error}. It may be cut off or damaged."
        ) from error
    with archive:
        yield Archive(archive, path, size)


class _Careful:
    """A file of which the list of an archive's members is read only if it is of a reasonable size.

    `zipfile` makes an object of half a kilobyte for each of them before anybody can look at their number.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        start = self._file.read(min(size, 4) if size >= 0 else 4)
        if size > MOST_DIRECTORY_BYTES and start == b"PK\x01\x02":
            raise zipfile.BadZipFile(f"the list of its members takes {size} bytes")
        return start + self._file.read(size - len(start) if size >= 0 else -1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def pack(members: Mapping[str, bytes], file: Any) -> None:
    """Writes a zip archive of members, stored as Keras does. The same members give the same bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = 0o644 << 16
            archive.writestr(member, content)
