"""Files that are written whole or not at all, and read only if they are files."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from seqc.errors import MissingFolderError, PathError, SeqcError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISLNK, "a link that leads back to itself"),
)
_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def check_target(path: str | os.PathLike[str]) -> Path:
    """Finds out, before any work is done for it, whether a file can be written to a path.

    Returns:
        Where it will lie: links are followed.

    Raises:
        MissingFolderError: the folder does not exist. PathError: the path leads to something else than a regular file,
        to a file marked read-only, or into a folder that takes no new files.
    """
    target, mode = _resolve(path)
    if not target.parent.is_dir():
        raise MissingFolderError(
            f"Cannot write '{os.fspath(path)}': there is no folder '{_shown_folder(path, target)}'. Make it first."
        )
    if mode is not None:
        _require_regular(mode, path, "write")
        # Asked of the mode, not of the system: that would let an administrator replace whatever is marked as kept.
        if not mode & _WRITABLE or not os.access(target, os.W_OK):
            raise PathError(
                f"Cannot write '{os.fspath(path)}': the file is read-only (mode {stat.S_IMODE(mode):o}). Make it "
                "writable, or choose another name."
            )
    if os.fspath(path).endswith(_SEPARATORS):
        raise PathError(f"Cannot write '{os.fspath(path)}': that is the name of a folder. Give that of a file in it.")
    probe = beside(target)
    try:
        # Only trying tells: permissions, read-only disks and virtual file systems all have their own rules.
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        probe.unlink()
    except BaseException as error:
        with contextlib.suppress(OSError):
            probe.unlink()
        if not isinstance(error, OSError):
            raise
        raise PathError(
            f"Cannot write '{os.fspath(path)}': folder '{target.parent}' takes no new files ({error.strerror})."
        ) from error
    return target


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Makes a folder, and those it lies in, if it is not there.

    Raises:
        PathError: something else has its name, or the system does not allow it.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise PathError(f"Cannot make folder '{folder}': {reason(error)}.") from error
    return folder


@contextlib.contextmanager
def replace_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a new file beside a path's place, and puts it there once everything is written: nobody ever sees half.

    What was there keeps its mode, and its owner where the system allows; a new file gets what the umask leaves. The
    content is on the disk before the name is, so that a machine that fails keeps the old file or has the new one.

    Raises:
        MissingFolderError: the folder does not exist. PathError: see `check_target`; or the disk is full or fails.
        Nothing is left behind then.
    """
    target = check_target(path)
    temporary = beside(target)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        take_mode(temporary, target)
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and not isinstance(error, SeqcError):
            raise PathError(f"Cannot write '{os.fspath(path)}': {reason(error)}.") from error
        raise


def take_mode(temporary: Path, target: Path) -> None:
    """Gives a file that will take the place of another that one's mode, and its owner where the system allows."""
    with contextlib.suppress(FileNotFoundError):
        before = target.stat()
        if hasattr(os, "chown"):
            with contextlib.suppress(OSError):
                os.chown(temporary, before.st_uid, before.st_gid)
        os.chmod(temporary, stat.S_IMODE(before.st_mode))


def check_room(path: str | os.PathLike[str], size: int) -> None:
    """Finds out, before any work is done for it, whether so many bytes have room on the disk that a path is on.

    Raises:
        PathError: they have not.
    """
    folder = Path(os.path.realpath(path)).parent
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return
    if usage.total and size > usage.free:  # some file systems do not know how large they are
        raise PathError(
            f"Cannot write '{os.fspath(path)}': that takes {size:,} bytes, and the disk of folder '{folder}' has room "
            f"for {usage.free:,}. Make room, or choose another folder; what is there is only replaced at the end."
        )


def write_file(path: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Writes a file that is whole or not there; see `replace_file`."""
    with replace_file(path) as file:
        file.write(content)


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens a regular file for reading. Pipes and devices are refused at once: they may never answer, or never end.

    Raises:
        FileNotFoundError: there is none. PathError: it is something else than a file, or may not be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENXIO:  # what opening a socket gives
            _require_regular(os.stat(path).st_mode, path, "read")
        raise PathError(f"Cannot read '{os.fspath(path)}': {reason(error)}.") from error
    try:
        _require_regular(os.fstat(handle).st_mode, path, "read")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _resolve(path: str | os.PathLike[str]) -> tuple[Path, int | None]:
    """Returns where a path leads and the mode of what is there, None for nothing."""
    try:
        target = Path(os.path.realpath(path))
        return target, os.lstat(target).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return target, None
    except (OSError, ValueError) as error:
        raise PathError(f"Cannot write '{os.fspath(path)}': {reason(error)}.") from error


def _require_regular(mode: int, path: str | os.PathLike[str], verb: str) -> None:
    if stat.S_ISREG(mode):
        return
    kind = next((name for test, name in _KINDS if test(mode)), "no regular file")
    raise PathError(f"Cannot {verb} '{os.fspath(path)}': it is {kind}, not a file.")


def _shown_folder(path: str | os.PathLike[str], target: Path) -> Path:
    given = Path(path)
    return target.parent if given.is_symlink() else given.parent


def beside(target: Path) -> Path:
    """Returns a name that nothing has, in the same folder: only within one can a file be renamed in one step."""
    return target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.tmp")


def reason(error: Exception) -> str:
    """Returns why a file could not be read or written, without its name."""
    return getattr(error, "strerror", None) or str(error)
