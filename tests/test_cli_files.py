"""`seqc export`, `verify`, `inspect` and `predict`: the commands that read and write files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from kit.cli_models import CLASSIFIER, seqc, seqc_json, write

needs_runtime = pytest.mark.usefixtures("_runtime")

RECURRENT = """
import seqc as keras

model = keras.Sequential([keras.Input((None, 3), name="steps"), keras.layers.LSTM(4, name="memory")])
"""


@pytest.fixture
def _runtime() -> None:
    pytest.importorskip("seqc_runtime", reason="needs seqc-runtime")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tiny.py, a tiny.keras with other weights, and the tiny.onnx made from that."""
    import seqc as keras

    folder = tmp_path_factory.mktemp("made")
    namespace: dict[str, Any] = {"__name__": "made"}
    exec(write(folder).read_text(), namespace)
    keras.utils.set_random_seed(7)
    model = namespace["build"]()
    model.save(folder / "tiny.keras")
    model.save_weights(folder / "tiny.weights.h5")
    model.export(folder / "tiny.onnx")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a copy of `made`."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save_model(nodes: list[Any], inputs: dict[str, Any], outputs: dict[str, Any], **weights: Any) -> Path:
    """Writes a hand-made ONNX file of float inputs and outputs."""
    tensors = [onnx.numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in weights.items()]
    ends = [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in inputs.items()]
    results = [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in outputs.items()]
    graph = helper.make_graph(nodes, "made", ends, results, tensors)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
    path = Path("made.onnx")
    path.write_bytes(model.SerializeToString())
    return path


# -- export ------------------------------------------------------------------------------------------------------------


def test_export_of_a_keras_file_prints_the_receipt(folder: Path) -> None:
    result = seqc("export", "tiny.keras", "-o", "new.onnx")
    assert "\nverified    largest error" in result.stdout
    assert result.stderr == ""
    assert (folder / "new.onnx").read_bytes() == (folder / "tiny.onnx").read_bytes()


@pytest.mark.parametrize("weights", ["tiny.weights.h5", "tiny.keras"])
def test_export_of_a_file_takes_weights_from_another(folder: Path, weights: str) -> None:
    result = seqc("export", "tiny.py", "--weights", weights, "-o", "new.onnx")
    assert result.stderr == ""
    assert (folder / "new.onnx").read_bytes() == (folder / "tiny.onnx").read_bytes()


def test_export_of_a_file_alone_says_whose_weights_these_are(folder: Path) -> None:
    assert "Note: the weights are those that tiny.py makes" in seqc("export", "tiny.py", "-o", "new.onnx").stderr


def test_export_options_reach_the_file(folder: Path) -> None:
    receipt = seqc_json("export", "tiny.keras", "-o", "new.onnx", "--opset", 15, "--input-name", "a", "--output-name",
                        "b", "--no-verify")  # fmt: skip
    assert receipt["opset"] == 15
    assert receipt["verification"] is None
    assert receipt["inputs"] == [{"name": "a", "dtype": "float32", "shape": ["batch", 4]}]
    model = onnx.load("new.onnx")
    assert model.opset_import[0].version == 15
    assert [model.graph.input[0].name, model.graph.output[0].name] == ["a", "b"]


def test_channels_first_input_is_exported_and_verified_against_its_model(folder: Path) -> None:
    write(folder, "import seqc\nmodel = seqc.Sequential([seqc.Input((5, 6, 2)), seqc.layers.Conv2D(3, 3)])\n", "c.py")
    receipt = seqc_json("export", "c.py", "-o", "c.onnx", "--channels-first-input")
    assert receipt["inputs"][0]["shape"] == ["batch", 2, 5, 6]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.h5", "-o", "m.onnx"], "There is no file model.h5."),
        (["absent.keras", "-o", "m.onnx"], "absent.keras"),
        (["tiny.py", "-o", "absent/m.onnx"], "there is no folder 'absent'. Make it first."),
        (["tiny.py", "-o", "m.onnx", "--opset", "99"], "got 99"),
        (["tiny.py", "-o", "m.onnx", "--weights", "absent.weights.h5"], "absent.weights.h5"),
    ],
)
def test_export_that_cannot_be_done_says_why(folder: Path, arguments: list[str], message: str) -> None:
    assert message in seqc("export", *arguments, code=2).stderr
    assert not Path("m.onnx").exists()


def test_a_file_that_computes_other_numbers_is_not_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqc.backends.onnxruntime import Session

    honest = Session.run
    monkeypatch.setattr(Session, "run", lambda *a: {k: v + 1 for k, v in honest(*a).items()})
    result = seqc("export", "tiny.keras", "-o", "new.onnx", code=1)
    assert "computes other numbers in onnxruntime than in NumPy" in result.stderr
    assert not Path("new.onnx").exists()


# -- verify ------------------------------------------------------------------------------------------------------------


def test_verify_against_the_model_shows_sizes_error_and_budget(folder: Path) -> None:
    text = seqc("verify", "tiny.onnx", "--against", "tiny.keras").stdout
    assert "sizes   batch=1; batch=2; batch=7" in text
    assert "kind    largest error " in text
    assert " allowed (numbers up to " in text
    assert "values compared one by one" in text
    assert text.endswith("Passed: the file computes what the model computes, on the inputs tried.\n")


@needs_runtime
def test_verify_says_how_large_whole_numbers_are(folder: Path) -> None:
    seqc("export", "tiny.keras", "--head", "argmax", "-o", "classes.onnx")
    by_model = seqc_json("verify", "classes.onnx", "--against", "tiny.keras")["parity"]["outputs"]
    by_file = seqc_json("verify", "classes.onnx", "--against", "classes.onnx")["outputs"]
    for (output,) in (by_model, by_file):
        assert output["scale"] in (1.0, 2.0)  # the largest number of a class
        assert output["compared"] > 0


def test_verify_against_a_file_with_weights(folder: Path) -> None:
    result = seqc_json("verify", "tiny.onnx", "--against", "tiny.py", "--weights", "tiny.weights.h5")
    assert set(result) == {"model", "against", "passed", "error", "parity"}
    assert result["passed"] is True
    assert result["parity"]["sizes"] == [{"batch": 1}, {"batch": 2}, {"batch": 7}]
    (output,) = result["parity"]["outputs"]
    assert output["error"] <= output["budget"]


def test_verify_against_other_weights_fails_with_advice(folder: Path) -> None:
    text = seqc("verify", "tiny.onnx", "--against", "tiny.py", code=1).stdout
    assert "FAILED: the file does not compute what the model computes." in text
    assert "The model's weights are those that tiny.py makes; give --weights" in text


WORDS = [f"w{i}" for i in range(100)]
# What numbers on a few inputs do not show: a model, and what has other numbers in its file.
HIDDEN: dict[str, tuple[str, str]] = {
    "words": (
        f"seqc.Input((1,), dtype='string'), seqc.layers.StringLookup(vocabulary={WORDS}, name='a')",
        "keys_strings",
    ),
    "numbers": (
        "seqc.Input((1,), dtype='int64'), seqc.layers.IntegerLookup(vocabulary=list(range(100)), name='a')",
        "keys_int64s",
    ),
    "limit": ("seqc.Input((4,)), seqc.layers.Dense(3, name='a'), seqc.layers.ReLU(max_value=100.0, name='b')", "100"),
    "threshold": (
        "seqc.Input((4,)), seqc.layers.Lambda(lambda x: seqc.ops.where(x > 50.0, x * 2.0, x), name='a')",
        "50",
    ),
    "border": ("seqc.Input((1,)), seqc.layers.Discretization([-1.0, 20.0, 30.0], name='a')", "20"),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_verify_against_a_model_sees_what_no_input_shows(folder: Path, name: str) -> None:
    stack, what = HIDDEN[name]
    write(folder, f"import seqc\nseqc.utils.set_random_seed(1)\nmodel = seqc.Sequential([{stack}])\n", "m.py")
    seqc("export", "m.py", "-o", "m.onnx")
    seqc("verify", "m.onnx", "--against", "m.py")
    file = onnx.load("m.onnx")
    for tensor in file.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if what.isdigit() and array.dtype == "float32" and float(what) in array:
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(np.where(array == float(what), array * 0.9, array), tensor.name)
            )
    for attribute in (a for node in file.graph.node for a in node.attribute if a.name == what):
        entries = attribute.strings or attribute.ints
        entries[50], entries[51] = entries[51], entries[50]
    onnx.save(file, "other.onnx")
    assert Path("m.onnx").read_bytes() != Path("other.onnx").read_bytes()
    told = seqc("verify", "other.onnx", "--against", "m.py", code=1).stdout
    assert "FAILED: the file does not compute" in told
    assert "has another 'keys_" in told or "has other numbers in" in told


@pytest.mark.slow
def test_verify_finds_names_and_layout_in_the_file(folder: Path) -> None:
    write(folder, "import seqc\nmodel = seqc.Sequential([seqc.Input((5, 6, 2)), seqc.layers.Conv2D(3, 3)])\n", "c.py")
    seqc("export", "c.py", "-o", "c.onnx", "--channels-first-input", "--input-name", "x", "--output-name", "y")
    # Every run of the file draws new weights, and the comparison gets as far as noticing that.
    assert "FAILED: the file does not compute" in seqc("verify", "c.onnx", "--against", "c.py", code=1).stdout


def test_verify_against_a_model_of_another_shape_fails(folder: Path) -> None:
    write(folder, CLASSIFIER.replace("Input((4,)", "Input((5,)"), "other.py")
    text = seqc("verify", "tiny.onnx", "--against", "other.py", code=1).stdout
    assert "FAILED: they cannot be compared. They are different models: input " in text
    assert "is float32[batch, 4] in the file and float32[batch, 5] in the model." in " ".join(text.split())
    result = seqc_json("verify", "tiny.onnx", "--against", "other.py", code=1)
    assert (result["passed"], result["parity"]) == (False, None)


@needs_runtime
def test_verify_alone_says_what_was_checked_and_what_was_not(folder: Path) -> None:
    text = seqc("verify", "tiny.onnx").stdout
    assert "from the model 'tiny', inputs channels_last:" in text
    for line in (
        "ok  valid ONNX, by onnx's full check: opset 18, IR version 8",
        "ok  loads in onnxruntime: float32[batch, 4] -> float32[batch, 3]",
        "ok  runs on generated inputs: batches of 1, 2, 7",
        "ok  finite results: 30 numbers",
        "ok  each sample alone as in its batch: largest difference ",
        "Not checked: whether its numbers are those of the model it was made from. For that, use --against.",
    ):
        assert line in text


@needs_runtime
def test_verify_alone_as_json(folder: Path) -> None:
    result = seqc_json("verify", "tiny.onnx")
    assert set(result) == {"model", "against", "passed", "checks", "name", "metadata"}
    assert [c["name"] for c in result["checks"]] == ["valid", "loads", "runs", "finite", "rows"]
    assert result["name"] == "tiny"


@needs_runtime
def test_a_file_from_elsewhere_is_checked_too(folder: Path) -> None:
    path = save_model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["n", "time", 3]}, {"y": ["n", "time", 3]})
    text = seqc("verify", path, "--size", "time=9").stdout
    assert "not written by seqc" in text
    assert "batches of 1, 2, 7, time 9" in text


@needs_runtime
def test_open_sizes_are_chosen_so_that_the_model_runs(folder: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[11])
    path = save_model([node], {"x": ["n", 1, "time"]}, {"y": ["n", 1, "less"]}, w=np.ones((1, 1, 11)))
    assert "batches of 1, 2, 7, time 16" in seqc("verify", path).stdout


@needs_runtime
def test_a_fixed_batch_is_run_once(folder: Path) -> None:
    path = save_model([helper.make_node("Relu", ["x"], ["y"])], {"x": [4, 3]}, {"y": [4, 3]})
    result = seqc_json("verify", path)
    assert result["checks"][2]["detail"] == "one run at its fixed size"
    assert [c["name"] for c in result["checks"]] == ["valid", "loads", "runs", "finite"]


@needs_runtime
def test_an_input_without_a_shape_is_shown_as_that_and_not_drawn(folder: Path) -> None:
    node = helper.make_node("Neg", ["x"], ["y"])
    scalar = save_model([node], {"x": []}, {"y": []}).rename("scalar.onnx")
    path = save_model([node], {"x": None}, {"y": None})
    shown = seqc("verify", path, code=1).stdout
    assert "loads in onnxruntime: float32[...] -> float32[...]" in shown
    assert "FAILED  runs on generated inputs: not tried: the file gives no shape for 'x'" in shown
    assert "x float32[...]" in seqc("inspect", path).stdout
    assert seqc_json("inspect", path)["inputs"] == [{"name": "x", "dtype": "float32", "shape": None}]
    assert "no shape for 'x'" in seqc("verify", path, "--against", path, code=2).stderr
    assert "float32[] -> float32[]" in seqc("verify", scalar).stdout
    np.save("some.npy", np.ones((2, 3), "f"))
    seqc("predict", path, "some.npy", "-o", "y.npy")
    np.testing.assert_array_equal(np.load("y.npy"), -np.ones((2, 3)))


@pytest.mark.parametrize("first", ["time", 7])
def test_steps_before_the_batch_are_not_taken_for_samples(first: Any, folder: Path) -> None:
    shape = [first, "batch", 3]
    path = save_model([helper.make_node("Softmax", ["x"], ["y"], axis=0)], {"x": shape}, {"y": shape})
    result = seqc_json("verify", path)
    assert result["passed"]
    assert [c["name"] for c in result["checks"]] == ["valid", "loads", "runs", "finite"]
    assert result["checks"][2]["detail"].startswith("one run at its fixed size, batch 8")


@needs_runtime
def test_results_that_are_not_finite_fail(folder: Path) -> None:
    path = save_model([helper.make_node("Log", ["x"], ["y"])], {"x": ["n", 3]}, {"y": ["n", 3]})
    text = seqc("verify", path, code=1).stdout
    assert "FAILED  finite results: " in text
    assert "numbers are NaN or infinite" in text


@needs_runtime
def test_samples_that_depend_on_each_other_fail(folder: Path) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["x", "mean"], ["y"]),
    ]
    path = save_model(nodes, {"x": ["n", 3]}, {"y": ["n", 3]})
    assert "FAILED  each sample alone as in its batch: largest difference" in seqc("verify", path, code=1).stdout


@needs_runtime
def test_a_file_that_is_not_valid_fails(folder: Path) -> None:
    path = save_model([helper.make_node("Rellu", ["x"], ["y"])], {"x": ["n", 3]}, {"y": ["n", 3]})
    result = seqc_json("verify", path, code=1)
    assert [(c["name"], c["passed"]) for c in result["checks"]] == [("valid", False), ("loads", False)]
    assert "No Op registered for Rellu" in result["checks"][0]["detail"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.onnx"], "There is no file absent.onnx."),
        (
            ["tiny.keras"],
            "tiny.keras is a .keras file; an ONNX model was expected. Make one from it: seqc export tiny.keras ",
        ),
        (["tiny.onnx", "--weights", "tiny.keras"], "--weights are those of the model given with --against"),
        (["tiny.onnx", "--against", "tiny.keras", "--size", "a=1"], "--size is for checking a file by itself"),
        (["tiny.onnx", "--size", "time"], "--size needs NAME=N with a positive whole number, such as time=50"),
        (["tiny.onnx", "--size", "time=0"], "got 'time=0'"),
    ],
)
def test_verify_that_cannot_be_done_says_why(folder: Path, arguments: list[str], message: str) -> None:
    assert message in seqc("verify", *arguments, code=2).stderr


# -- inspect -----------------------------------------------------------------------------------------------------------


def test_inspect_shows_the_layers_of_a_model(folder: Path) -> None:
    text = seqc("inspect", "tiny.keras").stdout
    assert "parameters  67\n" in text
    assert "hidden  Dense  [batch, 8]          40     80\n" in text


def test_inspect_shows_the_nodes_of_a_file(folder: Path) -> None:
    text = seqc("inspect", "tiny.onnx").stdout
    assert "opset 18, IR version 8, by seqc " in text
    assert "nodes               4 (2 Gemm, 1 Relu, 1 Softmax)" in text
    assert "hidden/Gemm   Gemm     [1, 4], [4, 8], [8]  [1, 8]           40     72\n" in text
    assert "model               tiny\n" in text


def test_layers_and_nodes_have_the_same_totals(folder: Path) -> None:
    layers, nodes = seqc_json("inspect", "tiny.py"), seqc_json("inspect", "tiny.onnx")
    # 4 · 8 and 8 · 3 products, a sum and a bias each; 8 maxima; softmax of 3.
    assert layers["totals"] == {"layers": 2, "parameters": 67, "flops": 64 + 8 + 8 + 48 + 3 + 15}
    assert nodes["totals"] == {"nodes": 4, "parameters": 67, "flops": 146}
    assert nodes["nodes_by_type"] == {"Gemm": 2, "Relu": 1, "Softmax": 1}
    assert nodes["inputs"] == layers["inputs"] == [{"name": "point", "dtype": "float32", "shape": ["batch", 4]}]
    assert [f["shape"] for f in layers["layers"]] == [["batch", 8], ["batch", 3]]


@pytest.mark.slow
def test_open_sizes_must_be_given_for_flops(folder: Path) -> None:
    write(folder, RECURRENT, "rnn.py")
    seqc("export", "rnn.py", "-o", "rnn.onnx")
    for source in ("rnn.py", "rnn.onnx"):
        assert "FLOPs " in seqc("inspect", source).stdout
        assert "depend on time: give --size time=N" in seqc("inspect", source).stdout
        flops = seqc_json("inspect", source, "--size", "time=10")["totals"]["flops"]
        assert flops == 10 * (2 * 4 * 4 * (3 + 4) + 17 * 4)


def test_an_operator_without_a_rule_is_not_counted_as_nothing(folder: Path) -> None:
    path = save_model([helper.make_node("Det", ["x"], ["y"])], {"x": ["n", 3, 3]}, {"y": ["n"]})
    assert "FLOPs       not known: there are operators without a rule" in seqc("inspect", path).stdout
    assert seqc_json("inspect", path)["nodes"][0]["flops"] is None


def test_sizes_that_do_not_fit_are_refused(folder: Path) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    path = save_model([node], {"x": ["n", "features"]}, {"y": ["n", 2]}, w=np.ones((3, 2)))
    assert (
        "The model does not work at these sizes (features=4)"
        in seqc("inspect", path, "--size", "features=4", code=2).stderr
    )


def test_inspect_of_a_model_without_an_input_shape_says_what_to_add(folder: Path) -> None:
    write(folder, "import seqc\nmodel = seqc.Sequential([seqc.layers.Dense(2)])\n", "open.py")
    assert "does not know its input shape" in seqc("inspect", "open.py", code=2).stderr


# -- predict -----------------------------------------------------------------------------------------------------------


@needs_runtime
def test_predict_writes_what_the_model_predicts(folder: Path, rng: np.random.Generator) -> None:
    import seqc as keras

    x = rng.standard_normal((9, 4)).astype("float32")
    np.save("x.npy", x)
    text = seqc("predict", "tiny.onnx", "x.npy", "-o", "y.npy", "--device", "cpu", "--threads", 1).stdout
    assert "input   x.npy float32[9, 4]\noutput  y.npy float32[9, 3]\ndevice  cpu, 1 thread\ntime    " in text
    expected = keras.saving.load_model("tiny.keras").predict(x, verbose=0)
    np.testing.assert_allclose(np.load("y.npy"), expected, atol=1e-6)


@needs_runtime
def test_predict_as_json(folder: Path) -> None:
    np.save("x.npy", np.zeros((5, 4)))
    result = seqc_json("predict", "tiny.onnx", "x.npy", "-o", "y.npy", "--device", "cpu", "--batch-size", 2)
    assert set(result) == {
        "model", "inputs", "outputs", "device", "threads", "batch_size", "seconds", "load_seconds",
    }  # fmt: skip
    assert result["inputs"] == [{"name": "point", "path": "x.npy", "dtype": "float64", "shape": [5, 4]}]
    assert result["outputs"] == [{"name": "kind", "path": "y.npy", "dtype": "float32", "shape": [5, 3]}]
    assert (result["device"], result["batch_size"]) == ("cpu", 2)


@needs_runtime
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.onnx", "x.npy", "-o", "y.npy"], "There is no file absent.onnx."),
        (["tiny.onnx", "absent.npy", "-o", "y.npy"], "There is no file absent.npy."),
        (["tiny.onnx", "tiny.py", "-o", "y.npy"], "tiny.py is a Python file; a NumPy array was expected."),
        (["tiny.onnx", "objects.npy", "-o", "y.npy"], "objects.npy holds Python objects, which are never loaded"),
        (
            ["tiny.onnx", "several.npz", "-o", "y.npy"],
            "tiny.onnx takes 'point'; several.npz holds 'a', 'b': 'point' missing, 'a', 'b' no input of it.",
        ),
        (["tiny.onnx", "wide.npy", "-o", "y.npy"], "input 'point' needs float32[batch, 4]; got [2, 5]"),
        (["tiny.onnx", "x.npy", "-o", "absent/y.npy"], "there is no folder 'absent'. Make it first."),
    ],
)
def test_predict_that_cannot_be_done_says_why(folder: Path, arguments: list[str], message: str) -> None:
    np.save("x.npy", np.zeros((2, 4)))
    np.save("wide.npy", np.zeros((2, 5)))
    np.save("objects.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    np.savez("several.npz", a=np.zeros(2), b=np.zeros(2))
    assert message in seqc("predict", *arguments, code=2).stderr
    assert not Path("y.npy").exists()


@needs_runtime
def test_predict_refuses_a_model_with_two_outputs(folder: Path) -> None:
    nodes = [helper.make_node(op, ["x"], [op]) for op in ("Relu", "Neg")]
    path = save_model(nodes, {"x": ["n", 4]}, {"Relu": ["n", 4], "Neg": ["n", 4]})
    np.save("x.npy", np.zeros((2, 4)))
    assert (
        "made.onnx has 2 outputs and a .npy file holds one array."
        in seqc("predict", path, "x.npy", "-o", "y.npy", code=2).stderr
    )


@pytest.mark.parametrize("command", ["predict", "verify"])
def test_without_the_runtime_the_pip_command_is_shown(
    folder: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    np.save("x.npy", np.zeros((2, 4)))
    monkeypatch.setitem(sys.modules, "seqc_runtime", None)
    arguments = ["x.npy", "-o", "y.npy"] if command == "predict" else []
    text = seqc(command, "tiny.onnx", *arguments, code=2).stderr
    assert f'seqc {command} needs seqc-runtime, which is not installed: pip install "seqc-runtime[cpu]"' in text


def test_json_holds_no_nan(folder: Path) -> None:
    from seqc.cli._output import plain

    text = json.dumps(plain({"a": float("nan"), "b": np.array([1.0, np.inf]), "c": (np.float32(2),)}))
    assert text == '{"a": null, "b": [1.0, null], "c": [2.0]}'
