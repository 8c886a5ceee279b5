"""Compares ONNX files of several exporters, and writes benchmarks/ONNX.md: `python -m exporters --help`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import seqc
from exporters.by_hand import write
from exporters.models import SPECS, Spec
from exporters.tables import report
from report import machine

HERE = Path(__file__).resolve().parent
REPORT = HERE.parent / "ONNX.md"
# Who exports, which variable names the interpreter that can, and what is installed there for it.
PEERS = {
    "keras": ("SEQC_PEER_TENSORFLOW", ("keras", "tensorflow-cpu", "tf2onnx")),
    "torch": ("SEQC_PEER_TORCH", ("torch", "onnxscript")),
}


def main(arguments: Sequence[str]) -> int:
    """Runs the comparison; returns 1 if an exporter failed."""
    options = _parse(arguments)
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.files or Path(temporary)
        folder.mkdir(exist_ok=True)
        for name in options.models:
            write_files(folder, name, SPECS[name])
        versions = {"seqc": seqc.__version__}
        for exporter in PEERS:
            interpreter = os.environ.get(PEERS[exporter][0])
            if interpreter is None:
                print(f"{exporter}: left out, {PEERS[exporter][0]} names no interpreter", flush=True)
                continue
            done = _run([interpreter, "-m", "exporters.peers", exporter, str(folder)])
            failed |= done.returncode
            versions |= _versions(interpreter, PEERS[exporter][1])
            if done.returncode:
                print(done.stderr, file=sys.stderr, flush=True)
        measured = _run([sys.executable, "-m", "exporters.measure", str(folder), *options.models])
        if measured.returncode:
            print(measured.stderr, file=sys.stderr)
            return 1
    found = json.loads(measured.stdout.splitlines()[-1])
    setting = f"On {machine()}, {datetime.now(UTC).date().isoformat()}, Python {platform.python_version()}."
    text = report(found["models"], versions | found["versions"], setting)
    print(text)
    if set(options.models) == set(SPECS):
        REPORT.write_text(text, encoding="utf-8")
        print(f"written: {REPORT}")
    return failed


def write_files(folder: Path, name: str, spec: Spec) -> None:
    """Writes a model's weights, its files by seqc and the one by hand."""
    model = spec.model(seqc)
    arrays = model.get_weights()
    np.savez(folder / f"{name}.npz", *arrays)
    model.export(str(folder / f"{name}.seqc.onnx"))
    if spec.has_channels:
        images = {"channels_first_input": True} | ({} if name != "decoder" else {"channels_first_output": True})
        model.export(str(folder / f"{name}.seqc_nchw.onnx"), **images)
    file = write(name, arrays, spec.shape, bool(spec.words), model.output_shape[1:])
    onnx.checker.check_model(file, full_check=True)
    onnx.save(file, folder / f"{name}.by_hand.onnx")


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs a Python program of this folder with nothing set that says how many threads there are."""
    environment: Mapping[str, Any] = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("OMP_", "OPENBLAS_", "MKL_")) and key != "PYTHONPATH"
    }
    paths = {"PYTHONPATH": str(HERE.parent)}
    return subprocess.run(command, capture_output=True, text=True, env={**environment, **paths})


def _versions(interpreter: str, names: Sequence[str]) -> dict[str, str]:
    ask = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {list(names)!r}}}))"
    done = subprocess.run([interpreter, "-c", ask], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m exporters", description=__doc__)
    parser.add_argument("models", nargs="*", default=list(SPECS), metavar="MODEL", help=", ".join(SPECS))
    parser.add_argument("--files", type=Path, metavar="FOLDER", help="where to leave the files (default: nowhere)")
    options = parser.parse_args(arguments)
    for name in options.models:
        if name not in SPECS:
            parser.error(f"there is no {name!r}; there are {', '.join(SPECS)}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
