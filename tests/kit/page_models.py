"""Models for the tests of the server's page: of every kind of input that it has a field for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Sizes = list[int | str]
FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


def write(
    repository: Path,
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, Sizes]],
    outputs: dict[str, tuple[int, Sizes]],
    weights: dict[str, np.ndarray] | None = None,
    version: int = 1,
    classes: list[str] | None = None,
) -> Path:
    """A model's file in a repository. inputs, outputs: element type and shape by name."""
    graph = helper.make_graph(
        nodes,
        "page",
        [helper.make_tensor_value_info(key, kind, shape) for key, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(key, kind, shape) for key, (kind, shape) in outputs.items()],
        [numpy_helper.from_array(array, key) for key, array in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    if classes is not None:
        helper.set_model_props(model, {"classes": json.dumps(classes)})
    folder = repository / name / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    # Servers that look for changes must not see half of a file.
    (folder / "model.new").write_bytes(model.SerializeToString())
    (folder / "model.new").rename(path)
    return path


def same(name: str = "x") -> onnx.NodeProto:
    """y is what came in."""
    return helper.make_node("Identity", [name], ["y"])


def echo(repository: Path, name: str, kind: int, shape: Sizes) -> Path:
    """y = x of any element type."""
    return write(repository, name, [same()], {"x": (kind, shape)}, {"y": (kind, shape)})


def sums(repository: Path, name: str = "sums", version: int = 3) -> Path:
    """Two inputs: a + b."""
    shape: Sizes = ["batch", 2]
    node = helper.make_node("Add", ["a", "b"], ["sum"])
    return write(
        repository, name, [node], dict.fromkeys("ab", (FLOAT, shape)), {"sum": (FLOAT, shape)}, version=version
    )


def scores(repository: Path, name: str, classes: list[str]) -> Path:
    """A softmax over as many classes, which have names, of eight numbers."""
    weight = np.random.default_rng(0).normal(size=(8, len(classes))).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["y"])]
    shapes: tuple[Sizes, Sizes] = (["batch", 8], ["batch", len(classes)])
    return write(
        repository, name, nodes, {"x": (FLOAT, shapes[0])}, {"y": (FLOAT, shapes[1])}, {"w": weight}, classes=classes
    )


def means(repository: Path, name: str, shape: Sizes, axes: list[int]) -> Path:
    """The mean of each channel of an image: its colour."""
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)
    return write(
        repository,
        name,
        [node],
        {"x": (FLOAT, shape)},
        {"y": (FLOAT, ["batch", 3])},
        {"axes": np.array(axes, np.int64)},
    )


def constant(repository: Path, name: str, values: np.ndarray, output: str = "y") -> Path:
    """No inputs: always the same values."""
    array = numpy_helper.from_array(values, "v")
    node = helper.make_node("Constant", [], [output], value=array)
    return write(repository, name, [node], {}, {output: (array.data_type, list(values.shape))})
