"""How much the slow tests do: what finds a mistake of each kind, or, with `SEQC_THOROUGH=1`, more of the same."""

from __future__ import annotations

import os

THOROUGH = os.environ.get("SEQC_THOROUGH", "0") not in {"", "0"}


def effort(usual: int, thorough: int) -> int:
    """Returns a count: of examples, rounds, seconds or requests."""
    return thorough if THOROUGH else usual
