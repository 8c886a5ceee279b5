"""Measures what a model holds that has seen data of many shapes, each case in a fresh process.

    python benchmarks/shapes_memory.py [CASE ...]

Prints a table in Markdown, in MB. Programs: the memory that programs are bound to. Objects: all that Python has
allocated since the first step beside that, which is traced steps and the calls of programs (`tracemalloc`). Resident:
how much the process has grown since the first step, measured without tracemalloc.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import seqc as keras
from seqc import layers
from seqc.backends.numpy.executor import Executor

Batch = tuple[Any, Any]
LENGTHS = range(10, 160)
SIZES = range(16, 96, 2)
SMALLEST = range(9, 10)


def sequences(lengths: range) -> Iterator[Batch]:
    """Yields batches of sequences; all of one batch have the same length."""
    rng = np.random.default_rng(0)
    for length in lengths:
        yield rng.random((32, length, 3), dtype="float32"), rng.random((32, 1), dtype="float32")


def images(sizes: range) -> Iterator[Batch]:
    """Yields batches of square images."""
    rng = np.random.default_rng(0)
    for size in sizes:
        yield rng.random((16, size, size, 3), dtype="float32"), rng.random((16, 1), dtype="float32")


def recurrent() -> Any:
    """Returns a small LSTM."""
    model = keras.Sequential([keras.Input((None, 3)), layers.LSTM(32), layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def convolutional() -> Any:
    """Returns a functional CNN with a shortcut."""
    x = keras.Input((None, None, 3))
    y = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    z = layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same")(y))
    y = layers.MaxPooling2D()(layers.add([y, z]))
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(32, 3, activation="relu")(y))
    model = keras.Model(x, layers.Dense(1)(y))
    model.compile("adam", "mse")
    return model


def fit(model: Any, batches: Callable[[range], Iterator[Batch]], shapes: range) -> None:
    """Trains on batches of all shapes."""
    model.fit(batches(shapes), verbose=0)


def predict(model: Any, batches: Callable[[range], Iterator[Batch]], shapes: range) -> None:
    """Predicts batches of all shapes."""
    for x, _ in batches(shapes):
        model.predict(x, verbose=0)


CASES: dict[str, tuple[Callable[[], Any], Any, Any, range]] = {
    "LSTM(32), fit, 150 lengths": (recurrent, fit, sequences, LENGTHS),
    "LSTM(32), predict, 150 lengths": (recurrent, predict, sequences, LENGTHS),
    "CNN, fit, 40 sizes of images": (convolutional, fit, images, SIZES),
    "CNN, predict, 40 sizes of images": (convolutional, predict, images, SIZES),
}


def measure(case: str, traced: bool) -> dict[str, float]:
    """Returns megabytes by what takes them, of a model that has seen all shapes."""
    make, use, batches, shapes = CASES[case]
    model = make()
    use(model, batches, SMALLEST)
    gc.collect()
    before = resident()
    if traced:
        tracemalloc.start(1)
    use(model, batches, shapes)
    gc.collect()
    if not traced:
        return {"resident": resident() - before}
    allocated = tracemalloc.get_traced_memory()[0] / 1e6
    executors = [step.executor for step in model._trainer._steps.values()]
    bound = [b for e in executors if isinstance(e, Executor) for b in e._programs.values()]
    blocks = {number: size for b in bound for number, size in b.memory.blocks.items()}
    programs = sum(blocks.values()) / 1e6
    return {"programs": programs, "objects": allocated - programs, "kept": len(bound)}


def resident() -> float:
    """Returns the megabytes that the process has in memory; Linux tells."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def apart(case: str, traced: bool) -> dict[str, float]:
    """Returns what `measure` returns in a process of its own."""
    command = [sys.executable, __file__, "--one", case, str(int(traced))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measures the cases that are asked for, or all of them."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3] == "1")))
        return
    print("| case | programs | of them kept | objects | resident |\n|---|---:|---:|---:|---:|")
    for case in sys.argv[1:] or CASES:
        found = apart(case, traced=True) | apart(case, traced=False)
        cells = f"{found['programs']:.1f} | {found['kept']} | {found['objects']:.1f} | {found['resident']:.1f}"
        print(f"| {case} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
