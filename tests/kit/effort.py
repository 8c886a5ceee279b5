"""How much the slow tests do: what finds a mistake of each kind, or, with `SEQC_THOROUGH=1`, all there is.

What is spared is repetition: more draws of a property, more places of an interruption, every row of a table with every
other. Each row still has its turn, with one of the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

import pytest

T = TypeVar("T")
THOROUGH = os.environ.get("SEQC_THOROUGH", "0") not in {"", "0"}
# What only a thorough run has time for, and others look at in part.
thorough_only = pytest.mark.skipif(not THOROUGH, reason="SEQC_THOROUGH=1 runs it")


def effort(usual: int, thorough: int) -> int:
    """Returns a count: of examples, of rounds, of instructions from one interruption to the next."""
    return thorough if THOROUGH else usual


def turn(items: Iterable[T], number: int, of: int) -> list[T]:
    """Returns the items whose turn it is: of any `of` numbers in a row each item has one. All in a thorough run."""
    return list(items) if THOROUGH else list(items)[number % of :: of]
