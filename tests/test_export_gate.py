"""What seqc exports passes the runtime's gate for models from strangers, with weights in the file or beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from kit.golden_models import ALL, Golden

pytest.importorskip("seqc_runtime", reason="needs seqc-runtime")
pytest.importorskip("onnxruntime", reason="the proof of an export runs it")

import seqc_runtime
from seqc_runtime.gate import DEFAULT
from seqc_runtime.gate.scan import scan_model
from seqc_runtime.source import check_model


@pytest.mark.slow
@pytest.mark.parametrize("golden", ALL, ids=[golden.name for golden in ALL])
def test_every_kind_of_model_passes_the_scan(golden: Golden, tmp_path: Path) -> None:
    golden.model().export(tmp_path / "m.onnx", verbose=False)
    data = (tmp_path / "m.onnx").read_bytes()
    check_model(data, "m", DEFAULT.bounds)
    assert scan_model(data, DEFAULT) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no Landlock")
@pytest.mark.parametrize("golden", ALL[:2], ids=[golden.name for golden in ALL[:2]])
def test_a_model_and_its_weights_are_let_in_and_compute_the_same(golden: Golden, tmp_path: Path) -> None:
    golden.model().export(tmp_path / "m.onnx", verbose=False)
    model = onnx.load(tmp_path / "m.onnx")
    onnx.save(model, tmp_path / "e.onnx", save_as_external_data=True, location="e.bin", size_threshold=0)
    x = golden.samples()
    expected = seqc_runtime.load(tmp_path / "m.onnx", device="cpu").predict(x)
    for name, files in (("m.onnx", {"m.onnx"}), ("e.onnx", {"e.onnx", "e.bin"})):
        loaded = seqc_runtime.load(tmp_path / name, device="cpu", untrusted=True)
        np.testing.assert_array_equal(loaded.predict(x), expected)
        assert loaded.admission is not None
        assert set(loaded.admission.digests) == files
