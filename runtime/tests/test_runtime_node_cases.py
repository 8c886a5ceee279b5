"""What a bare onnxruntime session runs, runs here, with the same bits."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, ValueInfoProto, helper

import seqc_runtime
from seqc_runtime import RuntimeInputError, RuntimeInputTypeError, RuntimeModelError, TensorInfo
from seqc_runtime.empties import is_deadly


def outcomes() -> dict[str, list[str]]:
    # In another process: what ends a process must fail this test, not the run of all of them.
    ended = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "runtime_kit" / "node_cases.py")],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    found: dict[str, list[str]] = json.loads(ended.stdout)
    return found


@pytest.mark.slow
def test_every_node_case_gives_the_bits_of_a_bare_session() -> None:
    found = outcomes()
    wrong = {key: names for key, names in found.items() if key.startswith(("refused:", "different"))}
    assert not wrong
    assert len(found["equal"]) >= 1_500
    # A bare session cannot be given these from Python either.
    odd = [
        name for name in found["refused by its type"] if not re.search(r"(?i)float8|bfloat16|u?int[24]|float4", name)
    ]
    assert not odd


@pytest.mark.parametrize(
    ("release", "deadly"), [("1.20.1", True), ("1.31.0.dev2", True), ("1.32.0", False), ("2.0", False)]
)
def test_what_older_releases_do_not_survive_is_kept_from_them(release: str, deadly: bool) -> None:
    assert is_deadly({"Relu", "TopK"}, 1, release) is deadly
    assert is_deadly({"Relu", "GRU"}, 1, release)
    assert not is_deadly({"Relu", "Gemm", "Conv"}, 1, release)
    assert is_deadly({"Conv"}, 2, release)


def test_a_release_that_is_no_number_counts_as_old() -> None:
    assert is_deadly({"TopK"}, 1, "unknown")


def sequence_model() -> bytes:
    """The arrays of a list one after the other, and how many there are."""
    graph = helper.make_graph(
        [
            helper.make_node("ConcatFromSequence", ["x"], ["y"], axis=0),
            helper.make_node("SequenceLength", ["x"], ["n"]),
        ],
        "test",
        [helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows"]),
            helper.make_tensor_value_info("n", TensorProto.INT64, []),
        ],
    )
    result: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8
    ).SerializeToString()
    return result


def test_a_sequence_is_a_list_of_arrays() -> None:
    model = seqc_runtime.load(sequence_model(), device="cpu")
    assert model.inputs == (TensorInfo("x", "float32", (), "sequence"),)
    assert str(model.inputs[0]) == "sequence of float32"
    for x in ([np.ones(2), np.zeros(1, np.int64)], [[np.ones(2), np.zeros(1)]], {"x": (np.ones(2), np.zeros(1))}):
        y, n = model.predict(x)
        assert (y.tolist(), n) == ([1, 1, 0], 2)
    y, n = model.run({"x": [np.ones(2, np.float32)]})
    assert (y.tolist(), int(n)) == ([1, 1], 1)


@pytest.mark.parametrize(
    ("x", "message", "kind"),
    [
        (np.ones(2), "input 'x' needs a list of float32 arrays; got a ndarray", RuntimeInputTypeError),
        ([np.array(["a"])], "input 'x' needs float32[]; got text", RuntimeInputTypeError),
        ({"x": None}, "input 'x' needs a list of float32 arrays; got a NoneType", RuntimeInputTypeError),
    ],
)
def test_what_is_no_sequence_is_refused(x: Any, message: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        seqc_runtime.load(sequence_model(), device="cpu").predict(x)


@pytest.mark.parametrize("value", [None, np.ones(1, np.float32), [np.ones(1)], [1.0]])
def test_run_takes_only_arrays_of_the_dtype_in_a_sequence(value: Any) -> None:
    with pytest.raises(RuntimeInputError, match="input 'x' needs a? ?sequence of float32"):
        seqc_runtime.load(sequence_model(), device="cpu").run({"x": value})


def zip_map() -> bytes:
    """What converters of classifiers write: the label, and probabilities as one dict a sample."""
    graph = helper.make_graph(
        [helper.make_node("ZipMap", ["x"], ["p"], domain="ai.onnx.ml", classlabels_strings=["no", "yes"])],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [
            helper.make_value_info(
                "p",
                helper.make_sequence_type_proto(
                    helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
                ),
            )
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    result: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return result


def test_probabilities_in_dicts_come_as_a_list_of_dicts() -> None:
    model = seqc_runtime.load(zip_map(), device="cpu")
    assert str(model.outputs[0]) == "sequence of maps of float32"
    assert model.predict([[[0.25, 0.75], [1, 0]]]) == [{"no": 0.25, "yes": 0.75}, {"no": 1.0, "yes": 0.0}]
    assert model.predict(np.empty((0, 2))) == []


@pytest.mark.parametrize("kind", [TensorProto.BFLOAT16, TensorProto.FLOAT8E4M3FN, TensorProto.INT4])
def test_types_that_numpy_cannot_hold_are_refused_by_name(kind: Any) -> None:
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["y"], to=kind)],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", kind, [2])],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()
    with pytest.raises(
        RuntimeModelError, match=r"output 'y' has type tensor\(\w+\), which NumPy cannot hold: let the model"
    ):
        seqc_runtime.load(data, device="cpu")


# (operator, domain, inputs, the one made empty, its shape): each ends a bare session's process or never returns.
DEADLY = [
    ("MultiHeadAttention", "com.microsoft", [(2, 4, 8), (2, 5, 8), (2, 5, 8)], 2, (2, 5, 0), {"num_heads": 2}),
    ("Inverse", "com.microsoft", [(2, 4, 4)], 0, (2, 4, 0), {}),
    ("ConvTranspose", "", [(1, 1, 3, 4, 5), (1, 2, 3, 3, 3)], 0, (1, 1, 0, 4, 5), {}),
    ("Conv", "", [(1, 3, 5, 5), (4, 3, 3, 3)], 1, (4, 3, 0, 3), {}),
    ("SkipLayerNormalization", "com.microsoft", [(2, 3, 4), (2, 3, 4), (4,)], 1, (0, 3, 4), {}),
    ("Unique", "", [(3, 2)], 0, (3, 0), {"axis": 0}),
]


@pytest.mark.parametrize("case", DEADLY, ids=[case[0] for case in DEADLY])
@pytest.mark.parametrize("inside", [False, True])
def test_what_an_operator_does_not_survive_never_reaches_it(
    case: Any, inside: bool, tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    op, domain, shapes, index, empty, attributes = case
    names = [f"x{number}" for number in range(len(shapes))]
    node = helper.make_node(op, names, ["y"], domain=domain, **attributes)
    nodes, inputs = [node], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    out = ValueInfoProto(name="y")
    if inside:
        branch = helper.make_graph([node], "branch", [], [out])
        nodes = [helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch)]
        inputs, out = [*inputs, helper.make_tensor_value_info("c", TensorProto.BOOL, [])], ValueInfoProto(name="z")
    graph = helper.make_graph(nodes, "test", inputs, [out])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    given = [empty if number == index else shape for number, shape in enumerate(shapes)]
    ended = run_python(
        "import numpy, seqc_runtime\n"
        "model = seqc_runtime.load('m.onnx', device='cpu', threads=1)\n"
        f"feeds = {{f'x{{i}}': numpy.ones(s, 'f4') for i, s in enumerate({given})}}\n"
        f"feeds |= {{'c': numpy.array(True)}} if {inside} else {{}}\n"
        "for run in (model.run, model.predict):\n"
        "    try: run(feeds)\n"
        "    except seqc_runtime.RuntimeInputError as error: print(error)\n"
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("holds no elements") == 2, ended.stdout


@pytest.mark.slow
def test_a_recurrence_inside_a_function_is_found(
    tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    function = helper.make_function(
        "test",
        "Recur",
        ["x", "w", "r"],
        ["h"],
        [helper.make_node("LSTM", ["x", "w", "r"], ["", "h"], hidden_size=1)],
        [helper.make_opsetid("", 18)],
    )
    graph = helper.make_graph(
        [helper.make_node("Recur", ["x", "w", "r"], ["y"], domain="test")],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["time", "batch", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "batch", 1])],
        [helper.make_tensor(name, TensorProto.FLOAT, [1, 4, 1], [1.0] * 4) for name in "wr"],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("test", 1)]
    model = helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=8)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    ended = run_python(
        "import numpy, seqc_runtime\n"
        "model = seqc_runtime.load('m.onnx', device='cpu', threads=1)\n"
        "print(model.predict(numpy.ones((3, 2, 1))).shape, model.predict(numpy.empty((3, 0, 1))).shape)\n"
    )
    assert ended.stdout == "(1, 2, 1) (1, 0, 1)\n", ended.stderr


@pytest.mark.parametrize(
    ("op", "shapes", "expected"),
    [
        # Each was reported to end the process in an older release.
        ("MatMul", [(1, 0, 8), (8, 3)], (1, 0, 3)),
        ("Conv", [(0, 3, 5, 5), (4, 3, 3, 3)], (0, 4, 3, 3)),
        ("Add", [(0, 4), (4,)], (0, 4)),
    ],
)
def test_empty_arrays_give_empty_results_of_the_right_shape(
    op: str, shapes: Any, expected: Any, make: Callable[..., bytes]
) -> None:
    random = np.random.default_rng(0)
    data = make(
        [helper.make_node(op, ["x", "w"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None] * len(shapes[0]))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(expected))],
        {"w": random.normal(size=shapes[1]).astype(np.float32)},
    )
    assert seqc_runtime.load(data, device="cpu").predict(np.empty(shapes[0])).shape == expected
