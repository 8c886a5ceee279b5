"""How much the slow tests do: what finds a mistake of each kind, or, with `SEQC_THOROUGH=1`, more of the same."""

from __future__ import annotations

import os

import pytest

THOROUGH = os.environ.get("SEQC_THOROUGH", "0") not in {"", "0"}
# What only a thorough run has time for, and others look at in part.
thorough_only = pytest.mark.skipif(not THOROUGH, reason="SEQC_THOROUGH=1 runs it")


def effort(usual: int, thorough: int) -> int:
    """Returns a count: of examples, rounds, seconds or requests."""
    return thorough if THOROUGH else usual
