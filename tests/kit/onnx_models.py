"""Exported models, opened up for tests."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from seqc.export import compile_graph
from seqc.graph.ir import Array, Graph


def compiled(graph: Graph, **options: Any) -> onnx.ModelProto:
    """The model of an inference graph after its passes."""
    return compile_graph(graph, **options)


def content(model: onnx.ModelProto) -> bytes:
    result: bytes = model.SerializeToString(deterministic=True)
    return result


def node_types(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def counts(model: onnx.ModelProto) -> dict[str, int]:
    return dict(Counter(node_types(model)))


def only(model: onnx.ModelProto, op_type: str) -> onnx.NodeProto:
    """The one node of a type."""
    (node,) = (node for node in model.graph.node if node.op_type == op_type)
    result: onnx.NodeProto = node
    return result


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {k: [t.decode() for t in v] if v and isinstance(v, list) and isinstance(v[0], bytes) else v
            for k, v in found.items()}  # fmt: skip


def initializer(model: onnx.ModelProto, name: str) -> Array:
    (tensor,) = (t for t in model.graph.initializer if t.name == name)
    return np.asarray(numpy_helper.to_array(tensor))


def shape_of(port: onnx.ValueInfoProto) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in port.type.tensor_type.shape.dim]
