"""Model files for the tests of the command line, and a way to run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

CLASSIFIER = """
import numpy as np
import seqc as keras
from seqc import layers

TARGET = {"accuracy": 0.9}
FIT = {"epochs": 8, "batch_size": 16}


def build():
    model = keras.Sequential(
        [
            keras.Input((4,), name="point"),
            layers.Dense(8, activation="relu", name="hidden"),
            layers.Dense(3, activation="softmax", name="kind"),
        ],
        name="tiny",
    )
    model.compile(keras.optimizers.Adam(0.05), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def data():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 144)
    x = np.eye(4)[y] + 0.2 * rng.standard_normal((144, 4))
    return (x[:96], y[:96]), (x[96:], y[96:])
"""

REGRESSION = """
import numpy as np
import seqc as keras

TARGET = {"mae": 0.5}


def FIT():
    return {"epochs": 30, "callbacks": [keras.callbacks.EarlyStopping("loss", patience=30)]}


model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
model.compile(keras.optimizers.SGD(0.1), loss="mse", metrics=["mae"])


def data():
    x = np.random.default_rng(0).standard_normal((60, 3))
    y = x @ [[1.0], [-2.0], [0.5]]
    return (x[:40], y[:40]), (x[40:], y[40:])
"""


def write(folder: Path, text: str = CLASSIFIER, name: str = "tiny.py") -> Path:
    """Writes a model file and returns its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def seqc(*arguments: Any, code: int = 0) -> Any:
    """Runs the command line in this process and returns what it printed, once it ended with the expected exit code."""
    from seqc.cli import app

    result = CliRunner().invoke(app, [str(a) for a in arguments], prog_name="seqc")
    assert result.exit_code == code, f"exit code {result.exit_code}\n{result.stdout}\n{result.stderr}"
    return result


def seqc_json(*arguments: Any, code: int = 0) -> dict[str, Any]:
    """Runs the command line with --json and returns the one object that it printed."""
    printed: dict[str, Any] = json.loads(seqc(*arguments, "--json", code=code).stdout)
    return printed
