"""Models in the manner of published reports about ONNX and onnxruntime: none crashes, hangs or reads what it may not.

What the scan can tell is refused by it; the rest is refused by the process that tries it, or is let in because
onnxruntime answers it with an error when it runs. The reports about places of data in other files are in
test_runtime_gate_corpus.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from runtime_kit.gate_models import FLOAT, value

import seqc_runtime
from seqc_runtime import RuntimeExecutionError, RuntimeModelError
from seqc_runtime.gate import Limits

pytestmark = pytest.mark.slow
node = helper.make_node
INT64, BOOL = TensorProto.INT64, TensorProto.BOOL
QUICK = Limits(time=4.0, cpu=3.0)


def model(nodes: list[Any], x: list[Any], opset: int = 18, y: int = FLOAT, **constants: np.ndarray) -> onnx.ModelProto:
    """A model of x and y."""
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", [value("x", x)], [value("y", None, y)], tensors)
    domains = [("", opset), ("ai.onnx.ml", 3), ("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(*one) for one in domains], ir_version=8)


def array(*numbers: float, dtype: type = np.int64) -> np.ndarray:
    return np.array(numbers, dtype)


def tree(**wrong: list[Any]) -> onnx.NodeProto:
    right: dict[str, Any] = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_values": [0.0, 0.0, 0.0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0, 0],
        "target_nodeids": [1, 2],
        "target_ids": [0, 0],
        "target_weights": [1.0, 2.0],
    }
    return node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, **{**right, **wrong})


def forever(*outputs: str) -> onnx.NodeProto:
    """A loop without an end, which may keep what every turn gives."""
    inner = [value("i", [], INT64), value("on", [], BOOL), value("a", None)]
    kept = ["kept"] if len(outputs) > 1 else []
    nodes = [node("Identity", ["on"], ["still"]), *(node("Identity", ["a"], [name]) for name in ["b", *kept])]
    left = [value("still", [], BOOL), value("b", None), *(value(name, None) for name in kept)]
    body = helper.make_graph(nodes, "body", inner, left)
    return node("Loop", ["turns", "go", "x"], list(outputs), body=body)


ML, MICROSOFT = {"domain": "ai.onnx.ml"}, {"domain": "com.microsoft"}
ENDLESS: dict[str, Any] = {"turns": np.array((1 << 63) - 1), "go": np.array(True)}
REPORTS = {
    "a kernel of more dimensions than its input (onnxruntime 28731)": model(
        [node("Conv", ["x", "w"], ["y"])], [1, 1, 4, 4], w=np.ones((1,) * 8, np.float32)
    ),
    "a constant of any size (28730)": model(
        [node("ConstantOfShape", ["n"], ["f"]), node("ReduceSum", ["f"], ["y"])], [1], n=array(1 << 33)
    ),
    "a range of any size": model(
        [node("Range", ["a", "b", "c"], ["f"]), node("ReduceSum", ["f"], ["y"])],
        [1],
        y=INT64,
        a=np.array(0),
        b=np.array(1 << 34),
        c=np.array(1),
    ),
    "a picture of any size": model(
        [node("Resize", ["c", "", "s"], ["f"]), node("ReduceSum", ["f"], ["y"])],
        [1],
        c=np.ones((1, 1, 1000, 1000), np.float32),
        s=array(1, 1, 100, 100, dtype=np.float32),
    ),
    "a type that is none (4585)": model([node("Cast", ["x"], ["y"], to=0)], [1]),
    "an operator without its input (4349)": model([node("Imputer", [""], ["y"], **ML)], [1]),
    "axes that are exchanged twice (23258)": model(
        [node("Transpose", ["x"], ["t"], perm=[0, 0]), node("Transpose", ["t"], ["y"], perm=[1, 7])], [2, 3]
    ),
    "an index before the first (27265)": model(
        [node("ArrayFeatureExtractor", ["x", "i"], ["y"], **ML)], ["batch", 4], i=array(-10)
    ),
    "vectors that a support vector machine lacks (27699)": model(
        [
            node(
                "SVMClassifier",
                ["x"],
                ["y"],
                kernel_type="RBF",
                kernel_params=[0.1, 0.0, 3.0],
                vectors_per_class=[1_000_000, 2],
                support_vectors=[1.0, 2.0],
                coefficients=[1.0],
                rho=[0.1],
                classlabels_ints=[0, 1],
                **ML,
            )
        ],
        ["batch", 4],
        y=INT64,
    ),
    "a target beyond the last of a tree (27951)": model([tree(target_ids=[1 << 20, -5])], ["batch", 4]),
    "a tree that turns in a circle (32031)": model(
        [tree(nodes_modes=["BRANCH_LEQ", "BRANCH_LEQ", "LEAF"], nodes_truenodeids=[1, 0, 0])], ["batch", 4]
    ),
    "a feature that no input has": model([tree(nodes_featureids=[1 << 28, 0, 0])], ["batch", 4]),
    "a place outside of an output": model(
        [node("MaxUnpool", ["x", "i"], ["y"], kernel_shape=[2, 2], strides=[2, 2])],
        [1, 1, 2, 2],
        i=array(-1_000_000, 5, 1 << 40, 3).reshape(1, 1, 2, 2),
    ),
    "a picture that is not of the batch": model(
        [node("RoiAlign", ["x", "r", "i"], ["y"])], [1, 1, 4, 4], r=np.zeros((1, 4), np.float32), i=array(-(1 << 40))
    ),
    "weights of few bits that are not there": model(
        [node("MatMulNBits", ["x", "q", "s"], ["y"], K=64, N=64, bits=4, block_size=32, **MICROSOFT)],
        ["batch", 64],
        q=np.zeros((64, 2, 1), np.uint8),
        s=np.ones(1, np.float32),
    ),
    "channels in no groups": model(
        [node("Conv", ["x", "w"], ["y"], group=0)], [1, 1, 4, 4], w=np.ones((1, 1, 3, 3), np.float32)
    ),
    "sequences longer than the input": model(
        [node("LSTM", ["x", "w", "r", "", "l"], ["y"], hidden_size=2)],
        [2, 1, 4],
        w=np.ones((1, 8, 4), np.float32),
        r=np.ones((1, 8, 2), np.float32),
        l=array(1 << 30, dtype=np.int32),
    ),
    "a pattern of ten thousand brackets": model(
        [node("StringNormalizer", ["x"], ["y"], stopwords=["("] * 10_000)], [1]
    ),
    "a loop without an end": model([forever("y")], ["batch", 4], **ENDLESS),
    "a loop without an end that keeps everything": model([forever("z", "y")], ["batch", 4], **ENDLESS),
    "an equation of thousands of points": model(
        [node("Einsum", ["x", "x"], ["y"], equation="..." * 5000 + "->")], ["batch", 4]
    ),
}


@pytest.mark.parametrize("report", REPORTS)
def test_a_model_of_a_report_is_refused_or_answered_with_an_error(report: Any) -> None:
    loaded, said = None, ""
    try:
        loaded = seqc_runtime.load(REPORTS[report].SerializeToString(), device="cpu", threads=1, untrusted=QUICK)
    except RuntimeModelError as error:
        said = str(error)
    if loaded is None:
        assert "is not let in" in said or "is damaged" in said
        return
    shape = [size if isinstance(size, int) else 2 for size in loaded.inputs[0].shape]
    with pytest.raises(RuntimeExecutionError):
        loaded.predict(np.ones(shape, np.float32))
