"""Weights kept in eight bits and made floats again when the model runs: smaller files of any layer, in plain ONNX."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from onnx import helper, numpy_helper

from seqc.export.quantization.blocks import drop_unused
from seqc.export.quantization.graphs import array_of, attributes, constants
from seqc.graph.ir import Array


def quantize_weights(model: onnx.ModelProto, nodes: Collection[str]) -> bytes:
    """Returns a model with the weights of some nodes in eight bits, each behind a DequantizeLinear.

    Args:
        model: with float weights. nodes: their names.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph, weights = result.graph, constants(result)
    made: dict[tuple[str, int], str] = {}
    ordered, opened = [], []
    for node in graph.node:
        if node.name in nodes:
            for at in _places(node):
                if at < len(node.input) and node.input[at] in weights:
                    key = node.input[at], _axis(node, len(weights[node.input[at]].dims))
                    if key not in made:
                        made[key] = f"{key[0]}/{node.name}/float"
                        opened.append(_stored(graph, array_of(weights[key[0]]), key[1], made[key]))
                    node.input[at] = made[key]
        ordered.append(node)
    del graph.node[:]
    graph.node.extend([*opened, *ordered])
    drop_unused(graph)
    return bytes(result.SerializeToString())


def _places(node: onnx.NodeProto) -> tuple[int, ...]:
    """Returns which operands of a node are weights."""
    return (0,) if node.op_type == "Gather" else (1, 2) if node.op_type in ("LSTM", "GRU", "RNN") else (1,)


def _axis(node: onnx.NodeProto, rank: int) -> int:
    """Returns the axis along which weights have scales of their own: outputs of a layer, rows of a table."""
    if node.op_type == "Gemm":
        return 0 if attributes(node).get("transB", 0) else 1
    return {"MatMul": rank - 1, "ConvTranspose": 1, "LSTM": 1, "GRU": 1, "RNN": 1}.get(node.op_type, 0)


def _stored(graph: onnx.GraphProto, array: Array, axis: int, name: str) -> onnx.NodeProto:
    others = tuple(i for i in range(array.ndim) if i != axis)
    scales = (np.abs(array).max(others) / 127).astype(np.float32)
    shape = [-1 if i == axis else 1 for i in range(array.ndim)]
    whole = np.rint(array / np.where(scales == 0, 1, scales).reshape(shape)).astype(np.int8)
    names = f"{name}/whole", f"{name}/scales", f"{name}/zero"
    kept = whole, scales, np.zeros(scales.shape, np.int8)
    graph.initializer.extend([numpy_helper.from_array(a, n) for a, n in zip(kept, names, strict=True)])
    return helper.make_node("DequantizeLinear", list(names), [name], name=name, axis=axis)
