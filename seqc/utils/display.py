"""What seqc says to people while it works."""

from __future__ import annotations

import os
import sys
import warnings

from seqc.text import message

_HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_interactive = True


def enable_interactive_logging() -> None:
    """Lets what is said go to standard output, as by default."""
    global _interactive
    _interactive = True


def disable_interactive_logging() -> None:
    """Lets what is said go to Python's logger "seqc" at the level of INFO, as suits a program that nobody watches."""
    global _interactive
    _interactive = False


def is_interactive_logging_enabled() -> bool:
    """Tells whether what is said goes to standard output."""
    return _interactive


class LogLines:
    """A text file of which the logger "seqc" gets the lines."""

    def write(self, text: str) -> int:
        import logging

        for line in text.splitlines():
            if line.strip():
                logging.getLogger("seqc").info(line)
        return len(text)

    def flush(self) -> None:
        """Does nothing: lines are logged at once."""


def say(text: str) -> None:
    """Writes text, with the ends of its lines, to standard output; or to the logger, where that is asked for."""
    if not _interactive:
        LogLines().write(text.strip("\r\b"))
        return
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        sys.stdout.write(text.replace("━", "=").encode(encoding, "ignore").decode(encoding))
    sys.stdout.flush()


def note(text: str, warn: bool = False) -> None:
    """Says a line, or issues a warning."""
    text = message(text)
    if warn:
        warnings.warn(text, stacklevel=_level())
    else:
        say(text + "\n")


def _level() -> int:
    """Returns the stack level of the first caller outside seqc, so that a warning shows the user's own line."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        level, frame = level + 1, frame.f_back
    return level
