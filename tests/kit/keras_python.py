"""The interpreter that has Keras, for tests that run both libraries: SEQC_KERAS_PYTHON names it."""

from __future__ import annotations

import os

import pytest


def keras_python() -> str:
    """Returns its path; skips the test where there is none, and so comes before all other work of it."""
    python = os.environ.get("SEQC_KERAS_PYTHON")
    if not python:
        pytest.skip("needs Keras: set SEQC_KERAS_PYTHON to an interpreter that has it")
    return python
