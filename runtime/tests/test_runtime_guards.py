"""Sequences of which nothing is left inside a model: onnxruntime would end the process."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="it writes the files")
import onnx
from onnx import TensorProto, helper, numpy_helper

import seqc_runtime
from seqc_runtime.empties import release_of
from seqc_runtime.guards import GUARD, guarded, with_guards
from seqc_runtime.source import open_source

Run = Callable[..., subprocess.CompletedProcess[str]]
UNITS, FEATURES = 2, 3


def model(op: str, before: list[onnx.NodeProto], place: str = "graph", ahead: str = "cut") -> onnx.ModelProto:
    """A recurrent operator over what nodes make of x (time, batch, features): in the graph, a branch or a function."""
    rng, gates = np.random.default_rng(0), {"GRU": 3, "LSTM": 4, "RNN": 1}[op]
    weights = {
        "w": rng.standard_normal((1, gates * UNITS, FEATURES)).astype(np.float32),
        "r": rng.standard_normal((1, gates * UNITS, UNITS)).astype(np.float32),
        "two": np.array([2]),
        "end": np.array([2**31]),
        "axis": np.array([0]),
        "some": np.array(0.5, np.float32),
    }
    node = helper.make_node(op, [ahead, "w", "r"], ["y", "h"], hidden_size=UNITS, name="recurrent")
    functions, nodes = [], [node]
    if place == "branch":
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", "h")]
        body = helper.make_graph([node], "body", [], outputs)
        size = helper.make_node("Size", ["x"], ["size"])
        yes = helper.make_node("Cast", ["size"], ["yes"], to=TensorProto.BOOL)
        nodes = [size, yes, helper.make_node("If", ["yes"], ["y", "h"], then_branch=body, else_branch=body)]
    elif place == "function":
        opset = [helper.make_opsetid("", 17)]
        inputs = [ahead, "w", "r"]
        functions = [helper.make_function("mine", "Reading", inputs, ["y", "h"], [node], opset)]
        nodes = [helper.make_node("Reading", inputs, ["y", "h"], domain="mine")]
    graph = helper.make_graph(
        [*before, *nodes],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["time", "batch", FEATURES])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["steps", 1, "rows", UNITS]),
            helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, "rows", UNITS]),
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=8)


SLICE = [helper.make_node("Slice", ["x", "two", "end", "axis"], ["cut"])]
# Rows whose first number is large.
ROWS = [
    helper.make_node("ReduceMax", ["x"], ["largest"], axes=[0, 2], keepdims=0),
    helper.make_node("Greater", ["largest", "some"], ["chosen"]),
    helper.make_node("Compress", ["x", "chosen"], ["cut"], axis=1),
]
CASES = {
    "a slice": model("GRU", SLICE),
    "a slice, in a branch": model("GRU", SLICE, "branch"),
    "a slice, in a function": model("GRU", SLICE, "function"),
    "rows": model("GRU", ROWS),
    "rows of an LSTM": model("LSTM", ROWS),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("threshold", [None, 48], ids=["one file", "weights beside it"])
def test_nothing_left_inside_a_model_is_an_error(
    name: str, threshold: int | None, tmp_path: Path, run_python: Run
) -> None:
    import onnxruntime

    if threshold is not None and release_of(onnxruntime.__version__) < (1, 21):
        pytest.skip("this release reads weights beside a file only from the file itself")
    path, large = tmp_path / "m.onnx", np.ones((4, 2, FEATURES), np.float32)
    keeping: dict[str, Any] = {} if threshold is None else {"save_as_external_data": True, "size_threshold": threshold}
    onnx.save(onnx.ModelProto.FromString(CASES[name].SerializeToString()), path, location="m.data", **keeping)
    assert (tmp_path / "m.data").exists() == (threshold is not None)
    small = large[:2] if "slice" in name else 0 * large
    np.savez(tmp_path / "x.npz", large=large, small=small)
    script = """
import numpy as np
import seqc_runtime
model = seqc_runtime.load("m.onnx", device="cpu", warm_up=False)
arrays = np.load("x.npz")
np.save("y.npy", model.predict(arrays["large"])[0])
try:
    model.predict(arrays["small"])
except seqc_runtime.RuntimeInputError as error:
    print(error)
"""
    done = run_python(script)
    assert "nothing is left of the input for a GRU or LSTM to read" in done.stdout, done.stderr
    bare = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert np.array_equal(np.load(tmp_path / "y.npy"), bare.run(None, {"x": large})[0])


def test_weights_beside_the_file_are_left_to_releases_that_find_them(tmp_path: Path) -> None:
    made = onnx.ModelProto.FromString(CASES["a slice"].SerializeToString())
    onnx.save(made, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=48)
    source = open_source(tmp_path / "m.onnx")
    assert with_guards(source, "1.20.1") is None
    assert with_guards(source, "1.21.0") is not None


def test_a_file_keeps_all_else_and_an_lstm_over_no_steps_its_zeros() -> None:
    made = model("LSTM", SLICE)
    changed = onnx.ModelProto.FromString(guarded(made.SerializeToString()))
    onnx.checker.check_model(changed, full_check=True)
    constant, reshape, lstm = changed.graph.node[1:]
    assert (constant.op_type, reshape.op_type, reshape.input[0]) == ("Constant", "Reshape", "cut")
    assert lstm.input == [f"{GUARD}.0", "w", "r"]
    lstm.input[0] = "cut"
    del changed.graph.node[1:3]
    assert changed == made
    y, h = seqc_runtime.load(made.SerializeToString(), device="cpu").predict(np.ones((2, 2, FEATURES), np.float32))
    assert y.shape == (0, 1, 2, UNITS)
    assert not h.any()


def test_names_of_the_file_are_not_taken_and_files_that_lose_nothing_are_left_alone() -> None:
    taken = model("GRU", [helper.make_node("Slice", ["x", "two", "end", "axis"], [f"{GUARD}.0"])], ahead=f"{GUARD}.0")
    y, _ = seqc_runtime.load(taken.SerializeToString(), device="cpu").predict(np.ones((4, 2, FEATURES), np.float32))
    assert y.shape == (2, 1, 2, UNITS)
    for plain in (model("GRU", [], ahead="x"), model("RNN", SLICE)):
        data = plain.SerializeToString()
        assert with_guards(open_source(data), "1.32.0") in (None, (data, {}))
