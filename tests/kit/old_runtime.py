"""Other programs that run files, each in an environment of its own: old onnxruntimes, OpenCV 4, onnxruntime-web.

`install` makes such an environment; it then runs this file, or `web_runtime.mjs`, on a folder of models, and so both
import nothing of ours: every NAME.onnx there is run on NAME.x.npy and its first output becomes NAME.y.npy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

# The oldest that are promised, and the last whose optimizer refuses a cubic Resize. The first two need NumPy 1.
VERSIONS = {
    "1.16.3": ("onnxruntime==1.16.3", "numpy<2"),
    "1.17.3": ("onnxruntime==1.17.3", "numpy<2"),
    "1.20.1": ("onnxruntime==1.20.1",),
}
PROGRAMS = {**VERSIONS, "opencv-4": ("opencv-python-headless<5",)}
WEB = "onnxruntime-web"
HOME = Path(__file__).resolve().parents[2] / ".old-runtimes"


def install(name: str) -> Path | str:
    """Returns what runs a program of `PROGRAMS`, or `WEB`, in its environment, or why there is none."""
    folder = HOME / name
    done = folder / "installed"
    if name == WEB:
        return _install_web(folder, done)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not done.is_file():
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", folder], check=True)
        # Our pip for another Python: one of its own would take longer to install than all else.
        pip: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "--quiet",
            "--disable-pip-version-check",
        ]
        tried = subprocess.run(
            [*pip, "install", "--no-compile", *PROGRAMS[name]], capture_output=True, text=True, check=False
        )
        if tried.returncode != 0:
            return f"{name} cannot be installed for Python {sys.version.split()[0]}: {_last_line(tried.stderr)}"
        done.touch()
    return python


def _install_web(folder: Path, done: Path) -> Path | str:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "onnxruntime-web needs Node"
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", WEB]
        tried = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            return f"{WEB} cannot be installed: {_last_line(tried.stderr)}"
        done.touch()
    return Path(node)


def run(program: Path, folder: Path) -> str:
    """Runs the models in a folder and returns the version of the program that did it."""
    if program.stem == "node":
        return _run_web(program, folder)
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return _said([program, __file__, folder], clean)


def _run_web(node: Path, folder: Path) -> str:
    import numpy as np

    for path in folder.glob("*.x.npy"):
        x = np.load(path)
        fed = {"type": x.dtype.name, "dims": x.shape, "data": x.ravel().tolist()}
        path.with_suffix(".json").write_text(json.dumps(fed))
    said = _said([node, Path(__file__).with_name("web_runtime.mjs"), HOME / WEB, folder], dict(os.environ))
    for path in folder.glob("*.y.json"):
        found = json.loads(path.read_text())
        np.save(path.with_suffix(".npy"), np.array([float(n) for n in found["data"]]).reshape(found["dims"]))
    return said


def _said(command: list[Any], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def _last_line(text: str) -> str:
    return (text.strip() or "no word").splitlines()[-1]


def main(folder: Path) -> None:
    import numpy as np

    try:
        import onnxruntime as program
    except ImportError:
        import cv2 as program
    for model in sorted(folder.glob("*.onnx")):
        x = np.load(model.with_suffix(".x.npy"))
        if program.__name__ == "cv2":
            net = program.dnn.readNetFromONNX(str(model))
            net.setInput(x)
            result = np.asarray(net.forward())
        else:
            session = program.InferenceSession(str(model), providers=["CPUExecutionProvider"])
            (result,) = session.run(None, {session.get_inputs()[0].name: x})
        np.save(model.with_suffix(".y.npy"), result)
    print(program.__version__)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
