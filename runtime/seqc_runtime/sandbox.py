"""Take from this process, for good, what loading a model does not need: files, network, processes, memory without end.

Everything is asked of the Linux kernel by ctypes; where it, or another system, has less, what was applied is told.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from seqc_runtime.seccomp import deny_calls

_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION = 0x20080522
# landlock_create_ruleset, landlock_add_rule, landlock_restrict_self: the same numbers on every architecture but alpha.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# Rights over files by ABI version: 13 in the first, then refer, truncate, and ioctl of devices in the fifth.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP, _TCP_ABI = 0b11, 4
_SCOPES, _SCOPES_ABI = 0b11, 6


def restrict(readable: Iterable[Path], listable: Iterable[Path], memory: int, seconds: float) -> list[str]:
    """Restrict this process, which must have one thread.

    readable: files, and directories with all that is in them, that it may go on to read. listable: directories whose
    names it may read. memory: bytes of address space. seconds: of CPU time, from its start.

    Returns what was applied, of: no_new_privs, landlock (no other file can be opened, and none written), landlock_net
    (no TCP), landlock_scope (no signals to others), capabilities (root has no privileges), rlimits, seccomp (no
    network, no other processes, and nothing of theirs).
    """
    applied: list[str] = []
    # What is restricted is one thread and those it starts. Soon /proc cannot be asked any more.
    alone = threads() == 1
    if sys.platform == "linux":
        # Where memory is short, this process is what the kernel ends, and not the one that serves.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
            applied.append("no_new_privs")
        applied += _landlock(libc, readable, listable) if alone else []
        if _drop_capabilities(libc):
            applied.append("capabilities")
    if _limit(memory, seconds):
        applied.append("rlimits")
    if "no_new_privs" in applied and alone and deny_calls():
        applied.append("seccomp")
    return applied


def threads() -> int | None:
    """How many threads this process has, None where that cannot be told."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return None


def _landlock(libc: ctypes.CDLL, readable: Iterable[Path], listable: Iterable[Path]) -> list[str]:
    call = libc.syscall
    call.restype = ctypes.c_long
    abi = call(ctypes.c_long(_CREATE), None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    if abi < 1:
        return []
    rights = _FILE_RIGHTS[max(version for version in _FILE_RIGHTS if version <= abi)]
    size = 8 + 8 * (abi >= _TCP_ABI) + 8 * (abi >= _SCOPES_ABI)
    attributes = struct.pack("=QQQ", rights, _TCP, _SCOPES)[:size]
    rules = call(ctypes.c_long(_CREATE), attributes, ctypes.c_size_t(size), ctypes.c_uint32(0))
    if rules < 0:
        return []
    try:
        for paths, allowed in ((readable, _READ_FILE | _READ_DIR), (listable, _READ_DIR)):
            for path in paths:
                _allow(call, rules, path, allowed)
        if call(ctypes.c_long(_RESTRICT), ctypes.c_int(rules), ctypes.c_uint32(0)) != 0:
            return []
    finally:
        os.close(rules)
    return ["landlock"] + ["landlock_net"] * (abi >= _TCP_ABI) + ["landlock_scope"] * (abi >= _SCOPES_ABI)


def _allow(call: ctypes._NamedFuncPointer, rules: int, path: Path, allowed: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # What is not there cannot be read either.
    try:
        if not path.is_dir():
            allowed &= _READ_FILE
        rule = struct.pack("=Qi", allowed, handle)
        call(ctypes.c_long(_ADD), ctypes.c_int(rules), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(handle)


def _drop_capabilities(libc: ctypes.CDLL) -> bool:
    header, none = struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24)
    return bool(libc.capset(header, none) == 0)


def _limit(memory: int, seconds: float) -> bool:
    try:
        import resource
    except ImportError:
        return False
    limits = {
        "AS": memory,
        "CPU": math.ceil(seconds),
        "NOFILE": 64,
        "FSIZE": 0,
        "CORE": 0,
        "NPROC": 0,
        "MEMLOCK": 0,
        "MSGQUEUE": 0,
    }
    done = set()
    for name, value in limits.items():
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
            done.add(name)
    return {"AS", "CPU", "FSIZE"} <= done
