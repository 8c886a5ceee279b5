"""What `seqc quantize` comes to on the digits and on MNIST: accuracy, size and latency beside the float file.

    SEQC_DATA_HOME=FOLDER python benchmarks/quantize.py [--write]

Models are trained, and quantized on the test images and labels, on one thread. MNIST lies in FOLDER/mnist, or is
downloaded. --write puts the tables into benchmarks/QUANTIZE.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import seqc as keras
from seqc import layers
from seqc.backends.onnxruntime import version
from seqc.cli._source import load_file
from seqc.errors import QuantizationError
from seqc.export import quantize
from seqc.export.quantization.machine import processor
from seqc.utils.files import write_file

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "models"
HEADER = (
    "recipe",
    "accuracy",
    "drop",
    "bytes",
    "of float",
    "ms, batch 1",
    "speed, batch 1",
    "ms, batch 32",
    "speed, batch 32",
    "layers in float",
)
MAX_DROP = 0.005


def trained() -> Iterator[tuple[str, Any, Any, Any]]:
    """Yields names, trained models, and the test images and labels."""
    for name in ("digits_mlp", "digits_cnn", "mnist_cnn"):
        file = load_file(MODELS / f"{name}.py")
        keras.utils.set_random_seed(0)
        model, ((x, y), test) = file.build(), file.data()
        model.fit(x, y, verbose=0, **file.fit)
        yield (name, model, *test)
    (x, y), (x_test, y_test) = keras.datasets.mnist.load_data()
    x, x_test = (a.astype(np.float32) / 255 for a in (x, x_test))
    dense = [layers.Flatten(), *(layers.Dense(512, activation="relu") for _ in range(2))]
    for name, stack in (("mnist_mlp", dense), ("mnist_lstm", [layers.LSTM(128)])):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [keras.Input((28, 28), name="image"), *stack, layers.Dense(10, activation="softmax", name="digit")],
            name=name,
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x, y, batch_size=128, epochs=2, verbose=0)
        yield name, model, x_test, y_test


def measured(model: Any, x: Any, y: Any, folder: Path, purpose: str, batch_size: int) -> Any:
    """Returns the figures of one quantization, refused or not."""
    try:
        return quantize(
            model, folder / "q.onnx", x, y, purpose=purpose, max_drop=MAX_DROP, batch_size=batch_size, threads=1
        )
    except QuantizationError as error:
        return error.result


def lines(name: str, model: Any, x: Any, y: Any, folder: Path) -> Iterator[str]:
    """Yields the lines of a model's part of the page."""
    small = {size: measured(model, x, y, folder, "size", size) for size in (1, 32)}
    speed = {size: measured(model, x, y, folder, "speed", size) for size in (1, 32)}
    first = small[1]
    (accuracy,) = first.float_scores.values()
    before = {size: f"{result.float_seconds * 1e3:.3f}" for size, result in small.items()}
    yield f"## {name}\n"
    yield f"{first.tested:,} images tested, {first.calibration:,} others for calibration.\n"
    yield f"| {' | '.join(HEADER)} |"
    yield "|---|" + "---:|" * 8 + "---|"
    yield f"| float | {accuracy:.4f} | | {first.float_bytes:,} | | {before[1]} | | {before[32]} | | |"
    others = {row.recipe: row for row in small[32].rows}
    for row in small[1].rows:
        cells = [row.recipe, "", "", "", ""]
        if row.score is not None:
            share = f"{row.file_bytes / first.float_bytes:.0%}"
            cells[1:] = f"{row.score:.4f}", f"{row.drop:.2%}", f"{row.file_bytes:,}", share
        for one in (row, others.get(row.recipe)):
            if one is None or one.seconds is None:
                cells += ["", ""]
            else:
                cells += [f"{one.seconds * 1e3:.3f}", f"{one.speedup:.2f}x"]
        yield f"| {' | '.join([*cells, ', '.join(row.in_float)])} |".replace("|  |", "| |")
    yield ""
    for what, results in (("speed", speed), ("size", small)):
        taken = (f"{r.chosen.recipe if r.chosen else 'refused'} at batch {n}" for n, r in results.items())
        yield f"For {what}: {', '.join(taken)}.  "
    yield ""


def page() -> Iterator[str]:
    """Yields the lines of the whole page."""
    features = processor().split(" | ")
    vnni = "with" if "vnni" in features[-1] else "without"
    yield "# Quantization\n"
    yield "`SEQC_DATA_HOME=FOLDER python benchmarks/quantize.py --write`\n"
    yield (
        f"On {features[0]} ({platform.machine()}, {vnni} VNNI), one thread, onnxruntime {version()}. At most "
        f"{MAX_DROP:.1%} of accuracy may be lost.\nTimes are the least of many runs, in turn with the float model's; "
        "they are those of a machine that others use, too.\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, model, x, y in trained():
            yield from lines(name, model, x, y, Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write benchmarks/QUANTIZE.md")
    write = parser.parse_args().write
    os.environ.setdefault("SEQC_NUM_THREADS", "1")
    found = []
    for line in page():
        print(line, file=sys.stdout, flush=True)
        found.append(line)
    if write:
        write_file(HERE / "QUANTIZE.md", ("\n".join(found).rstrip() + "\n").encode())


if __name__ == "__main__":
    main()
