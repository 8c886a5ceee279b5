"""The models that are served, and the sample that each of them is asked about."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Served:
    """A file to serve and one request's worth of input.

    Attributes:
        name: what it is called in URLs. path: `name/1/model.onnx` in a folder of models, so that every server finds its
        layout. input, output: names of the tensors. sample: one row. expected: what onnxruntime answers.
    """

    name: str
    path: Path
    input: str
    output: str
    sample: Array
    expected: Array


TITLES = {"mlp-8": "MLP 8-32-16-3", "mlp-784": "MLP 784-512-256-10", "cnn": "CNN 28x28x1"}


def export(name: str, folder: Path) -> Served:
    """Returns a model, exported by seqc into a folder unless it is there already.

    Args:
        name: one of TITLES. folder: of all models.
    """
    import onnxruntime

    path = folder / name / "1" / "model.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        model = _build(name)
        model.export(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,), (returned,) = session.get_inputs(), session.get_outputs()
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    # Three digits, as pixels and measurements have: what a client sends is seldom a float's every digit.
    sample = generator.uniform(0, 1, (1, *given.shape[1:])).round(3).astype(np.float32)
    (expected,) = session.run(None, {given.name: sample})
    return Served(name, path, given.name, returned.name, sample, expected)


def _build(name: str):  # type: ignore[no-untyped-def]
    import seqc
    from seqc import layers

    def mlp(*units: int) -> list[object]:
        hidden = [layers.Dense(each, activation="relu") for each in units[1:-1]]
        return [layers.Input((units[0],)), *hidden, layers.Dense(units[-1], activation="softmax")]

    cnn = [
        layers.Input((28, 28, 1)),
        layers.Conv2D(16, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ]
    built = {"mlp-8": lambda: mlp(8, 32, 16, 3), "mlp-784": lambda: mlp(784, 512, 256, 10), "cnn": lambda: cnn}
    return seqc.Sequential(built[name]())
