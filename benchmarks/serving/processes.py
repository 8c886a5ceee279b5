"""A server's processes: started on one core, counted together, stopped together."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")
# Choices of kernels that are made for some machines and slow others down are not the servers'.
NOT_PASSED_ON = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONPATH")


def adopt_orphans() -> None:
    """Makes this process the parent of what its descendants leave behind, so that no process of a server gets lost."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Tree:
    """A command and all processes that come of it, on one core.

    Args:
        command: what to run. core: which to run it on. environment: variables besides this process's. log: a file for
        what it prints. cwd: the folder to run it in.
    """

    def __init__(
        self, command: Sequence[str], core: int, environment: Mapping[str, str], log: Path, cwd: Path | None = None
    ) -> None:
        variables = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                env=variables | dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=cwd,
            )

    def ended(self) -> bool:
        """Returns whether the command itself is over."""
        return self._process.poll() is not None

    def cpu_seconds(self) -> float:
        """Returns the CPU time of the processes that are alive, with that of their children that are not."""
        return sum(_cpu_seconds(pid) for pid in descendants(os.getpid()))

    def megabytes(self) -> float:
        """Returns their memory: what they share with others is divided among those (PSS)."""
        return sum(_megabytes(pid) for pid in descendants(os.getpid()))

    def count(self) -> int:
        """Returns how many processes there are."""
        return len(descendants(os.getpid()))

    def stop(self, patience_s: float = 15) -> None:
        """Asks the command to end, then ends all that is left of it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        while left := descendants(os.getpid()):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
            _reap()


def descendants(ancestor: int) -> list[int]:
    """Returns the processes that come of one, without itself and without those that are only waited for."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))) is not None and fields[0] != "Z":
            parents[int(entry)] = int(fields[1])
    found = [ancestor]
    for one in found:
        found += [pid for pid, parent in parents.items() if parent == one]
    return found[1:]


def _stat(pid: int) -> list[str] | None:
    """Returns the fields of /proc/PID/stat from the state on, None when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    return 0.0 if fields is None else sum(map(int, fields[11:15])) / TICKS


def _megabytes(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("Pss:"))


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
