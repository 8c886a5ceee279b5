"""Exported files: names, bytes, metadata, receipts, and that a failure leaves the file that was there."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.small_graphs import BATCH, GRAPHS, Weights, dense, graph, named
from seqc import ops
from seqc.errors import ExportError, MissingDependencyError, MissingFolderError, NoLoweringError, VerificationError
from seqc.export import compile_graph, export_graph, rename
from seqc.graph import ir
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph
from seqc.ops.elementwise import Unary
from seqc.ops.transcendental import Tanh
from seqc.passes.precision import promote_floats
from seqc.utils.files import write_file

onnx_models = pytest.importorskip("kit.onnx_models", reason="needs onnx")
backend = pytest.importorskip("seqc.backends.onnxruntime")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")


def vector(n: int = 3, name: str = "x") -> ir.Value:
    return ir.input_value(name, "float32", (BATCH, n))


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_is_exported_and_verified(name: str, tmp_path: Path) -> None:
    receipt = export_graph(GRAPHS[name](), tmp_path / "model.onnx")
    assert receipt.report is not None
    assert receipt.report.passed
    assert receipt.file_bytes == (tmp_path / "model.onnx").stat().st_size
    assert len(receipt.report.sizes) in (3, 7)


def test_the_file_computes_what_the_graph_does(tmp_path: Path) -> None:
    g = GRAPHS["flat_cnn_rgb"]()
    export_graph(g, tmp_path / "model.onnx")
    x = np.random.default_rng(0).normal(size=(4, 9, 8, 3)).astype("float32")
    got = backend.Session((tmp_path / "model.onnx").read_bytes(), threads=1).run({"image": x})["y"]
    np.testing.assert_allclose(got, Interpreter(g).run([x])[0], rtol=1e-5, atol=1e-6)


# -- bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRAPHS)
def test_the_same_model_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    for file in ("a.onnx", "b.onnx"):
        export_graph(GRAPHS[name](), tmp_path / file, verify=False)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


@pytest.mark.slow
def test_the_same_model_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from kit.small_graphs import GRAPHS\nfrom seqc.export import export_graph\n"
        "export_graph(GRAPHS['masked_text'](), sys.argv[1], verify=False)"
    )
    here = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    environment = {**os.environ, "PYTHONHASHSEED": "12"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.onnx"), *here], check=True, env=environment)
    export_graph(GRAPHS["masked_text"](), tmp_path / "b.onnx", verify=False)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_nothing_of_this_machine_is_in_the_file(tmp_path: Path) -> None:
    export_graph(GRAPHS["bn_cnn"](), tmp_path / "model.onnx")
    assert str(tmp_path).encode() not in (tmp_path / "model.onnx").read_bytes()


def test_metadata_is_small_and_in_order() -> None:
    model = compile_graph(GRAPHS["mlp"](), metadata={"b": "2", "a": "1"})
    assert [(p.key, p.value) for p in model.metadata_props][1:] == [("b", "2"), ("a", "1")]
    assert model.metadata_props[0].key == "seqc.version"
    assert model.producer_name == "seqc"
    assert re.fullmatch(r"\d+\.\d+.*", model.producer_version)


@pytest.mark.parametrize("side", ["input", "output"])
def test_the_layout_of_the_borders_is_in_the_metadata(side: str, tmp_path: Path) -> None:
    import onnx

    for first, said in ((False, "channels_last"), (True, "channels_first")):
        options: dict[str, Any] = {f"channels_first_{side}": first}
        receipt = export_graph(GRAPHS["segmentation"](), tmp_path / "model.onnx", **options)
        props = {p.key: p.value for p in onnx.load(tmp_path / "model.onnx").metadata_props}
        assert props[f"seqc.{side}_layout"] == said
        assert receipt.transposes == 2 - first


# -- names -----------------------------------------------------------------------------------------------------------


def test_nodes_and_weights_are_named_after_their_layers() -> None:
    model = compile_graph(GRAPHS["flat_cnn"]())
    assert [n.name for n in model.graph.node][1:] == [
        "conv/Conv", "relu/Relu", "pool/MaxPool", "flatten/Flatten", "dense/Gemm", "softmax/Softmax",
    ]  # fmt: skip
    weights = {t.name for t in model.graph.initializer}
    assert {"conv/kernel", "conv/bias", "dense/kernel", "dense/bias"} <= weights


@pytest.mark.parametrize("name", GRAPHS)
def test_names_are_unique(name: str) -> None:
    model = compile_graph(GRAPHS[name]())
    made = [o for n in model.graph.node for o in n.output]
    assert len(made) == len(set(made))
    nodes = [n.name for n in model.graph.node]
    assert len(nodes) == len(set(nodes))
    assert not {t.name for t in model.graph.initializer} & set(made)


def test_two_nodes_of_one_layer_are_numbered() -> None:
    x = vector()
    model = compile_graph(graph(x, named(lambda v: ops.tanh(ops.exp(ops.tanh(v))), "twice", x)))
    assert [n.name for n in model.graph.node] == ["twice/Tanh", "twice/Exp", "twice/Tanh_1"]


def test_an_output_may_be_called_like_a_node() -> None:
    x = vector()
    y = named(ops.tanh, "twice", named(ops.tanh, "twice", x))
    model = compile_graph(Graph((x,), (y,), ("twice/Tanh",)))
    assert [list(n.output) for n in model.graph.node] == [["twice/Tanh_1"], ["twice/Tanh"]]


def test_equal_weights_are_stored_once() -> None:
    w, x = Weights(), vector()
    same = w("a", 3).numpy()
    y = x * ir.constant(same, "a") + ops.tanh(x) * ir.constant(same.copy(), "b")
    assert [t.name for t in compile_graph(graph(x, y)).graph.initializer] == ["a"]


def test_weights_that_nothing_reads_are_left_out() -> None:
    model = compile_graph(GRAPHS["recurrent_norm"]())
    read = {i for n in model.graph.node for i in n.input}
    assert {t.name for t in model.graph.initializer} <= read


def test_inputs_and_outputs_can_be_renamed(tmp_path: Path) -> None:
    receipt = export_graph(GRAPHS["mlp"](), tmp_path / "m.onnx", input_names=["features"], output_names=["scores"])
    assert [p.name for p in receipt.inputs] == ["features"]
    assert [p.name for p in receipt.outputs] == ["scores"]
    session = backend.Session((tmp_path / "m.onnx").read_bytes())
    assert (session.input_names, session.output_names) == (("features",), ("scores",))


def test_as_many_names_as_inputs_are_needed() -> None:
    with pytest.raises(ExportError, match=re.escape("The model has 1 input(s) ['x']; got 2 names ['a', 'b'].")):
        rename(GRAPHS["mlp"](), ["a", "b"], None)


def test_an_input_and_an_output_cannot_share_a_name() -> None:
    x = vector()
    with pytest.raises(ExportError, match="'x' is there twice"):
        compile_graph(Graph((x,), (ops.tanh(x),), ("x",)))


# -- borders ---------------------------------------------------------------------------------------------------------


def run_one(g: Graph, x: Any) -> dict[str, Any]:
    results: dict[str, Any] = backend.Session(onnx_models.content(compile_graph(g)), threads=1).run({"x": x})
    return results


def test_an_output_that_is_an_input() -> None:
    x = vector()
    assert run_one(Graph((x,), (x,), ("y",)), np.eye(3, dtype="float32"))["y"].tolist() == np.eye(3).tolist()


def test_an_output_that_is_a_constant() -> None:
    x, c = vector(), Weights()("c", 2)
    np.testing.assert_array_equal(run_one(Graph((x,), (c,), ("y",)), np.eye(3, dtype="float32"))["y"], c.numpy())


def test_one_value_under_two_names() -> None:
    x = vector()
    y = ops.tanh(x)
    results = run_one(Graph((x,), (y, y, ops.exp(y)), ("a", "b", "c")), np.eye(3, dtype="float32"))
    np.testing.assert_array_equal(results["a"], results["b"])
    np.testing.assert_allclose(results["c"], np.exp(results["a"]), rtol=1e-6)


def test_an_input_that_nothing_uses_stays_in_the_signature() -> None:
    x, unused = vector(), vector(2, "unused")
    model = compile_graph(Graph((x, unused), (ops.tanh(x),), ("y",)))
    assert [i.name for i in model.graph.input] == ["x", "unused"]


def test_an_axis_of_size_zero_is_refused() -> None:
    x = ir.input_value("x", "float32", (BATCH, 0))
    with pytest.raises(ExportError, match=re.escape("'x' is float32[batch, 0]: an axis of size zero")):
        compile_graph(graph(x, ops.tanh(x)))


def test_an_element_type_that_onnx_lacks_is_refused() -> None:
    x = ir.input_value("x", "datetime64[D]", (BATCH, 2))
    with pytest.raises(ExportError, match=r"makes datetime64\[D\], which is not among .* element types: bfloat16"):
        compile_graph(Graph((x,), (x,), ("y",)))


class Unwritable(Unary):
    function = np.tanh

    def lower(self, e: Any, y: ir.Value, x: str) -> str:
        raise NoLoweringError("Unwritable has no ONNX form.")


def test_what_cannot_be_lowered_is_said_with_its_layer() -> None:
    x = vector()
    with pytest.raises(NoLoweringError, match=r"Layer 'strange': Unwritable has no ONNX form\."):
        compile_graph(graph(x, named(lambda v: ir.apply(Unwritable(), v), "strange", x)))


# -- the file --------------------------------------------------------------------------------------------------------


def test_a_failed_export_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"what was there")
    monkeypatch.setattr(Tanh, "lower", lambda self, e, y, *names: e.node("Sin", *names))
    x = vector()
    with pytest.raises(VerificationError):
        export_graph(graph(x, ops.tanh(x)), path)
    assert path.read_bytes() == b"what was there"
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"what was there")

    def refuse(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        write_file(path, b"new")
    assert path.read_bytes() == b"what was there"
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_the_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write_file(tmp_path / "model.onnx", b"new")
    (tmp_path / "other").write_bytes(b"new")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("model.onnx", "other")]
    assert modes[0] == modes[1]


def test_a_folder_that_is_missing_is_named_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(MissingFolderError, match="there is no folder"):
        export_graph(GRAPHS["bn_cnn"](), tmp_path / "none" / "model.onnx")


def test_the_export_is_one_file(tmp_path: Path) -> None:
    export_graph(GRAPHS["bn_cnn"](), tmp_path / "model.onnx")
    assert os.listdir(tmp_path) == ["model.onnx"]


# -- receipts --------------------------------------------------------------------------------------------------------


def test_a_receipt_counts_what_was_written(tmp_path: Path) -> None:
    receipt = export_graph(GRAPHS["flat_cnn_rgb"](), tmp_path / "model.onnx", layers=5)
    assert receipt.nodes == {"Conv": 1, "Flatten": 1, "Gemm": 1, "MaxPool": 1, "Relu": 1, "Softmax": 1, "Transpose": 1}
    assert receipt.transposes == 1
    assert receipt.parameters == 3 * 3 * 3 * 5 + 5 + 20 * 4 + 4
    assert (receipt.opset, receipt.ir_version, receipt.layers) == (18, 8, 5)


def test_a_receipt_reads_as_a_table(tmp_path: Path) -> None:
    text = str(export_graph(GRAPHS["segmentation"](), tmp_path / "model.onnx", layers=2))
    assert "model       2 layers, 122 parameters" in text
    assert "nodes       6 (2 Conv, 1 Relu, 1 Softmax, 2 Transpose)" in text
    assert "input       image float32[batch, height, width, 3]" in text
    assert re.search(r"verified    largest error \S+ of \S+ allowed, argmax agrees in 100\.0% \(batch=1 height=", text)


def test_a_receipt_is_json(tmp_path: Path) -> None:
    receipt = export_graph(GRAPHS["mlp"](), tmp_path / "model.onnx")
    kept = json.loads(json.dumps(receipt.to_dict()))
    assert kept["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["batch", 6]}]
    assert kept["verification"]["outputs"][0]["error"] <= kept["verification"]["outputs"][0]["budget"]
    assert kept["verification"]["sizes"] == [{"batch": 1}, {"batch": 2}, {"batch": 7}]


def test_an_unverified_export_says_so(tmp_path: Path) -> None:
    receipt = export_graph(GRAPHS["mlp"](), tmp_path / "model.onnx", verify=False)
    assert receipt.report is None
    assert "verified    no" in str(receipt)
    assert receipt.to_dict()["verification"] is None


# -- packages --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_importing_export_loads_neither_onnx_nor_onnxruntime() -> None:
    code = "import sys, seqc.export; print(*sorted(m for m in sys.modules if m in ('onnx', 'onnxruntime')))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.split() == []


def test_a_missing_onnxruntime_is_said_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=re.escape('pip install "seqc[cpu]"')):
        export_graph(GRAPHS["mlp"](), tmp_path / "model.onnx")
    assert os.listdir(tmp_path) == []
    export_graph(GRAPHS["mlp"](), tmp_path / "model.onnx", verify=False)


def test_what_onnxruntime_refuses_is_an_export_error() -> None:
    with pytest.raises(ExportError, match="cannot load the model"):
        backend.Session(b"not a model")


def test_a_wrong_input_is_an_export_error() -> None:
    session = backend.Session(onnx_models.content(compile_graph(GRAPHS["mlp"]())))
    with pytest.raises(ExportError, match="cannot run the model"):
        session.run({"x": np.zeros((2, 99), "float32")})


def test_a_model_in_double_precision(tmp_path: Path) -> None:
    w, x = Weights(), ir.input_value("x", "float32", (BATCH, 5, 4, 3))
    pooled = [named(pool, "pool", ops.transpose(x, (0, 3, 1, 2)), (2, 3)) for pool in (ops.mean, ops.max)]
    g = graph(x, *(dense(w, f"dense_{i}", y, 2) for i, y in enumerate(pooled)))
    receipt = export_graph(promote_floats(g), tmp_path / "model.onnx")
    assert receipt.report is not None
    assert receipt.report.worst.error < 1e-14


def test_a_model_beyond_two_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from seqc.export import options

    monkeypatch.setattr(options, "LARGEST_FILE", 100)
    with pytest.raises(ExportError, match=r"one \.onnx file holds less than 2 GiB"):
        compile_graph(GRAPHS["mlp"]())
