"""Tables that `seqc-runtime score` reads and writes, and what it says, for its tests."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

Build = Callable[..., bytes]
X = np.random.default_rng(3).standard_normal((2500, 4)).astype(np.float32)
# pyarrow is there when the slow tests run.
KINDS = ["csv", "npy", "npz", pytest.param("parquet", marks=pytest.mark.slow)]


def bare(model: bytes, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    found: list[np.ndarray] = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feeds)
    return found


def table(names: list[str] | None, rows: Sequence[Sequence[object]], mark: str = ",") -> str:
    lines = [names, *rows] if names else rows
    return "".join(mark.join(map(str, line)) + "\n" for line in lines)


def write_csv(path: Path, x: np.ndarray, names: list[str] | None = None) -> str:
    path.write_text(table(names, x.tolist()))
    return str(path)


def read_csv(text: str) -> tuple[list[str], np.ndarray]:
    names, _, rest = text.partition("\n")
    return names.split(","), np.loadtxt(io.StringIO(rest), delimiter=",", ndmin=2)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.startswith("Error: "), text
    assert text.count("\n") == 1
    return text
