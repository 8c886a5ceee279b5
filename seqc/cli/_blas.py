"""Which kernel NumPy's BLAS uses, and what it costs where the environment forces another than the processor's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from threadpoolctl import threadpool_info

# Variables that choose a kernel, or what it takes the cache for, in place of OpenBLAS.
FORCING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
# Two kernels are told apart from here on; what is measured varies by less.
NOTICEABLE = 1.15
# How often each environment is measured, in turns.
ROUNDS = 2
# Seconds within which a process that measures has to end.
LONGEST = 60


@dataclass(frozen=True)
class Forced:
    """A kernel that the environment chooses.

    Attributes:
        variables: that do. kernel: which that is. own: what OpenBLAS would choose. factor: how many times as fast the
        processor's own multiplies matrices, on one core.
    """

    variables: tuple[str, ...]
    kernel: str
    own: str
    factor: float


def kernel_name() -> str:
    """Returns the name that the BLAS which NumPy has loaded gives to its kernel; "not known" if it does not tell."""
    import numpy  # noqa: F401  (or there may be none)

    for library in threadpool_info():
        if library.get("user_api") == "blas":
            return str(library.get("architecture", "not known"))
    return "not known"


def forced_kernel() -> Forced | None:
    """Measures what the environment costs, in fresh processes; returns None where it forces nothing.

    Whoever cannot start a process is told nothing, too.
    """
    variables = tuple(name for name in FORCING if os.environ.get(name))
    if not variables:
        return None
    here = dict(os.environ)
    free = {name: value for name, value in here.items() if name not in FORCING}
    found: dict[bool, list[tuple[str, float]]] = {True: [], False: []}
    try:
        for _ in range(ROUNDS):
            for forced, environment in ((True, here), (False, free)):
                found[forced].append(_measured(environment))
    except (OSError, ValueError, KeyError, subprocess.SubprocessError):
        return None
    (kernel, rate), (own, own_rate) = (max(found[forced], key=lambda one: one[1]) for forced in (True, False))
    return Forced(variables, kernel, own, own_rate / rate)


def _measured(environment: Mapping[str, str]) -> tuple[str, float]:
    """Returns the kernel of a process with such an environment and its operations per second."""
    command = [sys.executable, "-m", "seqc.cli._gemm"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=LONGEST, check=True)
    told = json.loads(done.stdout)
    return str(told["kernel"]), float(told["rate"])
