"""The processor that trials ran on."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path


@cache
def processor() -> str:
    """Returns what decides how fast and how exactly this machine computes in eight bits, as a text to compare."""
    found = _cpu_info()
    name = found.get("model name") or platform.processor() or platform.machine()
    return f"{name} | {platform.machine()} | {os.cpu_count()} | {' '.join(sorted(_flags(found)))}"


@cache
def needs_seven_bits() -> bool:
    """Tells whether sums of two products in eight bits saturate here: on x86 without the instructions for them."""
    flags = _flags(_cpu_info())
    return platform.machine().lower() in ("x86_64", "amd64") and bool(flags) and not any("vnni" in f for f in flags)


def _cpu_info() -> dict[str, str]:
    """Returns what Linux says of the first processor, nothing elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _flags(info: dict[str, str]) -> set[str]:
    return set((info.get("flags") or info.get("Features") or "").split())
