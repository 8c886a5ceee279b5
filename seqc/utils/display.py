"""What seqc says to people while it works."""

from __future__ import annotations

import sys
import warnings


def note(text: str, warn: bool = False) -> None:
    """Prints a line on standard output, or issues a warning."""
    if warn:
        warnings.warn(text, stacklevel=3)
    else:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
