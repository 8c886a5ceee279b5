"""What trials found, kept beside the output as lines of JSON, so that a later run need not do them again.

A line is written in one go and reaches the disk before the next trial begins. Whatever ends a run, Ctrl-C or a machine
that fails, the lines before are whole; half a line is passed over.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from seqc.errors import PathError
from seqc.utils.files import check_target

_START = b'{"key": "'


def digest(*parts: Any) -> str:
    """Returns a hash of things that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _is_own(line: bytes) -> bool:
    """Tells whether a line begins as those of a log, of which one may be broken off anywhere."""
    return line.startswith(_START) or (bool(line) and _START.startswith(line))


class TrialLog:
    """The log in a file.

    Args:
        path: of the file, which need not be there yet; None to remember nothing beyond this run.

    Raises:
        PathError, MissingFolderError: the file cannot be read, or written, or is something else than a log.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = None if path is None else Path(path)
        self._known: dict[str, dict[str, Any]] = {}
        self._broken = False
        if self.path is None:
            return
        check_target(self.path)
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise PathError(f"Cannot read '{self.path}': {error.strerror}.") from error
        if content and not any(map(_is_own, content.splitlines())):
            raise PathError(f"'{self.path}' is there, and no log of trials: give another file for the log.")
        self._broken = bool(content) and not content.endswith(b"\n")
        for line in content.splitlines():
            try:
                entry = json.loads(line)
                self._known[str(entry["key"])] = dict(entry["found"])
            except (ValueError, TypeError, KeyError):  # half a line, or one of something else
                continue

    def find(self, key: str) -> dict[str, Any] | None:
        """Returns what a trial found, None where it was not done yet."""
        return self._known.get(key)

    def add(self, key: str, found: dict[str, Any]) -> None:
        """Keeps what a trial found.

        Raises:
            PathError: the disk is full, or fails.
        """
        self._known[key] = found
        if self.path is None:
            return
        # What is broken off gets a line of its own.
        line = ("\n" if self._broken else "") + json.dumps({"key": key, "found": found}) + "\n"
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                left = memoryview(line.encode())
                while left:
                    left = left[os.write(handle, left) :]
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise PathError(f"Cannot write '{self.path}': {error.strerror}.") from error
        self._broken = False
