"""Compares seqc with Keras, if there is an interpreter that has it, and prints a table.

    python benchmarks/run.py [--rounds 3] [--write]

SEQC_PEER_PYTHON names an interpreter with Keras 3; KERAS_BACKEND is passed on (jax by default). Frameworks are run in
turn, each in a fresh process; the median over the rounds counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from workloads import WORKLOADS  # noqa: E402  (needs the path above)

Results = dict[tuple[str, str], dict[str, float]]


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write the table to benchmarks/RESULTS.md")
    options = parser.parse_args()
    frameworks = {"seqc": sys.executable}
    if peer := os.environ.get("SEQC_PEER_PYTHON"):
        frameworks["keras"] = peer
    text = report(measure(frameworks, options.rounds), list(frameworks), options.rounds)
    print(text)
    if options.write:
        write(HERE / "RESULTS.md", text)


def write(path: Path, text: str) -> None:
    """Replaces the table; what stands from the heading "Notes" on is kept."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    _, heading, notes = old.partition("\n## Notes\n")
    path.write_text(f"{text}\n{heading}{notes}", encoding="utf-8")


def measure(frameworks: dict[str, str], rounds: int) -> Results:
    """Returns the median of every figure by framework and workload."""
    runs: dict[tuple[str, str], list[dict[str, float]]] = {}
    # Compiled modules are kept, as they are for a user from the second start on.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for number in range(rounds):
        for name in WORKLOADS:
            for framework, interpreter in frameworks.items():
                print(f"round {number + 1}/{rounds}: {name} on {framework}", file=sys.stderr)
                command = [interpreter, str(HERE / "worker.py"), framework, name]
                done = subprocess.run(command, capture_output=True, text=True, cwd=HERE, env=environment)
                if done.returncode:
                    raise SystemExit(f"{framework} failed on {name}:\n{done.stderr}")
                runs.setdefault((framework, name), []).append(json.loads(done.stdout.splitlines()[-1]))
    return {
        key: {figure: statistics.median(one[figure] for one in ones) for figure in ones[0]}
        for key, ones in runs.items()
    }


def report(results: Results, frameworks: list[str], rounds: int) -> str:
    """Returns the table in Markdown."""
    lines = ["# Results", "", *conditions(frameworks, rounds), ""]
    lines += ["| workload | " + " | ".join(COLUMNS) + " |", "|---|" + "---|" * len(COLUMNS)]
    for name, workload in WORKLOADS.items():
        ours, peer = results["seqc", name], results.get(("keras", name))
        cells = [str(workload.batch)]
        for figure, digits in (("step_ms", 1), ("first_step_s", 2), ("peak_mib", 0)):
            cells.append(f"{ours[figure]:.{digits}f}")
            cells.append("absent" if peer is None else f"{peer[figure]:.{digits}f}")
        cells += [f"{ours['numpy_ms']:.2f}", f"{ours['onnxruntime_ms']:.2f}"]
        cells.append(f"{ours['numpy_ms'] / ours['onnxruntime_ms']:.1f}x")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    imports = [f"{f}: {results[f, 'mlp']['import_s']:.2f} s" for f in frameworks]
    return "\n".join([*lines, "", f"Import alone: {', '.join(imports)}."])


COLUMNS = (
    "batch",
    "training step, ms",
    "the same in Keras",
    "start to first step, s",
    "the same in Keras",
    "peak memory, MiB",
    "the same in Keras",
    "predict NumPy, ms",
    "predict onnxruntime, ms",
    "ratio",
)


def conditions(frameworks: list[str], rounds: int) -> list[str]:
    """Returns what was measured with what, as sentences."""
    import numpy

    import seqc

    versions = [f"seqc {seqc.__version__}", f"NumPy {numpy.__version__}", f"Python {platform.python_version()}"]
    if "keras" in frameworks:
        code = "import keras; print('Keras', keras.__version__, 'on', keras.backend.backend())"
        environment = {"KERAS_BACKEND": "jax", **os.environ}
        interpreter = os.environ["SEQC_PEER_PYTHON"]
        shown = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, env=environment, check=True)
        versions.append(shown.stdout.split("\n")[-2])
    else:
        versions.append("Keras absent (set SEQC_PEER_PYTHON to compare)")
    return [
        f"`make bench` on {os.cpu_count()} cores ({platform.machine()}): {', '.join(versions)}.",
        f"Each figure is the median of {rounds} fresh processes, frameworks in turn; a step is from the faster of two"
        " epochs.",
        "Columns of Keras show its figures in the same run. Compare ratios, not single figures: machines drift.",
    ]


if __name__ == "__main__":
    main()
