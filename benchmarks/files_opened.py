"""How many model files open, and predict what the program that wrote them predicted: seqc beside Keras.

`python benchmarks/files_opened.py --keras KERAS_PYTHON --write` reads the files that the repository keeps for its
tests: models of all layers by several versions of Keras, models of Keras 2, and what TensorFlow.js's converter wrote.
KERAS_PYTHON has the Keras that they are opened with for comparison; without it, its columns are left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

CASES = Path(__file__).resolve().parent.parent / "tests" / "cases"
RESULTS = Path(__file__).resolve().parent / "FILES.md"
# Loaded by a Python with Keras: prints a line of JSON for each file.
OTHER = """
import json, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
import keras

def tensor(x):
    if x.dtype.kind in "OUS":
        import tensorflow as tf
        return tf.constant(x)
    return keras.ops.convert_to_tensor(x)

def close(y, wanted):
    return y.shape == wanted.shape and bool(np.allclose(y, wanted, 1e-4, 1e-5 * max(1, np.abs(wanted).max())))

for path, inputs, rows in json.loads(sys.stdin.read()):
    opened, said = False, []
    try:
        model = keras.models.load_model(path, compile=False)
        opened = True
        arrays = np.load(inputs)
        names = ["x_" + i.name.split(":")[0] for i in model.inputs]
        xs = [tensor(arrays[k]) for k in (names if rows else sorted(k for k in arrays if k.startswith("x")))]
        found = model(xs if len(xs) > 1 else xs[0], training=False)
        found = [np.asarray(y) for y in (found if isinstance(found, (list, tuple)) else [found])]
        wanted = ["y_" + row for row in rows] if rows else sorted(k for k in arrays if k.startswith("y"))
        said = [close(y, arrays[k]) for y, k in zip(found, wanted)]
    except BaseException as error:
        print(path, repr(error)[:200], file=sys.stderr)
    print(json.dumps([path, opened, said]), flush=True)
print(json.dumps(["version", True, [keras.__version__ + " on " + keras.backend.backend()]]), flush=True)
"""
Kept = tuple[str, Path, Path, "list[str] | None"]


def kept_files(folder: Path) -> Iterator[Kept]:
    """Yields each file with what it is of, where what it predicted is, and which outputs those are."""
    for name in ("layer_files", "old_models", "tensorflow_js"):
        with zipfile.ZipFile(CASES / f"{name}.zip") as archive:
            archive.extractall(folder / name)
    for path in sorted((folder / "layer_files").iterdir()):
        if path.suffix in (".keras", ".h5"):
            stem = path.name.removesuffix(path.suffix)
            rows = json.loads((path.parent / f"{stem}.json").read_text())[path.suffix]["rows"]
            version, _, backend = stem.partition("-")
            kind = "tf.keras" if version.startswith("2.") else "Keras"
            yield f"all layers, {kind} {version} on {backend}", path, path.parent / f"{stem}.npz", rows
    for path in sorted((folder / "old_models").iterdir()):
        if path.suffix in (".keras", ".h5") and "weights" not in path.stem:
            yield "networks, tf.keras", path, path.parent / f"{path.stem}.npz", None
    for path in sorted((folder / "tensorflow_js").glob("*/model.json")):
        yield "networks, TensorFlow.js", path, path.parent / "recorded.npz", None


def opened(path: Path, inputs: Path, rows: list[str] | None) -> tuple[bool, list[bool]]:
    """Returns whether seqc opens a file, and which of its outputs are what was recorded."""
    from seqc.saving import load_model

    try:
        model: Any = load_model(path, compile=False)
    except ValueError as error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return False, []
    arrays = np.load(inputs)
    keys = (
        sorted(key for key in arrays if key.startswith("x")) if rows is None else [f"x_{n}" for n in model.input_names]
    )
    xs = [arrays[key] for key in keys]
    found = model.predict(xs if len(xs) > 1 else xs[0], verbose=0)
    wanted = sorted(key for key in arrays if key.startswith("y")) if rows is None else [f"y_{row}" for row in rows]
    outputs = found if isinstance(found, list) else [found]
    return True, [close(y, arrays[key]) for y, key in zip(outputs, wanted, strict=True)]


def close(found: Any, wanted: Any) -> bool:
    return bool(np.allclose(found, wanted, 1e-4, 1e-5 * max(1, np.abs(wanted).max())))


def by_keras(python: str, files: list[Kept]) -> dict[str, tuple[bool, list[Any]]]:
    """Returns the same of Keras, by paths, and its version under "version"."""
    asked = json.dumps([[str(path), str(inputs), rows] for _, path, inputs, rows in files])
    done = subprocess.run([python, "-c", OTHER], input=asked, capture_output=True, text=True, timeout=3600, check=False)
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    print(done.stderr, file=sys.stderr)
    return {path: (whole, said) for path, whole, said in answers}


def table(files: list[Kept], other: dict[str, tuple[bool, list[Any]]]) -> list[str]:
    """Returns the lines of the table."""
    rows: dict[str, list[list[int]]] = {}
    for kind, path, inputs, names in files:
        whole, equal = opened(path, inputs, names)
        whole_other, equal_other = other.get(str(path), (False, []))
        right = sum(equal_other) if whole_other else 0
        rows.setdefault(kind, []).append([1, whole, len(equal), sum(equal), whole_other, right])
    head = ["files", "of them", "seqc opens", "outputs", "the same in seqc"]
    head += ["Keras opens", "the same in Keras"] if other else []
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    total = np.sum([row for found in rows.values() for row in found], 0)
    for kind, counts in [*((kind, np.sum(found, 0)) for kind, found in rows.items()), ("**all**", total)]:
        lines.append("| " + " | ".join([kind, *map(str, counts[: len(head) - 1])]) + " |")
    return lines


def main() -> None:
    """Counts, prints, and with --write keeps the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keras", help="a Python that has Keras", default="")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = list(kept_files(Path(folder)))
        other = by_keras(options.keras, files) if options.keras else {}
        version = other.pop("version", (True, ["-"]))[1][0]
        lines = table(files, other)
    text = "\n".join(
        [
            "# Model files opened",
            "",
            "`python benchmarks/files_opened.py --keras KERAS_PYTHON --write`",
            "",
            "Model files that the repository keeps for its tests, each by the program named, with what it predicted;",
            "they were chosen because they are hard. *The same*: an output within 1e-4 of what was recorded. Keras is",
            f"{version}, which is asked without any help, as `load_model(path)` is. A model of all layers has an",
            "output for each layer, so that one layer that cannot be read keeps the whole file shut.",
            "",
            *lines,
            "",
        ]
    )
    print(text)
    if options.write:
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
