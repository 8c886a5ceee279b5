"""What seqc says to people while it works."""

from __future__ import annotations

import os
import sys
import warnings

from seqc.text import printable

_HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep


def note(text: str, warn: bool = False) -> None:
    """Prints a line on standard output, or issues a warning."""
    text = printable(text)
    if warn:
        warnings.warn(text, stacklevel=_level())
    else:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _level() -> int:
    """Returns the stack level of the first caller outside seqc, so that a warning shows the user's own line."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        level, frame = level + 1, frame.f_back
    return level
