"""Models for the tests of batching, and what a bare session answers."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import seqc_runtime
from seqc_runtime.server.jobs import Job
from seqc_runtime.server.servable import Batching, Servable


def build(
    nodes: list[Any],
    inputs: dict[str, list[Any]],
    outputs: dict[str, list[Any]],
    weights: dict[str, np.ndarray],
    dtype: int = 1,
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    result: bytes = model.SerializeToString()
    return result


def simple(
    op: str, shape: list[Any], out: list[Any] | None = None, axes: list[int] | None = None, **attributes: Any
) -> bytes:
    """One operator on x."""
    weights = {} if axes is None else {"axes": np.array(axes, np.int64)}
    node = helper.make_node(op, ["x", *weights], ["y"], **attributes)
    return build([node], {"x": shape}, {"y": out or shape}, weights)


def adder(number: float, width: int = 4) -> bytes:
    """x + number: its answers tell which file gave them."""
    return build(
        [helper.make_node("Add", ["x", "n"], ["y"])],
        {"x": ["batch", width]},
        {"y": ["batch", width]},
        {"n": np.array([number], np.float32)},
    )


def mlp(*sizes: int) -> bytes:
    random = np.random.default_rng(0)
    nodes, weights, last = [], {}, "x"
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        weights[f"w{i}"] = (random.standard_normal((a, b)) / a**0.5).astype(np.float32)
        name = "y" if i == len(sizes) - 2 else f"h{i}"
        nodes += [helper.make_node("MatMul", [last, f"w{i}"], [f"m{i}"]), helper.make_node("Tanh", [f"m{i}"], [name])]
        last = name
    return build(nodes, {"x": ["batch", sizes[0]]}, {"y": ["batch", sizes[-1]]}, weights)


def conv() -> bytes:
    random = np.random.default_rng(1)
    return build(
        [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["y"])],
        {"x": ["batch", 2, 8, 8]},
        {"y": ["batch", 3, 6, 6]},
        {"w": random.standard_normal((3, 2, 3, 3)).astype(np.float32)},
    )


def lstm() -> bytes:
    """The last state of an LSTM over float32[batch, time, 2]."""
    random = np.random.default_rng(2)
    return build(
        [
            helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
            helper.make_node("LSTM", ["t", "w", "r"], ["", "h"], hidden_size=3),
            helper.make_node("Squeeze", ["h", "axis"], ["y"]),
        ],
        {"x": ["batch", "time", 2]},
        {"y": ["batch", 3]},
        {
            "w": random.normal(size=(1, 12, 2)).astype(np.float32),
            "r": random.normal(size=(1, 12, 3)).astype(np.float32),
            "axis": np.array([0], np.int64),
        },
    )


def pair() -> bytes:
    """a - b and a * b."""
    return build(
        [helper.make_node("Sub", ["a", "b"], ["minus"]), helper.make_node("Mul", ["a", "b"], ["times"])],
        {"a": ["batch", 2], "b": ["batch", 2]},
        {"minus": ["batch", 2], "times": ["batch", 2]},
        {},
    )


def looped(turns: int, size: int = 64) -> bytes:
    """As many products of matrices, one after another: a run that can be stopped between two of them."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["more"], ["still"]),
            helper.make_node("MatMul", ["state", "w"], ["product"]),
            helper.make_node("Tanh", ["product"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("more", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, ["batch", size]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, ["batch", size]),
        ],
    )
    return build(
        [helper.make_node("Loop", ["turns", "", "x"], ["y"], body=body)],
        {"x": ["batch", size]},
        {"y": ["batch", size]},
        {"turns": np.array(turns, np.int64), "w": np.eye(size, dtype=np.float32)},
    )


def serve(data: bytes, batching: Batching | None = None, name: str = "m") -> Servable:
    return Servable(name, 1, seqc_runtime.load(data, device="cpu", threads=1), batching=batching)


def job(servable: Servable, *arrays: np.ndarray, wanted: list[str] | None = None, **more: Any) -> Job:
    feeds = {info.name: array for info, array in zip(servable.inputs, arrays, strict=True)}
    rows = arrays[0].shape[0] if isinstance(servable.inputs[0].shape[0], str) else None
    nbytes = sum(array.nbytes for array in arrays)
    return Job(servable, feeds, wanted or list(servable.output_by_name), rows, nbytes, **more)
