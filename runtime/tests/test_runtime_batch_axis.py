"""Where samples lie among the axes of a model, and that all that cuts, fills up or counts them agrees on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from runtime_kit.fixtures import value

import seqc_runtime
from seqc_runtime import RuntimeInputError
from seqc_runtime.batches import Batch, find_batch
from seqc_runtime.score import score
from seqc_runtime.tensors import TensorInfo, read_info
from seqc_runtime.warming import warm_up

Make = Callable[..., bytes]
X = np.random.default_rng(0).standard_normal((11, 3)).astype(np.float32)
SCALE = np.array([1, -2, 3], np.float32)
TABLE = np.arange(6, dtype=np.float32).reshape(2, 3)


def info(name: str, *shape: int | str) -> TensorInfo:
    return TensorInfo(name, "float32", shape)


# Inputs, outputs -> the batch.
AXES: list[tuple[list[TensorInfo], list[TensorInfo], Batch | None]] = [
    ([info("x", "n", 3)], [info("y", "n", 2)], Batch("n", ("x",))),
    ([info("scale", 3), info("x", "n", 3)], [info("y", "n", 3)], Batch("n", ("x",))),
    ([info("table", "k", 3), info("x", "n", 3)], [info("y", "n")], Batch("n", ("x",))),
    ([info("scale", 3), info("x", 4, 3), info("z", 4)], [info("y", 4, 3)], Batch(4, ("x", "z"))),
    ([info("x", 4, 3), info("scale", 3)], [info("y", 4, 3), info("loss")], Batch(4, ("x",))),
    ([info("k"), info("x", "n", 3)], [info("y", "n")], Batch("n", ("x",))),
    # Outputs with names of their own.
    ([info("table", "k", 3), info("x", "batch", 3)], [info("y", "unk__7")], Batch("batch", ("x",))),
    ([info("a", "k", 3), info("x", "n", 3)], [info("y", "m")], Batch("k", ("a",))),
    ([info("x", "?", 3), info("z", "?", 2)], [info("y", "?")], Batch("?", ("x", "z"))),
    ([info("k")], [info("y", 3)], None),
    ([], [info("y", 3)], None),
]


@pytest.mark.parametrize(("inputs", "outputs", "expected"), AXES, ids=str)
def test_the_batch_is_the_axis_that_outputs_have(
    inputs: list[TensorInfo], outputs: list[TensorInfo], expected: Batch | None
) -> None:
    assert find_batch(inputs, outputs) == expected


@pytest.fixture
def scaled(make: Make) -> Callable[[int | str], bytes]:
    """y = x * scale + the table's sums, where x comes last and is the only one with samples."""

    def made(rows: int | str) -> bytes:
        nodes = [
            helper.make_node("Mul", ["x", "scale"], ["h"]),
            helper.make_node("ReduceSum", ["table", "axis"], ["t"], keepdims=0),
            helper.make_node("Add", ["h", "t"], ["y"]),
        ]
        inputs = [value("scale", [3]), value("table", ["k", 3]), value("x", [rows, 3])]
        return make(nodes, inputs, [value("y", [rows, 3])], {"axis": np.array([0])})

    return made


EXPECTED = X * SCALE + TABLE.sum(axis=0)
FEEDS = {"scale": SCALE, "table": TABLE, "x": X}


@pytest.mark.parametrize("step", [1, 2, 3, 11, 20])
def test_inputs_that_are_no_batch_go_whole_into_each_run(scaled: Callable[[int | str], bytes], step: int) -> None:
    model = seqc_runtime.load(scaled("n"), device="cpu")
    assert np.allclose(model.predict(FEEDS, batch_size=step), EXPECTED)
    assert np.allclose(np.concatenate(list(model.predict_iter(FEEDS, step))), EXPECTED)
    assert np.allclose(model.predict([SCALE, TABLE, X], batch_size=step), EXPECTED)


def test_a_fixed_batch_that_does_not_come_first_takes_whole_batches(scaled: Callable[[int | str], bytes]) -> None:
    model = seqc_runtime.load(scaled(5), device="cpu")
    assert np.allclose(model.predict({**FEEDS, "x": X[:10]}, batch_size=5), EXPECTED[:10])
    with pytest.raises(RuntimeInputError, match="takes 5 rows at a time, and 11 are no multiple"):
        model.predict(FEEDS, batch_size=5)


@pytest.mark.parametrize("rows", ["n", 4, 11, 30])
@pytest.mark.parametrize("count", [11, 1, 0])
def test_a_file_of_any_number_of_samples_is_scored(
    scaled: Callable[[int | str], bytes], tmp_path: Path, rows: int | str, count: int
) -> None:
    source, target = tmp_path / "in.npz", tmp_path / "out.npy"
    np.savez(source, scale=SCALE, table=TABLE, x=X[:count])
    assert score(seqc_runtime.load(scaled(rows), device="cpu"), source, target) == count
    y = np.load(target)
    assert y.shape == (count, 3)
    assert np.allclose(y, EXPECTED[:count])


def test_inputs_with_the_batch_need_as_many_samples(make: Make) -> None:
    nodes = [helper.make_node("Concat", ["a", "b"], ["y"], axis=1)]
    model = seqc_runtime.load(make(nodes, [value("a", ["n", 3]), value("b", ["n", 3])], [value("y", ["n", 6])]))
    with pytest.raises(RuntimeInputError, match="input 'b' has 2 rows, but input 'a' has 11"):
        list(model.predict_iter({"a": X, "b": X[:2]}, 4))


@pytest.mark.parametrize("name", ["", "?", "None", "none", "-1", "*", "unk", "UNKNOWN"])
def test_names_that_say_nothing_are_no_names(make: Make, name: str) -> None:
    nodes = [helper.make_node("MatMul", ["a", "b"], ["y"])]
    data = make(nodes, [value("a", [name, 3]), value("b", [3, name])], [value("y", [name, name])])
    model = seqc_runtime.load(data, device="cpu")
    assert [one.shape for one in model.inputs] == [("?", 3), (3, "?")]
    assert np.allclose(model.predict([X, X[:5].T]), X @ X[:5].T, atol=1e-5)


def test_a_name_that_says_something_stays(make: Make) -> None:
    argument = SimpleNamespace(name="x", type="tensor(float)", shape=["unk__3", 2, None, -1])
    assert read_info(argument, "input").shape == ("unk__3", 2, "?", "?")


# -- tables ---------------------------------------------------------------------------------------------------------

# Inputs -> the columns of a table -> which input gets which.
COLUMNS = [
    ({"x": 2, "x_1": 2}, ["x_0", "x_1_0", "x_1_1", "x_1"], None),
    ({"x": 2, "x_1": 1}, ["x_2", "x_1", "x_3"], {"x": ["x_2", "x_3"], "x_1": ["x_1"]}),
    ({"x": 1, "x_0": 1}, ["x_0", "x"], {"x": ["x"], "x_0": ["x_0"]}),
    ({"x": 2, "x_1": 2}, ["x_0", "x_1_0", "x_1_1", "x_2"], None),
    ({"a": 2, "a_1": 2}, ["a_1_0", "a_1_1", "a_5", "a_6"], {"a": ["a_5", "a_6"], "a_1": ["a_1_0", "a_1_1"]}),
]


@pytest.mark.parametrize(("inputs", "names", "expected"), COLUMNS)
def test_a_column_goes_into_one_input(
    inputs: dict[str, int], names: list[str], expected: dict[str, list[str]] | None
) -> None:
    from seqc_runtime.files.columns import lay_out

    infos = [info(name, "n", size) for name, size in inputs.items()]
    if expected is None:
        with pytest.raises(RuntimeInputError):
            lay_out(infos, names)
        return
    assert {part.info.name: list(part.columns) for part in lay_out(infos, names)} == expected


@pytest.mark.parametrize("rows", ["n", 4])
@pytest.mark.parametrize("keys", [["no", "yes"], [3, 7]])
def test_probabilities_by_class_are_columns(tmp_path: Path, rows: int | str, keys: list[Any]) -> None:
    classes: Any = {"classlabels_strings" if isinstance(keys[0], str) else "classlabels_int64s": keys}
    label = TensorProto.STRING if isinstance(keys[0], str) else TensorProto.INT64
    maps = helper.make_map_type_proto(label, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    nodes = [
        helper.make_node("Softmax", ["x"], ["p"]),
        helper.make_node("ZipMap", ["p"], ["probability"], domain="ai.onnx.ml", **classes),
    ]
    outputs = [helper.make_value_info("probability", helper.make_sequence_type_proto(maps)), value("p", [rows, 2])]
    graph = helper.make_graph(nodes, "zipmap", [value("x", [rows, 2])], outputs)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    data = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    source, target = tmp_path / "in.npy", tmp_path / "out.csv"
    np.save(source, X[:, :2])
    assert score(seqc_runtime.load(data, device="cpu"), source, target) == 11
    names = target.read_text().splitlines()[0].split(",")
    assert names == [*(f"probability_{key}" for key in keys), "p_0", "p_1"]
    found = np.loadtxt(target, delimiter=",", skiprows=1)
    assert found.shape == (11, 4)
    assert np.allclose(found[:, :2], found[:, 2:])


@pytest.mark.parametrize("rows", [1, 64])
def test_warming_up_runs_as_many_samples_as_asked_for(scaled: Callable[[int | str], bytes], rows: int) -> None:
    model = seqc_runtime.load(scaled("n"), device="cpu")
    shapes: list[dict[str, tuple[int, ...]]] = []
    warm_up(model.inputs, ("x",), rows, lambda feeds: shapes.append({name: x.shape for name, x in feeds.items()}))
    assert shapes == [{"scale": (3,), "table": (1, 3), "x": (rows, 3)}]
    model.warm_up(rows)
