"""Programs written for Keras, run as they are, against what real Keras printed for the same file."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.compat_programs import FOLDER, PROGRAMS, RECORD, TOLERANCE, differences, run_by_keras, run_by_seqc
from kit.effort import THOROUGH

RECORDED: dict[str, Any] = json.loads(RECORD.read_text())
KERAS = os.environ.get("SEQC_KERAS_PYTHON")


def test_every_program_is_recorded_and_in_the_table() -> None:
    assert sorted(RECORDED) == PROGRAMS
    table = (FOLDER / "README.md").read_text()
    assert sorted(re.findall(r"^\| \[(\w+)\.py\]", table, re.MULTILINE)) == PROGRAMS


def test_other_results_are_seen() -> None:
    told = RECORDED["text_lstm"]
    changes: list[dict[str, Any]] = [
        {"parameters": 1},
        {"layers": []},
        {"exact": told["exact"] | {"score": told["exact"]["score"] * 1.01}},
    ]
    for change in changes:
        assert differences(told | change, told)
    assert not differences(told, told)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_does_by_seqc_what_it_does_by_keras(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQC_VERIFY", str(int(THOROUGH)))  # what programs are made of is proved in all other tests
    assert differences(run_by_seqc(name, tmp_path), RECORDED[name], tolerance=TOLERANCE.get(name, 2e-4)) == []
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    given: dict[str, Any] = dict(np.load(tmp_path / "inputs.npz"))
    arrays = [
        given[wanted.name if wanted.name in given else str(place)] for place, wanted in enumerate(session.get_inputs())
    ]
    arrays = [a.astype(object) if a.dtype.kind == "U" else a for a in arrays]
    kinds = {"tensor(float)": "float32", "tensor(int64)": "int64", "tensor(int32)": "int32"}
    feeds = {
        wanted.name: array.astype(kinds.get(wanted.type, array.dtype))
        for wanted, array in zip(session.get_inputs(), arrays, strict=True)
    }
    expected = dict(np.load(tmp_path / "outputs.npz"))
    for place, (output, found) in enumerate(zip(session.get_outputs(), session.run(None, feeds), strict=True)):
        wanted = expected[output.name if output.name in expected else str(place)]
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(not KERAS, reason="SEQC_KERAS_PYTHON names no Python with Keras, JAX and TensorFlow")
@pytest.mark.parametrize("name", PROGRAMS)
def test_keras_still_says_what_is_recorded(name: str) -> None:
    assert differences(run_by_keras(name, str(KERAS)), RECORDED[name], tolerance=TOLERANCE.get(name, 2e-4)) == []
