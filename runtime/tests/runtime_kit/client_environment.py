"""Environments for clients that nobody here wrote, one each, so that what they need does not meet what we need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[3] / ".client-environments"


def environment(name: str, *packages: str) -> Path:
    """The Python of an environment with these packages; a skip where they cannot be installed."""
    python = HOME / name / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = HOME / name / "installed"
    if not done.is_file():
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", HOME / name], check=True)
        # Our pip for another Python: one of its own would take longer to install than all else.
        pip: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "--quiet",
            "--disable-pip-version-check",
        ]
        tried = subprocess.run(
            [*pip, "install", "--no-compile", *packages], capture_output=True, text=True, check=False
        )
        if tried.returncode != 0:
            pytest.skip(f"{packages[0]} cannot be installed: {(tried.stderr.strip() or 'no word').splitlines()[-1]}")
        done.touch()
    return python


def clean_environment() -> dict[str, str]:
    """Variables for a program of such an environment, which must not find our packages."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
