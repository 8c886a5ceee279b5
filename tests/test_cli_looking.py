"""`seqc inspect` by layers, with times and pictures, and `seqc diff`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kit.cli_models import seqc, seqc_json
from seqc import Input, Model, Sequential, layers, utils
from seqc.cli._node_times import _medians
from seqc.cli._onnx import list_nodes

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's program dot is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with one model as .keras, and as .onnx in single and half precision and with other weights."""
    place = tmp_path_factory.mktemp("looking")
    utils.set_random_seed(4)
    image = Input((8, 8, 3), name="image")
    h = layers.Conv2D(4, 3, name="conv")(image)
    h = layers.Activation("relu", name="act")(layers.BatchNormalization(name="norm")(h))
    model = Model(image, layers.Dense(5, activation="softmax", name="scores")(layers.Flatten(name="flat")(h)))
    model.save(place / "m.keras")
    model.export(place / "a.onnx")
    model.export(place / "half.onnx", precision="float16")
    model.get_layer("scores").bias.assign(np.ones(5, "f"))
    model.export(place / "other.onnx")
    return place


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_without_graphviz_a_picture_is_refused_with_what_can_be_done_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pydot")
    monkeypatch.setattr("shutil.which", lambda program: None)
    told = seqc("inspect", "a.onnx", "--html", "a.html", code=2).stderr
    assert "or read the table of nodes, which needs no program." in " ".join(told.split())
    assert ".dot" not in told


# -- costs -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_costs_stand_by_layer(folder: Path) -> None:
    told = {row["name"]: row for row in seqc_json("inspect", "a.onnx", "--layers")["layers"]}
    conv, scores = told["conv"], told["scores"]
    assert (conv["parameters"], conv["weight_bytes"]) == (3 * 3 * 3 * 4 + 4, 4 * (3 * 3 * 3 * 4 + 4))
    assert conv["flops"] == 2 * 27 * 4 * 36 + 4 * 36
    assert conv["result_bytes"] == 4 * 4 * 36
    assert scores["flops"] == 2 * 144 * 5 + 5 + 5 * 5
    assert "norm" not in told
    assert "conv    Conv" in seqc("inspect", "a.onnx", "--layers").stdout


@pytest.mark.slow
def test_the_time_of_each_layer_is_measured() -> None:
    pytest.importorskip("seqc_runtime", reason="needs seqc-runtime")
    told = seqc_json("inspect", "a.onnx", "--time", "--size", "batch=4")
    times = {row["name"]: row["seconds"] for row in told["layers"]}
    assert (times["conv"], times["act"]) != (None, None)  # onnxruntime makes one node of both
    assert times["scores"] is not None
    assert 0 < sum(t for t in times.values() if t is not None) <= 2 * told["seconds"] + 1e-4


@pytest.mark.parametrize("option", ["--layers", "--time", "--netron"])
def test_what_only_an_onnx_file_has_is_refused_of_a_model(option: str) -> None:
    assert "looks into an .onnx file" in seqc("inspect", "m.keras", option, code=2).stderr


# -- pictures ----------------------------------------------------------------------------------------------------------


@needs_dot
@pytest.mark.parametrize("source", ["m.keras", "a.onnx"])
def test_pictures_have_a_box_for_each_node_and_a_frame_for_each_layer(source: str, folder: Path) -> None:
    pytest.importorskip("pydot", reason="pydot is not installed")
    seqc("inspect", source, "--svg", "p.svg", "--png", "p.png", "--html", "p.html")
    svg = (folder / "p.svg").read_text()
    nodes = [node.op_type for node in onnx.load("a.onnx").graph.node]
    ids = {"conv", "act", "scores"}
    assert {f'id="layer_{name}"' in svg for name in ids} == {True}
    assert svg.count('class="node"') == len(nodes) + 2
    assert svg.count('class="edge"') == len(nodes) + 1
    assert ("(Conv2D)" in svg) == (source == "m.keras")
    assert (folder / "p.png").read_bytes()[:4] == b"\x89PNG"
    page = (folder / "p.html").read_text()
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    # Layers that are in other nodes are shown, too.
    assert ("norm <small>BatchNormalization" in page) == (source == "m.keras")
    assert '<a href="#layer_conv">' in page


@needs_dot
def test_names_in_a_picture_are_text(tmp_path: Path) -> None:
    pytest.importorskip("pydot", reason="pydot is not installed")
    evil = '"</svg><script>alert(1)</script>\\'
    x = helper.make_tensor_value_info(evil, TensorProto.FLOAT, [None])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])
    graph = helper.make_graph([helper.make_node("Relu", [evil], ["y"], name=f"{evil}/Relu")], "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), tmp_path / "e.onnx")
    seqc("inspect", tmp_path / "e.onnx", "--html", tmp_path / "e.html")
    page = (tmp_path / "e.html").read_text()
    assert "<script>" not in page
    assert page.count("</svg>") == 1


def test_a_picture_of_another_kind_is_refused_before_any_work() -> None:
    assert "must have a name that ends in .svg" in seqc("inspect", "a.onnx", "--svg", "p.txt", code=2).stderr


# -- diff --------------------------------------------------------------------------------------------------------------


def difference(a: str, b: str, code: int, *options: str) -> Any:
    pytest.importorskip("seqc_runtime", reason="needs seqc-runtime")
    return json.loads(seqc("diff", a, b, *options, "--json", code=code).stdout)


def test_a_file_is_as_itself() -> None:
    told = difference("a.onnx", "a.onnx", 0)
    assert (told["same"], told["ends"], told["texts"], told["nodes"]) == (True, [], [], [])
    assert told["distances"][0]["largest"] == 0


def test_other_weights_are_found_in_their_layer() -> None:
    told = difference("a.onnx", "other.onnx", 1)
    assert [(c["where"], c["what"]) for c in told["nodes"]] == [("scores", "weights")]
    assert told["distances"][0]["largest"] > 0
    assert told["distances"][0]["argmax_agreement"] == 1.0  # the same was added to every score


def test_half_precision_shows_its_conversions_and_its_loss() -> None:
    told = difference("a.onnx", "half.onnx", 1, "--size", "batch=16")
    found = {c["where"]: (c["first"], c["second"], c["what"]) for c in told["nodes"]}
    assert found == {
        "of no layer": ("Transpose", "Transpose Cast", "nodes"),
        "conv": ("Conv", "Conv", "types of weights, what they read"),
        "scores": ("Gemm Softmax", "Gemm Cast Softmax", "nodes"),
    }
    assert ["seqc.precision", "-", "float16"] in told["texts"]
    assert 0 < told["distances"][0]["largest"] < 2e-3


def rewritten(folder: Path, name: str, change: Any) -> str:
    model = onnx.load(folder / "a.onnx")
    change(model.graph)
    onnx.save(model, folder / name)
    return name


@pytest.mark.slow
def test_attributes_ends_and_connections_count(folder: Path) -> None:
    def axis(graph: Any) -> None:
        next(n for n in graph.node if n.op_type == "Softmax").attribute[0].i = 0

    def rename(graph: Any) -> None:
        graph.input[0].name = graph.node[0].input[0] = "photo"

    def connect(graph: Any) -> None:
        relu = next(n for n in graph.node if n.op_type == "Relu")
        conv = next(n for n in graph.node if n.op_type == "Conv")
        relu.input[0] = conv.input[0]

    assert [c["what"] for c in difference("a.onnx", rewritten(folder, "x.onnx", axis), 1)["nodes"]] == ["attributes"]
    told = difference("a.onnx", rewritten(folder, "r.onnx", rename), 1)
    assert [row[0] for row in told["ends"]] == ["input 0"]
    assert told["distances"][0]["largest"] == 0
    told = difference("a.onnx", rewritten(folder, "c.onnx", connect), 1)
    assert [c["what"] for c in told["nodes"]] == ["what they read"]
    assert "not run" in told["distances"]


def test_files_without_common_names_are_compared_along_their_nodes(folder: Path) -> None:
    def strip(graph: Any) -> None:
        for node in graph.node:
            node.name = ""
        relu = next(n for n in graph.node if n.op_type == "Relu")
        relu.op_type = "LeakyRelu"

    told = difference("a.onnx", rewritten(folder, "s.onnx", strip), 1)
    assert [(c["first"], c["second"]) for c in told["nodes"]] == [("Relu", "LeakyRelu")]
    assert told["distances"][0]["largest"] > 0


def test_what_is_no_model_is_refused(folder: Path) -> None:
    assert "a .keras file; an ONNX model was expected" in seqc("diff", "a.onnx", "m.keras", code=2).stderr
    broken = onnx.load(folder / "a.onnx")
    broken.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros(3, "f"), broken.graph.initializer[0].name))
    broken.graph.initializer[0].raw_data = b"abc"
    onnx.save(broken, folder / "broken.onnx")
    assert "weights that cannot be read" in seqc("diff", "a.onnx", "broken.onnx", code=2).stderr


# -- verify --bisect ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_bisect_finds_no_layer_in_a_right_file() -> None:
    for name in ("a.onnx", "half.onnx"):
        told = seqc_json("verify", name, "--against", "m.keras", "--bisect")
        assert {row["layer"] for row in told["layers"]} == {"conv", "act", "flat", "scores"}
        assert all(row["error"] <= row["budget"] and not row["wrong"] for row in told["layers"])


def test_bisect_names_the_first_layer_that_is_off(folder: Path) -> None:
    def nudge(graph: Any) -> None:
        kernel = next(t for t in graph.initializer if t.name == "scores/kernel")
        array = numpy_helper.to_array(kernel).copy()
        array[:, 0] += 1e-3
        kernel.CopyFrom(numpy_helper.from_array(array, kernel.name))

    result = seqc("verify", rewritten(folder, "n.onnx", nudge), "--against", "m.keras", "--bisect", code=1)
    assert "The first is 'scores'." in result.stdout
    assert re.search(r"conv .* ok", result.stdout)
    assert re.search(r"scores .* FAILED", result.stdout)


def test_bisect_needs_a_model_and_the_names_that_seqc_gives(folder: Path) -> None:
    def rename(graph: Any) -> None:
        old = graph.node[1].output[0]
        for node in graph.node:
            node.input[:] = ["hidden" if x == old else x for x in node.input]
            node.output[:] = ["hidden" if y == old else y for y in node.output]

    assert "given with --against" in seqc("verify", "a.onnx", "--bisect", code=2).stderr
    name = rewritten(folder, "h.onnx", rename)
    assert "has no 'conv/Conv' inside" in seqc("verify", name, "--against", "m.keras", "--bisect", code=1).stdout


def test_functions_of_a_file_are_looked_into(tmp_path: Path) -> None:
    for name in ("relu", "tanh"):
        utils.set_random_seed(0)
        model = Sequential([Input((3,)), layers.Dense(4, name, name="h")])
        model.export(tmp_path / f"{name}.onnx", functions=True, verbose=False)
    a, b = (str(tmp_path / f"{name}.onnx") for name in ("relu", "tanh"))
    assert [change["what"] for change in difference(a, b, 1)["nodes"]] == ["nodes"]
    assert seqc_json("inspect", a)["totals"]["flops"] == 32


def test_weights_in_constant_nodes_are_parameters() -> None:
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", d]) for n, d in (("x", 4), ("y", 3))]
    value = numpy_helper.from_array(np.ones((4, 3), np.float32))
    nodes = [helper.make_node("Constant", [], ["w"], value=value), helper.make_node("MatMul", ["x", "w"], ["y"])]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    assert sum(node.parameters for node in list_nodes(helper.make_model(graph), {})) == 12


def test_nodes_that_onnxruntime_joined_are_timed_at_their_layer() -> None:
    names = ("fused h/Gemm_kernel_time", "k/Gemm_kernel_time")
    events: list[dict[str, Any]] = [{"cat": "Node", "name": name, "dur": 2} for name in names]
    events.append({"name": "model_run", "dur": 4})
    assert {*_medians(events)[0]} == {"h/Gemm", "k/Gemm"}
