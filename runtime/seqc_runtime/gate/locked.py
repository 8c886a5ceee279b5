"""Temporary directories that go with the process that made them, also when it was killed.

Each is locked while its process lives; the kernel lets go of the lock. Where there are no such locks, what a process
that was killed left behind stays.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

_PREFIX = "seqc-model-"


def make_locked() -> tuple[Path, int | None]:
    """A new directory (mode 0700), and the descriptor that holds its lock, None where there is none."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        if sys.platform == "win32":
            return path, None
        handle, locked = _lock(path)
        # Somebody who looks for abandoned ones was quicker.
        if locked is not False and path.exists():
            return path, handle
        os.close(handle)


def remove_abandoned() -> None:
    """Remove the directories that processes of this user left behind when they were killed."""
    if sys.platform == "win32":
        return
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            status = path.lstat()
            if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
                continue
            handle, locked = _lock(path)
        except OSError:
            continue
        if locked:
            shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


if sys.platform != "win32":
    import fcntl

    def _lock(path: Path) -> tuple[int, bool | None]:
        """A descriptor of a directory, and whether it is locked now; None where it cannot be."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return handle, False
        except OSError:
            return handle, None
        return handle, True
