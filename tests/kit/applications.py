"""What seqc makes of keras.applications: `python -m kit.applications KERAS_PYTHON FOLDER [NAME ...]` in tests/.

Real Keras, which KERAS_PYTHON has, writes them into FOLDER with random weights and its answers (keras_applications.py;
what is there is not written again); seqc reads, runs and exports them. A table of what came out is printed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

import seqc
from kit import keras_applications

# The most nodes that a file may have: those of a minimal one, each weight and constant folded, one Transpose in front.
# Images are averaged by GlobalAveragePool and Flatten, one node more than ReduceMean and faster behind convolutions.
TARGETS = {
    "MobileNet": 59,
    "MobileNetV2": 102,
    "MobileNetV3Small": 125,
    "EfficientNetB0": 241,
    "EfficientNetV2B0": 270,
    "ResNet50": 124,
    "ResNet50V2": 145,
    "DenseNet121": 370,
    "Xception": 130,
    "InceptionV3": 217,
    "NASNetMobile": 637,
    "ConvNeXtTiny": 209,
    "VGG16": 33,
}


@dataclass(frozen=True)
class Found:
    """What came of a model.

    Attributes:
        error: largest distance from Keras's answers in double precision, as a part of the largest answer.
        nodes: of the file, by operator. inside: Transposes that are not at a border of the model.
        seconds: for reading, predicting, exporting and verifying.
    """

    name: str
    error: float
    nodes: Counter[str]
    inside: int
    seconds: float

    @property
    def row(self) -> str:
        nodes, transposes = sum(self.nodes.values()), self.nodes["Transpose"]
        return (
            f"{self.name:18} {self.error:8.1e} {nodes:5} ({TARGETS[self.name]:3}) "
            f"{transposes:5} ({self.inside} inside) {self.seconds:6.1f} s"
        )


def write(python: str, folder: Path, names: list[str]) -> None:
    """Lets Keras write the models that are not in a folder yet."""
    missing = [name for name in names if not (folder / f"{name}.npz").is_file()]
    if missing:
        subprocess.run([python, keras_applications.__file__, str(folder), *missing], check=True, stdout=sys.stderr)


def find(name: str, folder: Path) -> Found:
    """Reads, runs, exports and verifies a model; what is wrong raises."""
    began = time.perf_counter()
    with np.load(folder / f"{name}.npz") as recorded:
        x, y = recorded["x"], recorded["y"]
    model = seqc.saving.load_model(folder / f"{name}.keras")
    error = float(np.abs(model.predict(x, verbose=0) - y).max() / np.abs(y).max())
    model.export(folder / f"{name}.onnx", verbose=False)
    graph = onnx.load(folder / f"{name}.onnx").graph
    ends = {value.name for value in (*graph.input, *graph.output)}
    moves = [node for node in graph.node if node.op_type == "Transpose"]
    inside = sum(not ends & {*node.input, *node.output} for node in moves)
    return Found(name, error, Counter(n.op_type for n in graph.node), inside, time.perf_counter() - began)


def main(python: str, folder: str, *names: str) -> None:
    chosen = list(names or TARGETS)
    Path(folder).mkdir(parents=True, exist_ok=True)
    print(f"{'model':18} {'error':>8} {'nodes':>5} (target) Transposes")
    for name in chosen:
        try:
            write(python, Path(folder), [name])
            print(find(name, Path(folder)).row, flush=True)
        except Exception as error:
            print(f"{name:18} {type(error).__name__}: {error}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
