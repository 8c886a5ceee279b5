"""How many CPUs this process may really use: CPU affinity and cgroup quotas, not the size of the host.

Functions that read the system take `root`, the directory that stands for `/`.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from seqc_runtime.errors import RuntimeArgumentError

# More than any machine has CPUs; onnxruntime starts as many as it is told, for minutes or until the system gives up.
MOST_THREADS = 1024


@dataclass(frozen=True)
class CpuBudget:
    """CPUs in the affinity mask, and the cgroup CPU quota in CPUs (None when there is no quota)."""

    affinity: int
    quota: float | None

    @property
    def cpus(self) -> int:
        """Whole CPUs to plan for: min(affinity, quota rounded up), at least 1."""
        if self.quota is None:
            return self.affinity
        return max(1, min(self.affinity, math.ceil(self.quota)))

    def spins(self, threads: int, asked: bool | None) -> bool:
        """Whether idle workers busy-wait: as asked, else only where that takes nothing from anybody."""
        return self.may_spin(threads) if asked is None else asked

    def may_spin(self, threads: int) -> bool:
        """Whether idle workers may busy-wait: only if each has a CPU of its own and no quota is spent by waiting."""
        return self.quota is None and threads <= self.affinity


def cpu_budget(root: Path = Path("/")) -> CpuBudget:
    """The budget of this process, now."""
    return CpuBudget(affinity_count(), cgroup_quota(root))


def check_threads(threads: object) -> None:
    """Raise RuntimeArgumentError unless `threads` is None or a number of threads that can be started."""
    if threads is None or (type(threads) is int and 1 <= threads <= MOST_THREADS):
        return
    raise RuntimeArgumentError(f"threads needs a positive integer or None, {MOST_THREADS} at most; got {threads!r}")


def affinity_count() -> int:
    """CPUs this process may be scheduled on; all CPUs where the system has no affinity masks (macOS, Windows)."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def cgroup_quota(root: Path = Path("/")) -> float | None:
    """The tightest CPU quota, in CPUs, over this process's cgroup and all its ancestors; None when there is none.

    Reads cgroup v2 (`cpu.max`) and v1 (`cpu.cfs_quota_us`) at their conventional mount points.
    Files that are missing or malformed set no limit.
    """
    quotas = []
    for controllers, path in _memberships(root):
        if controllers == "":
            mounts, read = ["sys/fs/cgroup", "sys/fs/cgroup/unified"], _quota_v2
        elif "cpu" in controllers.split(","):
            mounts, read = ["sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/cpuacct,cpu"], _quota_v1
        else:
            continue
        for mount in mounts:
            quotas += [read(directory) for directory in _self_and_ancestors(root / mount, path)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _memberships(root: Path) -> list[tuple[str, str]]:
    """(controllers, path) of each line of /proc/self/cgroup; a v2 line has no controllers."""
    rows = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            rows.append((parts[1], parts[2]))
    return rows


def _self_and_ancestors(mount: Path, path: str) -> list[Path]:
    # A cgroup outside the namespace reads "/../x"; only the mount's own root is visible then.
    parts = PurePosixPath(path).parts[1:]
    if ".." in parts:
        parts = ()
    return [mount.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]


def _quota_v2(directory: Path) -> float | None:
    fields = _read(directory / "cpu.max").split()
    return _ratio(fields[0], fields[1]) if len(fields) == 2 else None


def _quota_v1(directory: Path) -> float | None:
    return _ratio(_read(directory / "cpu.cfs_quota_us"), _read(directory / "cpu.cfs_period_us"))


def _ratio(quota: str, period: str) -> float | None:
    try:
        microseconds, per = int(quota), int(period)
    except ValueError:
        return None
    return microseconds / per if microseconds > 0 and per > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
