"""What is compared: who runs it, with which interpreter, and how one measurement is taken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORKER = Path(__file__).resolve().with_name("worker.py")
# Seconds after which a measurement has failed.
LONGEST = 300
# Variables with which some machines make OpenBLAS use an older kernel than the processor has.
FORCING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")

# What was measured, or why it failed.
Outcome = dict[str, float] | str


@dataclass(frozen=True)
class Framework:
    """One way to train.

    Attributes:
        title: its column. module: what worker.py is told. variable: names the environment variable with the interpreter
        to run it; "" for the one that runs this. environment: what it is given. distributions: whose versions matter,
        the first of which must be there.
    """

    name: str
    title: str
    module: str
    variable: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    distributions: tuple[str, ...] = ()

    @property
    def interpreter(self) -> str | None:
        """The interpreter's path, None if the framework is absent."""
        if not self.variable:
            return sys.executable
        path = os.environ.get(self.variable)
        return path if path and Path(path).is_file() else None

    def versions(self) -> dict[str, str] | None:
        """Returns the versions of Python and the distributions, None if the framework is absent."""
        if self.interpreter is None:
            return None
        found = self.run("versions", ",".join(self.distributions))
        return None if isinstance(found, str) or self.distributions[0] not in found else found

    def run(self, *arguments: str) -> Any:
        """Runs worker.py and returns what it measured, or as text why it failed."""
        command = [self.interpreter or "", str(WORKER), *arguments]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                cwd=WORKER.parent,
                env=self.environment_of_run(),
                timeout=LONGEST,
            )
        except subprocess.TimeoutExpired:
            return f"took longer than {LONGEST} s"
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            return lines[-1][:200] if lines else f"ended with {done.returncode}"
        return json.loads(done.stdout.splitlines()[-1])

    def environment_of_run(self) -> dict[str, str]:
        """Returns the environment of a process that measures."""
        # Compiled modules are kept, as they are for a user from the second start on.
        ours = {"PYTHONDONTWRITEBYTECODE", "SEQC_NUM_THREADS", "SEQC_EXECUTOR", "KERAS_BACKEND", *FORCING}
        return {name: value for name, value in os.environ.items() if name not in ours} | dict(self.environment)


def train(framework: Framework, workload: str, options: Sequence[str] = ()) -> Outcome:
    """Returns one measurement of a training in a fresh process."""
    outcome: Outcome = framework.run(framework.module, workload, "--started", f"{time.time():.3f}", *options)
    return outcome


def _keras(backend: str, title: str, variable: str, *distributions: str) -> Framework:
    name = f"keras-{backend}"
    return Framework(name, title, "keras", variable, {"KERAS_BACKEND": backend}, (*distributions, "keras"))


SEQC = Framework("seqc", "seqc", "seqc", distributions=("seqc", "numpy", "onnxruntime"))
PEERS = (
    _keras("tensorflow", "Keras on TensorFlow", "SEQC_PEER_TENSORFLOW", "keras", "tensorflow", "tensorflow-cpu"),
    _keras("jax", "Keras on JAX", "SEQC_PEER_JAX", "jax"),
    _keras("torch", "Keras on PyTorch", "SEQC_PEER_TORCH", "torch"),
    Framework("torch", "PyTorch", "torch", "SEQC_PEER_TORCH", {}, ("torch",)),
    Framework("torch-compiled", "PyTorch, compiled", "torch-compiled", "SEQC_PEER_TORCH", {}, ("torch",)),
)
ONE_THREAD = Framework("seqc-1", "seqc, 1 thread", "seqc", environment={"SEQC_NUM_THREADS": "1"})
NAIVE = Framework("seqc-naive", "seqc, naive", "seqc", environment={"SEQC_EXECUTOR": "naive"})
FRAMEWORKS = {f.name: f for f in (*PEERS, SEQC, ONE_THREAD, NAIVE)}
# The naive executor takes a whole batch through one operation after the other; these rows show what that costs.
NAIVE_WORKLOADS = ("cnn", "vggbn")
