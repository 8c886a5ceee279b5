"""Makes an environment for each server of the comparison: `python -m serving.environments [NAME ...]`.

They lie in the folder that SEQC_SERVING_ENVIRONMENTS names, or in .serving-environments beside the Makefile. What is
complete is kept; what cannot be made is left out with a reason. Versions are pinned: figures belong to versions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ONNXRUNTIME = ("onnxruntime==1.32.0", "numpy==2.4.6")
# What uvicorn runs fastest with; the servers built on it find both by themselves.
FAST_UVICORN = ("uvloop==0.23.0", "httptools==0.9.0")

# What is in every new environment, before anything is installed.
BARE = ("pip", "setuptools", "pkg_resources", "_distutils_hack")


@dataclass(frozen=True)
class Environment:
    """What to install for one server.

    Attributes:
        requirements: what pip is given. unpacked: wheels that are unpacked into the folder `unpacked`, without what
        they depend on. ours: extras of the runtime in this tree, which is installed anew each time, since it changes.
    """

    requirements: tuple[str, ...] = ()
    unpacked: tuple[str, ...] = ()
    ours: str | None = None


ENVIRONMENTS = {
    "seqc": Environment((*ONNXRUNTIME,), ours="cpu,server"),
    "seqc-grpc": Environment((*ONNXRUNTIME,), ours="cpu,server,grpc"),
    "granian": Environment((*ONNXRUNTIME, "granian==2.8.9"), ours="cpu,server"),
    "litserve": Environment((*ONNXRUNTIME, *FAST_UVICORN, "litserve==0.2.19")),
    "bentoml": Environment((*ONNXRUNTIME, *FAST_UVICORN, "bentoml==1.4.40")),
    "mosec": Environment((*ONNXRUNTIME, "mosec==0.9.8", "orjson==3.13.0")),
    "mlserver": Environment(("onnxruntime==1.32.0", *FAST_UVICORN, "mlserver==1.7.1")),
    "kserve": Environment(("onnxruntime==1.32.0", "kserve==0.21.0")),
    "ray": Environment((*ONNXRUNTIME, *FAST_UVICORN, "orjson==3.13.0", "ray[serve]==2.60.0")),
    # Its Python backend was built for NumPy 1, and with NumPy 2 takes a tensor's size for another.
    "triton": Environment(("onnxruntime==1.32.0", "numpy==1.26.4"), unpacked=("nvidia-pytriton==0.7.0",)),
    "perf-analyzer": Environment(("nvidia-cuda-runtime-cu12",), unpacked=("tritonclient==2.51.0",)),
}


def folder() -> Path:
    """Returns the folder of all environments."""
    return Path(os.environ.get("SEQC_SERVING_ENVIRONMENTS") or ROOT / ".serving-environments").resolve()


def place(name: str) -> Path:
    """Returns the folder of an environment, there or not."""
    return folder() / name


def python(name: str) -> Path:
    """Returns the interpreter of an environment."""
    return place(name) / "bin" / "python"


def is_complete(name: str) -> bool:
    """Returns whether an environment has been made whole."""
    return (place(name) / "complete").exists()


def make(name: str) -> None:
    """Makes an environment, or brings it up to date with this tree.

    Args:
        name: of one of ENVIRONMENTS.

    Raises:
        subprocess.CalledProcessError: something could not be installed; its standard error says why.
    """
    wanted, target = ENVIRONMENTS[name], place(name)
    if not is_complete(name):
        shutil.rmtree(target, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(target))
        _pip(name, "install", *wanted.requirements)
        for wheel in wanted.unpacked:
            _unpack(name, wheel)
    if wanted.ours is not None:
        _pip(name, "install", f"{ROOT / 'runtime'}[{wanted.ours}]", *wanted.requirements)
        _pip(name, "install", "--force-reinstall", "--no-deps", str(ROOT / "runtime"))
    (target / "complete").touch()


def versions(name: str) -> dict[str, str]:
    """Returns what is installed in an environment: versions by name."""
    found = _run(str(python(name)), "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check")
    listed = (line.lower().replace("_", "-").split("==", 1) for line in found.splitlines() if "==" in line)
    return dict(listed) | dict(wheel.split("==", 1) for wheel in ENVIRONMENTS[name].unpacked)


def megabytes(name: str) -> float:
    """Returns the size of what has been installed in an environment, in megabytes: without pip and setuptools."""
    total = 0
    for folder, folders, files in os.walk(place(name)):
        folders[:] = [each for each in folders if not each.startswith(BARE)]
        total += sum(os.lstat(os.path.join(folder, each)).st_size for each in files)
    return total / 1e6


def _unpack(name: str, wheel: str) -> None:
    with tempfile.TemporaryDirectory() as downloads:
        _pip(name, "download", "--no-deps", "--dest", downloads, wheel)
        (path,) = Path(downloads).glob("*.whl")
        with zipfile.ZipFile(path) as archive:
            archive.extractall(place(name) / "unpacked")


def _pip(name: str, verb: str, *arguments: str) -> None:
    _run(str(python(name)), "-m", "pip", verb, "--quiet", "--disable-pip-version-check", *arguments)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def main(names: Sequence[str]) -> int:
    """Makes the environments named, or all, and prints their sizes; returns 1 if one could not be made."""
    failed = 0
    for name in names or ENVIRONMENTS:
        try:
            make(name)
        except subprocess.CalledProcessError as error:
            failed = 1
            print(f"{name:14} left out: {error.stderr.strip().splitlines()[-1]}", flush=True)
        else:
            print(f"{name:14} {megabytes(name):6.0f} MB  {place(name)}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
