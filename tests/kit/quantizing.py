"""What the tests of quantization share: a clock that says what it is told, and files to look into."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import onnx

import seqc as keras
from seqc.backends.onnxruntime import Session
from seqc.export import quantize as quantize_on_any

SAMPLES = 400
# Threads that wait busily for the next run would take longer than all else here.


quantize = partial(quantize_on_any, threads=1)


def faster(first: Session, second: Session, feeds: dict[str, Any]) -> tuple[float, float]:
    """Takes the place of the clock: every quantized model is twice as fast."""
    return 2.0, 1.0


def slower(first: Session, second: Session, feeds: dict[str, Any]) -> tuple[float, float]:
    """Takes the place of the clock: no quantized model is fast."""
    return 1.0, 1.5


def never(*_: Any) -> tuple[float, float]:
    """Takes the place of the clock where nothing may be timed."""
    raise AssertionError("timed")


def digits() -> tuple[Any, Any]:
    (x, y), _ = keras.datasets.digits.load_data()
    return x[:SAMPLES].reshape(-1, 64).astype("float32") / 16, y[:SAMPLES].astype("int64")


def run(path: Path, **arrays: Any) -> list[Any]:
    return list(Session(path.read_bytes()).run(arrays).values())


def kinds(path: Path) -> set[str]:
    return {n.op_type for n in onnx.load(path).graph.node}
