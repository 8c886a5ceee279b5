"""Files made to mislead: `inspect`, `verify` and `predict` say what is wrong with them, soon and with little memory."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kit.cli_models import seqc, seqc_json
from kit.effort import effort

pytest.importorskip("seqc_runtime", reason="needs seqc-runtime")

FLOAT = TensorProto.FLOAT
NASTY = "\x1b[2J\x07\u202e[red]x[/red]\n"
SHOWN = r"\x1b[2J\x07\u202e[red]x[/red]\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def model(
    nodes: list[Any] | None = None,
    shape: Any = ("n", 3),
    kind: int = FLOAT,
    weights: list[Any] | None = None,
    functions: list[Any] | None = None,
    name: str = "x",
    **more: Any,
) -> Any:
    """A model of one Relu from x to y, or of other nodes."""
    ends = [helper.make_tensor_value_info(end, kind, list(shape)) for end in (name, "y")]
    nodes = nodes or [helper.make_node("Relu", [name], ["y"], name="node")]
    graph = helper.make_graph(nodes, "made", ends[:1], ends[1:], weights or [])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("me", 1)]
    return helper.make_model(graph, ir_version=8, opset_imports=opsets, functions=functions or [], **more)


def function(name: str, *calls: str) -> Any:
    nodes = [helper.make_node(c, [f"v{i}"], [f"v{i + 1}"], domain="me") for i, c in enumerate(calls)]
    nodes.append(helper.make_node("Relu", [f"v{len(calls)}"], ["out"]))
    return helper.make_function(
        "me", name, ["v0"], ["out"], nodes, [helper.make_opsetid("", 18), helper.make_opsetid("me", 1)]
    )


def calling(*functions: Any) -> Any:
    return model([helper.make_node("F0", ["x"], ["y"], domain="me")], functions=list(functions))


def unknown_weight() -> Any:
    weight = numpy_helper.from_array(np.ones((3, 3), np.float32), "w")
    weight.data_type = 99
    return model([helper.make_node("MatMul", ["x", "w"], ["y"])], weights=[weight])


def huge_constant() -> Any:
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["a"]),
        helper.make_node("ReduceSum", ["a"], ["b"]),
        helper.make_node("Add", ["x", "b"], ["y"]),
    ]
    return model(nodes, weights=[numpy_helper.from_array(np.array([2_000_000_000]), "s")])


VERIFIED: list[tuple[str, Callable[[], Any], str]] = [
    ("a weight of an unknown type", unknown_weight, "Invalid tensor data type 99."),
    ("an input of an unknown type", lambda: model(kind=99), "Invalid tensor data type 99."),
    (
        "an input of 1 GB",
        lambda: model(shape=("n", 300_000_000)),
        "not tried: the inputs hold 300,000,000 numbers",
    ),
    (
        "an input beyond all memory",
        lambda: model(shape=("n", 2**40, 2**40)),
        "a tensor of 1,208,925,819,614,629,174,706,176",
    ),
    (
        "an input of 300 axes",
        lambda: model(shape=("n", *[1] * 299)),
        "input 'x' has 300 axes; NumPy's arrays have at most 64",
    ),
    ("a constant of 8 GB", huge_constant, "not tried: a ConstantOfShape node makes a tensor of 2,000,000,000 numbers"),
]


@pytest.mark.parametrize(("make", "message"), [c[1:] for c in VERIFIED], ids=[c[0] for c in VERIFIED])
def test_verify_fails_a_check_and_says_why(make: Callable[[], Any], message: str) -> None:
    Path("m.onnx").write_bytes(make().SerializeToString())
    result = seqc_json("verify", "m.onnx", code=1)
    assert message in " ".join(check["detail"] for check in result["checks"])
    assert not result["passed"]
    assert seqc("inspect", "m.onnx").stdout.startswith("m.onnx (")


REFUSED: list[tuple[str, Callable[[], Any], str]] = [
    (
        "a function that calls itself",
        lambda: calling(function("F0", "F0")),
        "A function of the model calls itself: 'F0'.",
    ),
    (
        "functions in a ring",
        lambda: calling(function("F0", "F1"), function("F1", "F2"), function("F2", "F0")),
        "A function of the model calls itself: 'F0'.",
    ),
    (
        "functions that call each other twice",
        lambda: calling(*(function(f"F{i}", f"F{i + 1}", f"F{i + 1}") for i in range(40)), function("F40")),
        "holds more than 1,000,000 nodes",
    ),
]


@pytest.mark.parametrize("command", ["inspect", "verify"])
@pytest.mark.parametrize(("make", "message"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_functions_without_end_are_refused_at_once(make: Callable[[], Any], message: str, command: str) -> None:
    Path("m.onnx").write_bytes(make().SerializeToString())
    start = time.process_time()
    assert message in seqc(command, "m.onnx", code=2).stderr
    assert time.process_time() - start < 5


def test_functions_that_end_are_read() -> None:
    Path("m.onnx").write_bytes(calling(function("F0", "F1", "F1"), function("F1")).SerializeToString())
    found = seqc_json("inspect", "m.onnx")["nodes_by_type"]
    assert (found.keys(), found["Relu"] > 1) == ({"Relu"}, True)
    assert seqc_json("verify", "m.onnx")["passed"]


def test_functions_that_make_much_of_little_stay_functions() -> None:
    chain = calling(*(function(f"F{i}", f"F{i + 1}", f"F{i + 1}") for i in range(17)), function("F17"))
    Path("m.onnx").write_bytes(chain.SerializeToString())
    assert seqc_json("inspect", "m.onnx")["nodes_by_type"] == {"F0": 1}


@pytest.mark.slow
def test_a_chain_of_many_functions_is_read_in_time() -> None:
    from seqc.cli._onnx_checks import MOST_NODES, inlined_nodes

    chain = [function(f"F{i}", f"F{i + 1}") for i in range(3000)] + [function("F3000")]
    start = time.process_time()
    assert inlined_nodes(calling(*chain)) == 3001
    doubled = [function(f"F{i}", *[f"F{i + 1}"] * 2) for i in range(3000)] + [function("F3000")]
    assert inlined_nodes(calling(*doubled)) == MOST_NODES + 1
    assert time.process_time() - start < 5


@pytest.mark.parametrize("command", [["inspect"], ["verify"]])
@pytest.mark.parametrize("place", ["producer_name", "name", "dim_param", "key", "doc_string"])
def test_text_that_is_no_text_is_damage(command: list[str], place: str) -> None:
    mark = "MARKMARK"
    made = model(
        [helper.make_node("Relu", ["x"], ["y"], name=mark if place == "name" else "n")],
        (mark if place == "dim_param" else "n", 3),
        producer_name=mark if place == "producer_name" else "p",
        doc_string=mark if place == "doc_string" else "d",
    )
    helper.set_model_props(made, {mark if place == "key" else "k": "v"})
    Path("m.onnx").write_bytes(made.SerializeToString().replace(mark.encode(), b"AB\xff\xfeMARK"))
    assert f"m.onnx is not an ONNX file, or is damaged: field '{place}' of a" in seqc(*command, "m.onnx", code=2).stderr


@pytest.mark.slow
def test_names_that_a_terminal_would_obey_are_shown_by_every_command() -> None:
    node = helper.make_node("Relu", [NASTY], ["y"], name=NASTY)
    made = model([node], (NASTY, 3), name=NASTY, producer_name=NASTY)
    helper.set_model_props(made, {NASTY: NASTY})
    Path("m.onnx").write_bytes(made.SerializeToString())
    np.save("x.npy", np.zeros((2, 4)))
    for arguments, code in ((["inspect"], 0), (["verify"], 0), (["predict"], 2)):
        more = ["x.npy", "-o", "y.npy"] if arguments == ["predict"] else []
        result = seqc(*arguments, "m.onnx", *more, code=code)
        shown = result.stdout + result.stderr
        assert r"\x1b[2J\x07\u202e[red]x[/red]" in shown
        assert not set(shown) & set("\x1b\x07\u202e")
    assert SHOWN in seqc("inspect", "m.onnx").stdout
    assert seqc_json("inspect", "m.onnx")["nodes"][0]["name"] == NASTY


def test_an_author_cannot_hide_a_layer_from_inspect() -> None:
    Path("m.py").write_text(
        f"import seqc\nmodel = seqc.Sequential([seqc.Input((2,)), seqc.layers.Dense(1, name={NASTY!r})])\n"
    )
    assert SHOWN in seqc("inspect", "m.py").stdout
    assert "\x1b" not in seqc("inspect", "m.py").stdout


@pytest.mark.slow
def test_a_megabyte_of_name_is_shortened() -> None:
    made = model([helper.make_node("Relu", ["x"], ["y"], name="n" * 10**6)])
    made.graph.node.extend(helper.make_node("Relu", ["x"], [f"y{i}"]) for i in range(100))
    helper.set_model_props(made, {"k" * 10**6: "v" * 10**6})
    Path("m.onnx").write_bytes(made.SerializeToString())
    text = seqc("inspect", "m.onnx").stdout
    assert max(map(len, text.splitlines()[10:])) < 500
    assert len(seqc_json("inspect", "m.onnx")["nodes"][0]["name"]) == 10**6


def test_values_that_are_no_tensors_are_named() -> None:
    made = model([helper.make_node("SequenceConstruct", ["x", "x"], ["y"])])
    made.graph.output[0].CopyFrom(helper.make_tensor_sequence_value_info("y", FLOAT, None))
    Path("m.onnx").write_bytes(made.SerializeToString())
    assert "output      y sequence[]\n" in seqc("inspect", "m.onnx").stdout
    Path("t.onnx").write_bytes(model(kind=99).SerializeToString())
    assert "input       x <unknown type 99>[n, 3]\n" in seqc("inspect", "t.onnx").stdout


def test_the_numbers_of_large_weights_are_not_kept() -> None:
    from seqc.cli._onnx import read_model

    weight = numpy_helper.from_array(np.ones((1000, 1000), np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    Path("m.onnx").write_bytes(model([node], ("n", 1000), weights=[weight]).SerializeToString())
    assert read_model(Path("m.onnx")).ByteSize() < 1000
    result = seqc_json("inspect", "m.onnx")
    assert result["nodes"][0]["inputs"] == [[1, 1000], [1000, 1000]]
    assert result["totals"] == {"nodes": 1, "parameters": 1_000_000, "flops": 2_000_000}


def test_text_that_a_model_gives_is_written_as_text() -> None:
    made = model([helper.make_node("Identity", ["x"], ["y"])], ("n",), TensorProto.STRING)
    Path("m.onnx").write_bytes(made.SerializeToString())
    np.save("x.npy", np.array(["a", "longer", "ü"]))
    result = seqc_json("predict", "m.onnx", "x.npy", "-o", "y.npy")
    assert result["outputs"][0]["shape"] == [3]
    assert np.load("y.npy").tolist() == ["a", "longer", "ü"]


def test_an_array_is_not_copied_to_be_predicted() -> None:
    Path("m.onnx").write_bytes(model().SerializeToString())
    np.save("x.npy", np.ones((2_000_000, 3), np.float32))
    from seqc.cli._arrays import read_array

    tracemalloc.start()
    x = read_array(Path("x.npy"))
    assert tracemalloc.get_traced_memory()[0] < 2_000_000
    tracemalloc.stop()
    assert (x.shape, x.sum()) == ((2_000_000, 3), 6_000_000)


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, effort(4, 12)))])
def test_damaged_files_never_end_in_a_traceback(seed: int) -> None:
    rng = np.random.default_rng(seed)
    good = model(producer_name="producer", doc_string="text").SerializeToString()
    assert onnx.load_from_string(good)
    header = Path("good.npy")
    np.save(header, np.ones((2, 3), np.float32))
    array = header.read_bytes()
    for _ in range(effort(10, 25)):
        for name, content in (("m.onnx", good), ("x.npy", array)):
            damaged = bytearray(content)
            for at in rng.integers(0, len(damaged), rng.integers(1, 4)):
                damaged[at] = rng.integers(0, 256)
            Path(name).write_bytes(damaged[: rng.integers(1, len(damaged) + 200)])
        Path("good.onnx").write_bytes(good)
        for arguments in (["inspect", "m.onnx"], ["predict", "good.onnx", "x.npy", "-o", "y.npy"]):
            run_any(arguments)


def run_any(arguments: list[str]) -> None:
    """Runs a command whatever comes of it, but no mistake of ours."""
    from typer.testing import CliRunner

    from seqc.cli import app

    result = CliRunner().invoke(app, [*arguments, "--json"], prog_name="seqc")
    assert result.exit_code in (0, 2), result.stderr
    assert "mistake in seqc" not in result.stderr, result.stderr
    assert json.loads(result.stdout)
