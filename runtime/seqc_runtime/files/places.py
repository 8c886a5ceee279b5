"""Writing a file so that nobody ever sees half of it."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from seqc_runtime.errors import RuntimeArgumentError


def check_target(target: Path) -> None:
    """Find what keeps a file from being written before time is spent on it. Raises RuntimeArgumentError."""
    if target.is_dir():
        raise RuntimeArgumentError(f"{str(target)!r} is a folder: a file was expected")
    if not target.absolute().parent.is_dir():
        raise RuntimeArgumentError(f"there is no folder {str(target.parent)!r} to write {target.name!r} into")
    if not os.access(target.absolute().parent, os.W_OK):
        raise RuntimeArgumentError(f"{str(target.parent)!r} may not be written to")


def temporary_beside(target: Path) -> Path:
    """A name for what will become `target`, in the same folder, so that it can be renamed at once."""
    return target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")


@contextlib.contextmanager
def naming(target: Path) -> Iterator[None]:
    """Let errors of the system in the block, such as a full disk, say which file they are about."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(target)
        raise


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write to; it becomes `target` when the block ends well, and is gone when it does not."""
    part = temporary_beside(target)
    try:
        yield part
        with naming(target):
            _flush(part)
            os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
