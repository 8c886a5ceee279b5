"""Records a model with many layers in it, in the files of a Keras 3, or of the package that RECORD_WITH names.

    python tests/kit/record_layer_files.py tests/cases/layer_files.zip [INPUT ...]

`kit.record_versions` runs it with the oldest and the newest there are, and some between, and puts together what comes
of it. The archive has `NAME.keras` and `NAME.h5`; `NAME.npz` with what the model takes and what it answered; and
`NAME.json` with the rows whose answers these are in the order of each file, and with what that Keras said of those that
it does not have, cannot run or cannot write. All weights are random. INPUTs are those of the rows to take, by default
all.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from layer_rows import IDS, INPUTS, ROWS, WORDS, classes_of, inputs_of

os.environ.setdefault("KERAS_BACKEND", "jax")
keras: Any = importlib.import_module(os.environ.get("RECORD_WITH", "keras"))
BACKEND = keras.backend.backend()
ENDINGS = (".keras", ".h5")
# Of what a Keras says, in characters.
MOST_SAID = 150


def adapted(layer: Any, data: list[Any]) -> Any:
    """Returns a layer that has seen data."""
    layer.adapt(np.array(data))
    return layer


def samples() -> dict[str, Any]:
    """Returns two samples of each input."""
    rng = np.random.default_rng(3)
    found: dict[str, Any] = {}
    for name, (shape, dtype) in INPUTS.items():
        if name == "texts":
            found[name] = np.array([["The cat, on the CAT!"], ["a dog sat"]])
        elif dtype == "string":
            found[name] = rng.choice([*WORDS, "", "dög"], (2, *shape))
        elif dtype == "int32":
            found[name] = rng.integers(0, IDS, (2, *shape)).astype(dtype)
        elif name == "picture":
            found[name] = rng.integers(0, 256, (2, *shape)).astype(dtype)
        else:
            found[name] = rng.normal(size=(2, *shape)).astype(dtype)
    return found


def build(rows: list[str]) -> Any:
    """Returns a model of rows, each of which is one output, with random weights."""
    names = [name for name in INPUTS if any(name in inputs_of(row) for row in rows)]
    inputs = {name: keras.Input(INPUTS[name][0], name=name, dtype=INPUTS[name][1]) for name in names}
    known = {**vars(keras.layers), **inputs, "adapted": adapted, "WORDS": WORDS}
    outputs = [eval(row, known) for row in rows]
    for row, y in zip(rows, outputs, strict=True):
        # The same weights whatever other rows there are.
        rng = np.random.default_rng(ROWS.index(row))
        for weight in keras.Model([inputs[name] for name in names if name in inputs_of(row)], y).weights:
            # The vocabularies of tf.keras are among them, and numbers that belong to these.
            if "float" in str(getattr(weight, "dtype", None)) and None not in tuple(weight.shape):
                low, high = (0.5, 2.0) if "variance" in getattr(weight, "path", weight.name) else (-1.0, 1.0)
                weight.assign(rng.uniform(low, high, weight.shape).astype("float32"))
    return keras.Model(list(inputs.values()), outputs, name="layers")


def answers(model: Any, xs: dict[str, Any]) -> list[Any]:
    """Returns what a model makes of the samples, for each output."""
    given = [xs[one.name.partition(":")[0]] for one in model.inputs]
    if BACKEND == "tensorflow":  # takes strings as its own tensors only
        given = [importlib.import_module("tensorflow").constant(x) for x in given]
    made = model(given[0] if len(given) == 1 else given, training=False)
    return [np.asarray(y) for y in (made if isinstance(made, list | tuple) else [made])]


def said_by(error: Exception) -> str:
    """Returns the beginning of what an error says, without colors."""
    plain = re.sub(r"\x1b\[[0-9]*m", "", " ".join(str(error).split()))
    return f"{type(error).__name__}: {plain[:MOST_SAID]}"


def refusal(row: str, xs: dict[str, Any], path: Path) -> str | None:
    """Returns what keeps a row from being kept in a file at a path, None if nothing does.

    A file that this Keras does not read itself is one all the same.
    """
    missing = [name for name in sorted(classes_of(row)) if not hasattr(keras.layers, name)]
    if missing:
        return f"has no {', '.join(missing)}"
    try:
        model = build([row])
        (y,) = answers(model, xs)
        declared = tuple(model.output_shape)
        if len(declared) == y.ndim and any(a not in (None, b) for a, b in zip(declared, y.shape, strict=True)):
            return f"gives {y.shape[1:]} where it says {declared[1:]}"
        model.save(path)
    except Exception as error:
        return said_by(error)
    try:
        again = keras.models.load_model(path)
    except Exception:
        return None
    try:
        (z,) = answers(again, xs)
    except Exception as error:
        return f"after it is read again, {said_by(error)}"
    return None if np.allclose(y, z, 1e-3, 1e-4) else "answers otherwise after it is read again"


def main(target: str, only: set[str]) -> None:
    xs = samples()
    name = f"{keras.__version__}-{BACKEND}"
    wanted = [row for row in ROWS if not only or inputs_of(row) <= only]
    arrays = {f"x_{key}": x for key, x in xs.items()}
    files: dict[str, Any] = {}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive, tempfile.TemporaryDirectory() as folder:
        for ending in ENDINGS:
            said = {row: refusal(row, xs, Path(folder) / f"one{ending}") for row in wanted}
            rows = [row for row in wanted if said[row] is None]
            model, path = build(rows), Path(folder) / f"{name}{ending}"
            arrays |= {f"y_{row}": y for row, y in zip(rows, answers(model, xs), strict=True)}
            files[ending] = {"rows": rows, "left_out": {row: text for row, text in said.items() if text is not None}}
            model.save(path)
            archive.write(path, path.name)
        archive.writestr(f"{name}.json", json.dumps(files, indent=1))
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        archive.writestr(f"{name}.npz", buffer.getvalue())


if __name__ == "__main__":
    main(sys.argv[1], set(sys.argv[2:]))
