"""Runs NVIDIA's perf_analyzer: `python -m serving.perf_analyzer -m MODEL -u HOST:PORT ...`, with its own options.

It comes with the environment `perf-analyzer`, and needs libb64.so.0d besides (Debian's libb64-0d).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from serving import environments


def run(arguments: Sequence[str], timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """Runs perf_analyzer, and returns what became of it; what it printed is in `stdout`.

    Args:
        arguments: its own. timeout: in seconds.

    Raises:
        FileNotFoundError: its environment has not been made. subprocess.TimeoutExpired: it took longer.
    """
    base = environments.place("perf-analyzer")
    program = _only(base, "unpacked/**/perf_analyzer")
    program.chmod(0o755)
    libraries = _only(base, "lib/**/libcudart.so.12").parent
    return subprocess.run(
        [str(program), *arguments],
        env=os.environ | {"LD_LIBRARY_PATH": str(libraries)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )


def _only(base: Path, pattern: str) -> Path:
    found = [path for path in base.glob(pattern) if path.is_file()]
    if not found:
        raise FileNotFoundError(
            f"there is no {pattern} in {base}: make it with python -m serving.environments {base.name}"
        )
    return found[0]


if __name__ == "__main__":
    done = run(sys.argv[1:])
    print(done.stdout, end="")
    sys.exit(done.returncode)
