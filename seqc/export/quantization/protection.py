"""Keeps layers in float that onnxruntime would quantize on its own when it loads a file.

Where a product or convolution stands between tensors in eight bits, onnxruntime (WeightBiasQuantization, of 1.20 or
newer) gives it weights in eight bits, too, with one scale for all of them. That is worse than what the quantizer does,
and just what a layer that was left in float must not get. It looks for a QuantizeLinear behind the layer, past Relu and
Clip only: another activation that changes nothing, LeakyRelu with a slope of one, keeps it from finding any.
"""

from __future__ import annotations

import onnx
from onnx import helper

from seqc.export.quantization.graphs import constants, weight_of

_AT_RISK = ("Conv", "ConvTranspose", "Gemm")


def keep_in_float(content: bytes) -> bytes:
    """Returns a file whose products and convolutions with float weights compute in float."""
    model = onnx.ModelProto()
    model.ParseFromString(content)
    weights, graph = constants(model), model.graph
    made = []
    for node in graph.node:
        made.append(node)
        if node.op_type in _AT_RISK and weight_of(node, weights) is not None:
            (given,) = node.output
            node.output[0] = f"{given}/in_float"
            made.append(
                helper.make_node("LeakyRelu", [node.output[0]], [given], name=f"{node.name}/in_float", alpha=1.0)
            )
    del graph.node[:]
    graph.node.extend(made)
    return bytes(model.SerializeToString())
