"""Scan models as the gate does, in a process that has little memory, and tell what each costs.

python gate_scans.py MEBIBYTES      models on standard input, each after its length in 8 bytes; a line of JSON for each
"""

from __future__ import annotations

import json
import resource
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import seqc_runtime
from seqc_runtime.gate import DEFAULT, Limits
from seqc_runtime.gate.limits import RefusedError
from seqc_runtime.gate.scan import scan_model
from seqc_runtime.source import check_kind, check_model
from seqc_runtime.wire import MalformedError


def look_at(data: bytes, limits: Limits = DEFAULT) -> dict[str, Any]:
    """What the gate finds out of a file by looking, in its order."""
    try:
        check_kind(data, "it")
        externals = scan_model(data, limits)
        facts = check_model(data, "it", limits.bounds)
    except (RefusedError, MalformedError, seqc_runtime.RuntimeModelError) as error:
        return {"refused": str(error)}
    return {"locations": sorted({e.location for e in externals}), "operators": sorted(facts.operators)}


class Scanner:
    """Looks at models in a process of its own."""

    def __init__(self, mebibytes: int = 1024) -> None:
        self._child = subprocess.Popen(
            [sys.executable, __file__, str(mebibytes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._given, self._said = self._child.stdin, self._child.stdout

    def __call__(self, data: bytes) -> dict[str, Any]:
        """What was found, and `seconds` of CPU time and `bytes` of memory that it took."""
        self._given.write(struct.pack("<Q", len(data)) + data)
        self._given.flush()
        line = self._said.readline()
        assert line, f"the process was ended ({self._child.wait(10)})"
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        self._given.close()
        self._said.close()
        self._child.wait()


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


def main(mebibytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (mebibytes << 20,) * 2)
    while head := sys.stdin.buffer.read(8):
        data = sys.stdin.buffer.read(*struct.unpack("<Q", head))
        Path("/proc/self/clear_refs").write_text("5")
        before, start = _peak(), time.process_time()
        found = look_at(data)
        found |= {"seconds": time.process_time() - start, "bytes": _peak() - before}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
