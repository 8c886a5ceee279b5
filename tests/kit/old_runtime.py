"""Old releases of onnxruntime, each in an environment of its own.

`install` makes such an environment; its Python then runs this file on a folder of models, and so it imports nothing of
ours: python -m kit.old_runtime FOLDER runs every NAME.onnx there on NAME.x.npy and writes NAME.y.npy.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# The oldest that is promised, and the last whose optimizer refuses a cubic Resize. 1.17 was built for NumPy 1.
VERSIONS = {"1.17.3": ("onnxruntime==1.17.3", "numpy<2"), "1.20.1": ("onnxruntime==1.20.1",)}
HOME = Path(__file__).resolve().parents[2] / ".old-runtimes"


def install(version: str) -> Path | str:
    """Returns the Python of an environment with that release, or why there is none."""
    folder = HOME / version
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "installed"
    if not done.is_file():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        tried = subprocess.run([*command, *VERSIONS[version]], capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            last = (tried.stderr.strip() or "no word").splitlines()[-1]
            return f"onnxruntime {version} cannot be installed for Python {sys.version.split()[0]}: {last}"
        done.touch()
    return python


def run(python: Path, folder: Path) -> str:
    """Runs the models in a folder and returns the version of the onnxruntime that did it."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([python, __file__, folder], env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def main(folder: Path) -> None:
    import numpy as np
    import onnxruntime

    for model in sorted(folder.glob("*.onnx")):
        session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        x = np.load(model.with_suffix(".x.npy"))
        (result,) = session.run(None, {session.get_inputs()[0].name: x})
        np.save(model.with_suffix(".y.npy"), result)
    print(onnxruntime.__version__)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
