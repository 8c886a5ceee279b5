"""Functions of TensorFlow between the layers of tf.keras, as it had them in files: see `kit.record_functions`."""

from __future__ import annotations

import contextlib
import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from kit.oracle import ROOT
from seqc.errors import SavingError, SeqcError
from seqc.models import model_from_json
from seqc.saving import load_model

ARCHIVE = ROOT / "tests" / "cases" / "tensorflow_functions.zip"
# TensorFlow takes the weights of four pixels from a table of 1,024.
CUBIC = (3, 6, 7, 4)


def recorded(name: str) -> tuple[dict[str, Any], list[Any], list[Any]]:
    """Returns the description of a model, what it takes and what it answered."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        described = json.loads(archive.read(f"{name}.json"))
        arrays = np.load(io.BytesIO(archive.read(f"{name}.npz")))
    return described, [arrays[x] for x in ("x", "z", "image")], [arrays[y] for y in sorted(arrays) if y[0] == "y"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("functions", 63), ("nodes", 54)])
def test_functions_give_what_tensorflow_gave(name: str, count: int, tmp_path: Path) -> None:
    described, xs, wanted = recorded(name)
    model = model_from_json(json.dumps(described))
    found = model.predict(xs, verbose=0)
    assert len(found) == len(wanted) == count
    model.save(tmp_path / "m.keras")
    again = load_model(tmp_path / "m.keras").predict(xs, verbose=0)
    model.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    feed = {i.name: x for i, x in zip(session.get_inputs(), xs, strict=True)}
    for y, saved, exported, expected in zip(found, again, session.run(None, feed), wanted, strict=True):
        loose = 5e-3 if expected.shape == CUBIC else 1e-5
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=loose)
        np.testing.assert_array_equal(saved, y)
        np.testing.assert_allclose(exported, y, rtol=1e-4, atol=1e-4)


def node(kind: str, constants: Any = None, **attributes: Any) -> str:
    """Returns the description of a model of one node called on x."""
    described = {"op": kind, "input": ["x"], "attr": attributes}
    layers: list[dict[str, Any]] = [
        {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 4, 6], "name": "x"}, "inbound_nodes": []},
        {
            "class_name": "TensorFlowOpLayer",
            "config": {"name": "op", "node_def": described, "constants": constants or {}},
            "inbound_nodes": [[["x", 0, 0, {}]]],
        },
    ]
    for layer, name in zip(layers, ("x", "op"), strict=True):
        layer["name"] = name
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["op", 0, 0]]}
    return json.dumps({"class_name": "Model", "config": {"name": "m", "layers": layers, **ends}})


def test_a_model_may_end_in_sizes() -> None:
    model = model_from_json(node("Shape"))
    np.testing.assert_array_equal(model.predict(np.zeros((5, 4, 6)), verbose=0), [5, 4, 6])


def test_a_damaged_node_is_refused_or_read(node_texts: list[str]) -> None:
    rng = np.random.default_rng(0)
    for text in node_texts:
        for _ in range(4):
            at, letter = int(rng.integers(len(text))), str(rng.choice(list('{}":\\ 0x')))
            changed = json.loads(node("Abs"))
            changed["config"]["layers"][1]["config"] |= {
                "node_def": text[:at] + letter + text[at + int(rng.integers(3)) :],
                "constants": {"1": [0, 1], "2": [1, 2], "3": [1, 1]},
            }
            with contextlib.suppress(SeqcError):
                model_from_json(json.dumps(changed))


@pytest.fixture
def node_texts() -> list[str]:
    """All nodes of the recorded model that are written as text."""
    layers = recorded("nodes")[0]["config"]["layers"]
    found = [layer["config"].get("node_def") for layer in layers]
    return [text for text in found if isinstance(text, str)]


def test_reading_a_node_takes_time_linear_in_its_size() -> None:
    start = time.process_time()
    with pytest.raises(SavingError, match="cannot be read"):
        model_from_json(
            node("Abs").replace('{"op": "Abs", "input": ["x"], "attr": {}}', json.dumps('op "' + '\\"' * 300_000))
        )
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("described", "message"),
    [
        (node("Svd"), r"TensorFlow's 'raw_ops.Svd' between its layers \(as 'op'\), for which seqc has nothing"),
        (node("PyFunc", token={"s": "cHlmdW5j"}), r"'raw_ops.PyFunc' between its layers \(as 'op'\)"),
        (node("ResizeBilinear", {"1": [2, 2]}), "'raw_ops.ResizeBilinear with corners or pixels aligned"),
        (node("Abs", surprise={"i": "3"}), r"'math.abs' \(as 'op'\) is a node with surprise=3: unknown"),
        (node("Abs", {"1": 2, "2": 3}), r"'math.abs' \(as 'op'\) is called on 3 things"),
        (node("Mean", {"one": 1}), "constants of the TensorFlowOpLayer 'op' are {'one': 1}"),
        (node("Einsum"), "makes no sense: KeyError"),
        (node("Cumsum", {"1": 1}, reverse={"b": True}), "called with reverse=True: seqc has it without"),
        (node("Abs").replace('{"op": "Abs", "input": ["x"], "attr": {}}', '"op: }{"'), "'op' cannot be read"),
        (node("Abs").replace('{"op": "Abs", "input": ["x"], "attr": {}}', '"{"'), "'op' cannot be read"),
        (node("Abs").replace('{"op": "Abs", "input": ["x"], "attr": {}}', "3"), "'op' has no node that can be read"),
        (node("Reshape", {"1": [1 << 40, 1]}), "works on sizes beyond"),
    ],
)
def test_nodes_that_cannot_be_carried_are_refused_by_name(described: Any, message: str) -> None:
    with pytest.raises(SavingError, match=message):
        model_from_json(described)
