"""Two files are the same only where their numbers are: heads, tables, captured weights, and inputs of whole numbers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import seqc as keras
from seqc import layers

onnx = pytest.importorskip("onnx", reason="needs onnx")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from seqc.cli import app  # noqa: E402
from seqc.cli._integer_inputs import integer_inputs  # noqa: E402


def run(*arguments: str) -> tuple[int, Any]:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    return done.exit_code, json.loads(done.stdout)


def written(path: Path, nodes: list[Any], outputs: list[str], weights: dict[str, Any]) -> str:
    ports = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])]
    kinds = [TensorProto.INT64 if y == "places" else TensorProto.FLOAT for y in outputs]
    ends = [helper.make_tensor_value_info(y, kind, None) for y, kind in zip(outputs, kinds, strict=True)]
    held = [numpy_helper.from_array(np.asarray(w, np.float32), name) for name, w in weights.items()]
    graph = helper.make_graph(nodes, "g", ports, ends, held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return str(path)


def with_a_branch(weight: float) -> tuple[list[Any], list[str], dict[str, Any]]:
    inside = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])], "b", [], [helper.make_tensor_value_info("y", 1, None)]
    )
    yes = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True)))
    branch = helper.make_node("If", ["yes"], ["z"], then_branch=inside, else_branch=inside)
    return [yes, branch], ["z"], {"w": [weight]}


NODES = [
    helper.make_node("Neg", ["x"], ["p"], name="l/Neg"),
    helper.make_node("Exp", ["x"], ["q"], name="l/Exp"),
    helper.make_node("Neg", ["q"], ["r"], name="l/Neg_1"),
]


def difference(a: str, b: str) -> list[Any]:
    return [*NODES, helper.make_node("Sub", [a, b], ["y"], name="l/Sub")]


PAIRS: dict[str, tuple[Any, Any]] = {
    "heads that are swapped": ((NODES, ["p", "r"], {}), (NODES, ["r", "p"], {})),
    "a weight that a branch reads": (with_a_branch(2), with_a_branch(3)),
    "a weight that is an output": ((NODES, ["p", "w"], {"w": [1]}), (NODES, ["p", "w"], {"w": [2]})),
    "operands of one kind the other way round": (
        (difference("p", "r"), ["y"], {}),
        (difference("r", "p"), ["y"], {}),
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_files_with_other_numbers_are_not_the_same(pair: str, tmp_path: Path) -> None:
    one, other = (written(tmp_path / name, *made) for name, made in zip(("a.onnx", "b.onnx"), PAIRS[pair], strict=True))
    code, said = run("diff", one, other)
    assert (code, said["same"]) == (1, False)
    assert said["nodes"]
    assert run("diff", one, one)[0] == 0


def test_a_file_that_draws_numbers_is_like_its_copy(tmp_path: Path) -> None:
    nodes = [helper.make_node("RandomNormalLike", ["x"], ["n"]), helper.make_node("Add", ["x", "n"], ["y"])]
    one, other = (written(tmp_path / f"{name}.onnx", nodes, ["y"], {}) for name in "ab")
    assert run("diff", one, other)[0] == 0


def test_files_of_a_single_number_are_compared(tmp_path: Path) -> None:
    nodes = [helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0), helper.make_node("Mul", ["s", "w"], ["y"])]
    one, other = (written(tmp_path / f"{w}.onnx", nodes, ["y"], {"w": w}) for w in (2, 3))
    code, said = run("diff", one, other)
    assert code == 1
    assert said["distances"][0]["largest"] == pytest.approx(said["distances"][0]["scale"] / 2)
    assert run("diff", one, one)[0] == 0


def test_places_in_a_table_are_not_those_of_one_that_a_body_reads() -> None:
    inside = helper.make_graph(
        [helper.make_node("Gather", ["small", "i"], ["y"])], "b", [], [helper.make_tensor_value_info("y", 1, None)]
    )
    nodes = [
        helper.make_node("Gather", ["large", "i"], ["x"]),
        helper.make_node("If", ["yes"], ["z"], then_branch=inside, else_branch=inside),
    ]
    tables = [numpy_helper.from_array(np.zeros((n, 2), np.float32), name) for name, n in (("large", 99), ("small", 3))]
    ports = [helper.make_tensor_value_info("i", TensorProto.INT64, ["batch"])]
    assert [*integer_inputs(helper.make_graph(nodes[:1], "g", ports, [], tables))["i"]] == [*range(99)]
    assert integer_inputs(helper.make_graph(nodes, "g", ports, [], tables)) == {}


def test_places_in_a_table_are_all_drawn(tmp_path: Path) -> None:
    stack = [keras.Input((5,), dtype="int32"), layers.Embedding(50, 8), layers.Flatten(), layers.Dense(3)]
    keras.Sequential(stack).export(tmp_path / "a.onnx", record=False)
    other = onnx.load(tmp_path / "a.onnx")
    (table,) = [t for t in other.graph.initializer if list(t.dims) == [50, 8]]
    rows = numpy_helper.to_array(table).copy()
    rows[2:] = rows[:1:-1]
    table.CopyFrom(numpy_helper.from_array(rows, table.name))
    onnx.save(other, tmp_path / "b.onnx")
    assert run("verify", str(tmp_path / "b.onnx"), "--against", str(tmp_path / "a.onnx"))[0] == 1


def test_bytes_of_an_image_are_all_drawn(tmp_path: Path) -> None:
    image = keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(3)])
    for name, scale in (("a", 1 / 127.5), ("b", 1 / 130)):
        image.export(tmp_path / f"{name}.onnx", input_dtype="uint8", rescale=(scale, -1), record=False)
    against = ["--against", str(tmp_path / "a.onnx"), "--budget", "0.001"]
    assert run("verify", str(tmp_path / "b.onnx"), *against)[0] == 1


def test_what_is_never_finite_has_not_been_compared(tmp_path: Path) -> None:
    logs = [
        helper.make_node("Abs", ["x"], ["a"]),
        helper.make_node("Neg", ["a"], ["n"]),
        helper.make_node("Log", ["n"], ["l"]),
    ]
    files = [
        written(tmp_path / f"{w}.onnx", [*logs, helper.make_node("Mul", ["l", "w"], ["y"])], ["y"], {"w": [w]})
        for w in (1, 3)
    ]
    code, said = run("verify", files[0], "--against", files[1])
    assert code == 1, said
    assert "finite" in json.dumps(said)


def test_an_output_that_is_empty_in_both_is_the_same_beside_others(tmp_path: Path) -> None:
    found = [helper.make_node("Greater", ["x", "w"], ["g"]), helper.make_node("NonZero", ["g"], ["places"])]
    numbers = [helper.make_node("Mul", ["x", "v"], ["y"])]
    many, more, alone = (
        written(tmp_path / f"{name}.onnx", nodes, ends, {"w": 1e9, "v": weight})
        for name, nodes, ends, weight in (
            ("many", found + numbers, ["places", "y"], 2),
            ("more", found + numbers, ["places", "y"], 3),
            ("alone", found, ["places"], 2),
        )
    )
    code, said = run("verify", many, "--against", many)
    assert code == 0, said
    assert run("verify", many, "--against", more)[0] == 1
    assert run("verify", alone, "--against", alone)[0] == 1


def test_of_an_output_without_rows_no_share_of_them_is_said(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    nodes = [
        helper.make_node("Greater", ["x", "w"], ["g"]),
        helper.make_node("NonZero", ["g"], ["found"]),
        helper.make_node("Cast", ["found"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["f"], ["y"]),
    ]
    path = written(tmp_path / "a.onnx", nodes, ["y"], {"w": 1e9})
    code, said = run("diff", path, path)
    assert (code, said["distances"][0]["argmax_agreement"]) == (0, None)
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


# -- files that fix what others leave open ----------------------------------------------------------------------------

# Rows and steps of the sequences: None is open.
SIZES = {"open": (None, None), "steps": (None, 6), "rows": (4, None), "both": (4, 6)}


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files of one model of sequences, which fix other sizes each, and one with other weights."""
    folder = tmp_path_factory.mktemp("sequences")
    weights: Any = None
    for name, (rows, steps) in SIZES.items():
        model = keras.Sequential([keras.Input((steps, 3), batch_size=rows), layers.GRU(4), layers.Dense(2)])
        weights = weights or model.get_weights()
        model.set_weights(weights)
        model.export(folder / f"{name}.onnx", verbose=False)
    model.set_weights([w * 1.01 for w in weights])
    model.export(folder / "other.onnx", record=False)
    return folder


@pytest.mark.parametrize("first", SIZES)
@pytest.mark.parametrize("second", SIZES)
def test_a_file_of_fixed_sizes_is_the_open_one(sequences: Path, first: str, second: str) -> None:
    a, b = (str(sequences / f"{name}.onnx") for name in (first, second))
    code, told = run("verify", a, "--against", b)
    assert code == 0, told
    assert all(output["error"] < 1e-5 and output["compared"] for output in told["outputs"])
    assert run("verify", str(sequences / "other.onnx"), "--against", b)[0] == 1
    apart = run("diff", a, b)[1]["distances"]
    assert [one["largest"] < 1e-5 for one in apart] == [True]


def test_a_size_that_is_given_for_the_batch_is_taken(sequences: Path) -> None:
    path = str(sequences / "open.onnx")
    compared = []
    for rows in (3, 11):
        told = run("verify", path, "--against", str(sequences / "other.onnx"), "--size", "batch=4", "--budget", "1")[1]
        assert told["passed"]
        twin = str(sequences / "steps.onnx")
        compared.append(run("verify", twin, "--against", path, "--size", f"batch={rows}")[1]["outputs"][0]["compared"])
    assert compared[1] - compared[0] == (11 - 3) * 2


def test_a_file_alone_runs_on_batches_of_the_size_that_is_given(sequences: Path) -> None:
    checks = run("verify", str(sequences / "open.onnx"), "--size", "batch=3", "--size", "time=5")[1]["checks"]
    assert [check["detail"] for check in checks if check["name"] == "runs"] == ["batches of 3, time 5"]


@pytest.mark.parametrize("command", [["verify", "--against"], ["diff"]])
def test_a_size_that_one_of_two_files_has_otherwise_is_refused(sequences: Path, command: list[str]) -> None:
    name, *option = command
    files = [str(sequences / "open.onnx"), *option, str(sequences / "both.onnx")]
    code, told = run(name, *files, "--size", "batch=5")
    assert (code, told["error"]) == (2, "--size batch=5: one of the files fixes that axis at 4.")


def test_axes_of_one_name_have_one_size() -> None:
    from seqc.cli._narrowed import fits, narrowed
    from seqc_runtime.tensors import TensorInfo

    def file(**shapes: tuple[int | str, ...]) -> SimpleNamespace:
        infos = [TensorInfo(name, "float32", shape) for name, shape in shapes.items()]
        return SimpleNamespace(inputs=infos[:-1], outputs=infos[-1:], predict=None)

    model = file(a=("n", 3, "?"), b=("n", "?"), y=("n", "m"))
    other = {x.name: x for x in file(a=(4, 3, 5), b=("k", "?"), y=("k", "m")).inputs}
    found = narrowed(model, other)
    assert [x.shape for x in (*found.inputs, *found.outputs)] == [(4, 3, 5), (4, "?"), (4, "m")]
    assert fits({"a": np.ones((4, 3, 5)), "b": np.ones((4, 1))}, found.inputs)
    assert not fits({"a": np.ones((4, 3, 5)), "b": np.ones((5, 1))}, found.inputs)
    assert not fits({"a": np.ones((4, 3)), "b": np.ones((4, 1))}, found.inputs)


def test_ranges_found_in_each_batch_move_a_sample_a_little(tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization", reason="needs onnxruntime's quantization")
    stack = [keras.Input((30,)), layers.Dense(64, "relu"), layers.Dense(5, "softmax")]
    keras.Sequential(stack).export(tmp_path / "a.onnx", record=False)
    quantization.quantize_dynamic(tmp_path / "a.onnx", tmp_path / "b.onnx", weight_type=quantization.QuantType.QUInt8)
    code, told = run("verify", str(tmp_path / "b.onnx"))
    assert code == 0, told
    (rows,) = [check["detail"] for check in told["checks"] if check["name"] == "rows"]
    assert rows.endswith("as each batch finds the ranges of its 8 bits")
