"""Try a model in a process of its own, which is restricted before it reads the first byte of it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from seqc_runtime.errors import RuntimeModelError
from seqc_runtime.gate.limits import Limits, RefusedError
from seqc_runtime.providers import ONNXRUNTIME

# Nothing of the caller's environment but how to find libraries: it may hold secrets.
_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "TEMP")
_ALONE = {
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}
_START = (
    "import json, sys; job = json.loads(sys.argv[1]); sys.path += job['paths']; "
    "from seqc_runtime.gate.child import main; main(job)"
)
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt/lib", "/nix/store")
# What NumPy and onnxruntime read of the system: their libraries' index, the processor, random numbers.
_SYSTEM = ("/etc/ld.so.cache", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system", "/dev/null", "/dev/urandom")
_MOST_OUTPUT = 1 << 16
_MOST_SHOWN = 2000
# Seconds for what was said to be read after the process has ended.
_LAST_WORDS = 5.0


def try_model(target: Path, name: str, size: int, config: Mapping[str, str], limits: Limits) -> tuple[str, ...]:
    """Load and run a model in a new process. Returns what that process was protected by.

    Raises RefusedError when the model fails there, RuntimeModelError when there is no such process.
    """
    command = [sys.executable, "-I", "-S", "-B", "-c", _START, json.dumps(_job(target, name, size, config, limits))]
    environment = {key: os.environ[key] for key in _KEPT if key in os.environ} | _ALONE
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=target.parent,
            start_new_session=True,
        )
    except (OSError, TypeError) as error:
        raise RuntimeModelError(f"{name} cannot be tried in a process of its own: {error}") from error
    output, late = _watched(child, limits.time)
    return _judged(output, child.returncode, late, name, limits)


def _job(target: Path, name: str, size: int, config: Mapping[str, str], limits: Limits) -> dict[str, Any]:
    packages = [_package(module) for module in ("seqc_runtime", "numpy", ONNXRUNTIME)]
    own, *others = packages
    roots = [Path(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib")]
    roots += [Path(prefix) / "lib" for prefix in {sys.base_prefix, sys.prefix}]
    roots += [Path(path) for path in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if path]
    readable = [target.parent, own, *(package.parent for package in others), *roots]
    return {
        "target": str(target),
        "name": name,
        "config": dict(config),
        "paths": list(dict.fromkeys(str(package.parent) for package in packages)),
        "readable": [*(str(path) for path in readable), *_LIBRARIES, *_SYSTEM],
        "listable": [str(own.parent)],
        "memory": limits.memory + 4 * size,
        "cpu": limits.cpu,
        "require": sorted(limits.require),
    }


def _package(module: str) -> Path:
    """The directory of a package."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise RuntimeModelError(f"a model cannot be tried without {module}, which is not installed")
    return Path(spec.origin).parent


def _watched(child: subprocess.Popen[bytes], seconds: float) -> tuple[bytes, bool]:
    """What a process says, to a limit, and whether it was ended because it took too long or said too much."""
    parts: list[bytes] = []
    read, ended = threading.Event(), threading.Event()

    def collect(stream: IO[bytes]) -> None:
        with stream:
            parts.append(stream.read(_MOST_OUTPUT))
            read.set()
            ended.wait()

    reader = threading.Thread(target=collect, args=(child.stdout,), daemon=True)
    reader.start()
    end = time.monotonic() + seconds
    try:
        late = not read.wait(seconds)
        if not late:
            # It has closed its output, or filled it: nothing that follows matters.
            try:
                child.wait(0 if len(parts[0]) >= _MOST_OUTPUT else max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                late = True
    finally:
        _end(child)
        ended.set()
        reader.join(_LAST_WORDS)
        if reader.is_alive():
            # Something it left behind, where the system does not keep it from that, still holds its output.
            late = True
    return b"".join(parts), late


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a process, and those it started that are still of its group."""
    # Until it was waited for, its number is nobody else's.
    if child.returncode is None and hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            if os.getpgid(child.pid) == child.pid:
                os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.wait()


def _judged(output: bytes, code: int, late: bool, name: str, limits: Limits) -> tuple[str, ...]:
    lines = output.decode("utf-8", "replace").splitlines()
    # Libraries may warn while they are imported; the first answer comes before the model is read.
    protection = next((told for line in lines if (told := _answer(line).get("protection")) is not None), None)
    if not isinstance(protection, list):
        said = " ".join(lines)[-_MOST_SHOWN:]
        raise RuntimeModelError(f"{name} cannot be tried in a process of its own, which says: {said or f'exit {code}'}")
    missing = sorted(limits.require - set(protection))
    if missing:
        raise RuntimeModelError(
            f"{name} is not tried: this system cannot protect the process that would do it by {', '.join(missing)} "
            f"(it has {', '.join(protection) or 'nothing'}); seqc_runtime.gate.Limits(require=...) lets less do"
        )
    if late:
        raise RefusedError(f"it was not loaded and run within {limits.time:g} seconds, or said too much")
    verdict = _answer(lines[-1])
    if "error" in verdict:
        raise RefusedError(str(verdict["error"])[:_MOST_SHOWN])
    if code != 0 or verdict.get("loaded") is not True:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        said = " ".join(lines[1:])[-_MOST_SHOWN:]
        raise RefusedError(f"it ended the process that loaded it ({how})" + (f", which said: {said}" if said else ""))
    return tuple(str(part) for part in protection)


def _answer(line: str) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
