"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from seqc.errors import MissingFolderError


def check_folder(path: str | os.PathLike[str]) -> None:
    """Raises MissingFolderError if the folder that a file is to lie in does not exist."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise MissingFolderError(f"Cannot write '{os.fspath(path)}': there is no folder '{folder}'. Make it first.")


def write_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file under a temporary name beside its place and renames it, so that no reader ever sees half of it.

    Raises:
        MissingFolderError: the folder does not exist. OSError: it cannot be written to. Nothing is left behind.
    """
    target = Path(path)
    check_folder(target)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
