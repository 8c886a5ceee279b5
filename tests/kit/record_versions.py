"""Makes an environment for each version of Keras that people have files of, and records its files: `make model-files`.

    python tests/kit/record_versions.py FOLDER [VERSION ...]

FOLDER holds the environments (some GB; the next run uses them again). The archives in tests/cases are written anew, or
with VERSIONs their files alone. Keras 1 and the first of Keras 2 do not run on a Python of today: files of theirs come
from the wild, with what they predicted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KIT = Path(__file__).resolve().parent
CASES = KIT.parent / "cases"


@dataclass(frozen=True)
class Version:
    """A version of Keras.

    Attributes:
        packages: what pip installs. records: which scripts beside this one write which archives with it; further
        arguments of theirs come after.
        settings: of its processes. alone: packages to install without what they say they need.
    """

    packages: Sequence[str]
    records: Sequence[tuple[str, ...]]
    settings: tuple[tuple[str, str], ...] = (("KERAS_BACKEND", "jax"),)
    alone: Sequence[str] = ()


LAYERS = ("record_layer_files.py", "layer_files.zip")
# What works on strings, and on pictures to train with, is TensorFlow's also where another backend computes.
PREPARING = (*LAYERS, "picture", "ids", "words", "texts")
WITH_TENSORFLOW = (("KERAS_BACKEND", "tensorflow"), ("CUDA_VISIBLE_DEVICES", ""))
VERSIONS = {
    # The oldest that are there, those between at which the form of files changed, and the newest.
    **{f"keras {v}": Version([f"keras=={v}", "jax", "setuptools<81"], [LAYERS]) for v in ("3.0.5", "3.3.3", "3.6.0")},
    "keras 3.15.1": Version(["keras==3.15.1", "jax"], [LAYERS, ("record_sharded.py", "sharded.zip")]),
    # No newer TensorFlow runs with Keras 3.0.
    "keras 3.0.5 tensorflow": Version(
        ["keras==3.0.5", "tensorflow-cpu==2.16.2", "setuptools<81"], [PREPARING], WITH_TENSORFLOW
    ),
    "keras 3.15.1 tensorflow": Version(["keras==3.15.1", "tensorflow-cpu==2.21.0"], [PREPARING], WITH_TENSORFLOW),
    "tf-keras": Version(
        ["tf-keras==2.21.0", "tensorflow-cpu==2.21.0"],
        [
            LAYERS,
            ("record_old_models.py", "old_models.zip"),
            ("record_tensorflow_js.py", "tensorflow_js.zip"),
            ("record_functions.py", "tensorflow_functions.zip"),
        ],
        (("RECORD_WITH", "tf_keras"), ("CUDA_VISIBLE_DEVICES", "")),
        # It says that it needs packages for other kinds of models, some of which no longer install.
        ["tensorflowjs==4.22.0"],
    ),
}


def environment(folder: Path, name: str, version: Version) -> Path:
    """Returns the Python of a version's environment, which is made where it is not there."""
    place = folder / name.replace(" ", "-")
    python, done = place / "bin" / "python", place / "installed"
    if not done.is_file():
        venv.create(place, with_pip=True, clear=True)
        for packages, how in ((version.packages, ()), (version.alone, ("--no-deps",))):
            if packages:
                subprocess.run([python, "-m", "pip", "install", "-q", *how, *packages], check=True)
        done.touch()
    return python


def record(python: Path, version: Version, started: set[str], only: bool) -> None:
    """Runs the scripts of a version.

    Args:
        started: archives that this run began. only: whether archives of several versions keep the files of the others.
    """
    for script, archive, *arguments in version.records:
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / archive
            settings = {**os.environ, **dict(version.settings)}
            subprocess.run([python, KIT / script, made, *arguments], check=True, env=settings, stdout=sys.stderr)
            merge(made, CASES / archive, keep=archive in started or (only and archive == LAYERS[1]))
        started.add(archive)


def merge(made: Path, target: Path, keep: bool) -> None:
    """Puts an archive at its place, with the members beside that an archive there has of other names, if it keeps."""
    members: dict[str, bytes] = {}
    for path in (target, made) if keep and target.is_file() else (made,):
        with zipfile.ZipFile(path) as archive:
            members |= {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    target.write_bytes(made.read_bytes())


def main(folder: str, names: list[str]) -> None:
    unknown = [name for name in names if name not in VERSIONS]
    if unknown:
        raise SystemExit(f"No version {', '.join(unknown)}; there are {', '.join(VERSIONS)}.")
    started: set[str] = set()
    for name in names or VERSIONS:
        print(name, file=sys.stderr, flush=True)
        record(environment(Path(folder), name, VERSIONS[name]), VERSIONS[name], started, bool(names))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
