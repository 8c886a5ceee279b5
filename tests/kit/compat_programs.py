"""Runs the programs of examples/compat, each in a process of its own: by seqc, and by real Keras.

`python -m kit.compat_programs [NAME ...]` in tests/, by a Python that has Keras, JAX and TensorFlow, records what the
programs print there in cases/compat_programs.json.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "compat"
RECORD = ROOT / "tests" / "cases" / "compat_programs.json"
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("made", "report"))

# Whose probabilities become so small that Keras on JAX clips them; Keras on TensorFlow and seqc go back to what the
# softmax was of.
ON_TENSORFLOW = {"image_segmentation"}
# After the few steps of this program the averages of its many normalizations are far from what they converge to, and
# its validation loss answers rounding with thousandths: seqc's two executors, which agree on its loss to seven digits,
# differ by as much.
TOLERANCE = {"image_segmentation": 3e-3}


def run(name: str, python: list[str], **variables: str) -> dict[str, Any]:
    """Returns what a program says of itself at its end.

    Args:
        name: of the program. python: the command that runs a file. variables: of its environment, besides those here.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(
        [*python, str(FOLDER / f"{name}.py")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | variables,
    )
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def run_by_seqc(name: str, folder: Path) -> dict[str, Any]:
    """Runs a program with seqc as `keras`; its model is exported to a folder."""
    return run(name, [sys.executable, "-m", "seqc.run"], COMPAT_EXPORT=str(folder))


def run_by_keras(name: str, python: str) -> dict[str, Any]:
    """Runs a program with Keras on JAX, or on TensorFlow where the program imports that."""
    source = (FOLDER / f"{name}.py").read_text()
    needs = "import tensorflow" in source or name in ON_TENSORFLOW
    quiet = {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""}
    return run(name, [python], KERAS_BACKEND="tensorflow" if needs else "jax", **quiet)


def differences(found: Any, expected: Any, where: str = "", tolerance: float = 2e-4) -> list[str]:
    """Says what differs; numbers by more than `tolerance` of their size."""
    if isinstance(expected, dict) and isinstance(found, dict) and list(found) == list(expected):
        return [
            line for key in expected for line in differences(found[key], expected[key], f"{where}/{key}", tolerance)
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return [line for place, pair in pairs for line in differences(*pair, f"{where}/{place}", tolerance)]
    if isinstance(expected, float) and isinstance(found, float | int):
        same = math.isclose(found, expected, rel_tol=tolerance, abs_tol=2e-5)
        return [] if same else [f"{where}: {found} is not {expected}"]
    return [] if found == expected else [f"{where}: {found!r} is not {expected!r}"]


def rounded(told: Any) -> Any:
    """Returns what a program said with seven digits of each number, which is what is kept."""
    if isinstance(told, dict):
        return {name: rounded(part) for name, part in told.items()}
    if isinstance(told, list):
        return [rounded(part) for part in told]
    return float(f"{told:.7g}") if isinstance(told, float) else told


def main(names: list[str]) -> None:
    kept = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for name in names or PROGRAMS:
        print(name, flush=True)
        kept[name] = rounded(run_by_keras(name, sys.executable))
        text = ",\n".join(f"{json.dumps(key)}: {json.dumps(kept[key])}" for key in sorted(kept) if key in PROGRAMS)
        RECORD.write_text(f"{{\n{text}\n}}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
