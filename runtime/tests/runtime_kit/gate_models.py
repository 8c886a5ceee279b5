"""Models for the gate's tests: y = x W, with weights inside or in another file."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

FLOAT = TensorProto.FLOAT
WEIGHT = np.arange(8, dtype=np.float32).reshape(4, 2)
MATMUL = helper.make_node("MatMul", ["x", "w"], ["y"])


def value(name: str, shape: list[Any] | None, dtype: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(nodes: list[Any], tensors: list[Any] | None = None, **more: Any) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", [value("x", ["batch", 4])], [value("y", ["batch", 2])], tensors or [])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **more)


def external(location: str, dims: tuple[int, ...] = (4, 2), **entries: object) -> TensorProto:
    tensor = TensorProto(name="w", data_type=FLOAT, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, said in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(said))
    return tensor
