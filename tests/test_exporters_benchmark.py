"""The comparison of exporters: how many nodes seqc's files have, that others compute the same, and the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import seqc
from exporters.by_hand import BY_HAND, write
from exporters.models import SPECS
from exporters.tables import NODES, report
from seqc.export import compile_graph
from seqc.export.model import inference_graph

runtime = pytest.importorskip("onnxruntime")


def run(content: bytes, x: np.ndarray) -> np.ndarray:
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


@pytest.mark.parametrize("name", SPECS)
def test_a_file_has_the_operators_of_one_by_hand_and_computes_the_same(name: str) -> None:
    spec = SPECS[name]
    model = spec.model(seqc)
    file = compile_graph(inference_graph(model))
    by_hand = write(name, model.get_weights(), spec.shape, bool(spec.words), model.output_shape[1:])
    operators, theirs = (sorted(node.op_type for node in each.graph.node) for each in (file, by_hand))
    assert operators == theirs
    assert len(operators) == NODES[name]
    x = spec.batch(3)
    expected = run(by_hand.SerializeToString(), x)
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(run(file.SerializeToString(), x), expected, rtol=1e-4, atol=2e-6)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=2e-6)


def test_every_model_is_written_by_hand_and_has_a_most_of_nodes() -> None:
    assert set(BY_HAND) == set(NODES) == set(SPECS)


def figures(nodes: int, one: float, many: float) -> dict[str, Any]:
    return {"nodes": nodes, "1": one, "32": many}


def test_the_report_compares_with_each_exporter_and_names_what_misses_a_target() -> None:
    found = {
        "mlp": {"seqc": figures(6, 10.0, 50.0), "by_hand": figures(6, 10.0, 40.0), "torch": figures(6, 20.0, 51.0)},
        "lenet": {
            "seqc": figures(15, 9.0, 90.0),
            "seqc_nchw": figures(14, 8.0, 80.0),
            "keras": {"nodes": 24, "fault": "Unsupported"},
            "torch": figures(13, 16.0, 100.0),
        },
    }
    text = report(found, {"seqc": "1.2", "torch": "3"}, "On a machine.")
    assert "seqc 1.2, torch 3." in text
    assert f"| mlp | {SPECS['mlp'].title} | 6 | 6 | 6 | - | - | 6 |" in text
    assert "| mlp | 10.0 | 50.0 | 1.000 | 1.250 | - | - | 0.500 | 0.980 |" in text
    assert "| lenet | 9.0 | 90.0 | - | - | does not run | does not run | 0.500 | 0.800 |" in text
    assert "- [ ] no more nodes than listed; missed: lenet 15" in text
    assert "- [ ] at most 1.01 of the time of files made by hand; missed: mlp at 32 1.250" in text
    assert "- [ ] at most 0.97 of the time of files by PyTorch; missed: mlp at 32 0.980" in text


def test_the_kept_report_has_a_row_for_every_model() -> None:
    text = Path(__file__).resolve().parents[1].joinpath("benchmarks", "ONNX.md").read_text(encoding="utf-8")
    for name, spec in SPECS.items():
        assert f"| {name} | {spec.title} | {NODES[name]} | {NODES[name]} | {NODES[name]} |" in text


def test_a_file_by_hand_is_a_valid_model() -> None:
    file = write("mlp", SPECS["mlp"].model(seqc).get_weights(), (784,), False, (10,))
    onnx.checker.check_model(file, full_check=True)
