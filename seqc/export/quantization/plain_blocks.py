"""Weights alone in blocks of eight or four bits, in ONNX itself: DequantizeLinear with a scale per block, of opset 21.

In front of a product, onnxruntime makes its MatMulNBits of it when it loads the file. Of a table, rows are looked up
first and made float then, which ONNX has for eight bits only: no Gather takes four.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

from seqc.errors import ExportError
from seqc.export.quantization.blocks import block_for, replace_weighted, rounded
from seqc.export.quantization.graphs import array_of, attributes, constants
from seqc.graph.ir import Array

# The first with scales for blocks, and the file format in which four bits are a type.
OPSET, IR_VERSION = 21, 10


def quantize_plain_blocks(model: onnx.ModelProto, nodes: Collection[str], bits: int, block: int) -> bytes:
    """Returns a model with the weights of some products and lookups in blocks, in ONNX's own operators.

    Args:
        model: with float weights; its operators are brought to opset 21 if they are older. nodes: names of products and
        lookups. bits: 8 or 4, of products; tables have 8. block: how many numbers have a scale, at most.

    Raises:
        ExportError: onnx cannot bring some operator to opset 21.
    """
    result = _renewed(model)

    def made(node: onnx.NodeProto, weight: TensorProto) -> list[onnx.NodeProto]:
        if node.op_type == "Gather":
            return _lookup(result.graph, node, weight, block)
        return _product(result.graph, node, weight, bits, block)

    replace_weighted(result.graph, nodes, constants(result), made)
    return bytes(result.SerializeToString())


def _renewed(model: onnx.ModelProto) -> onnx.ModelProto:
    version = next((x.version for x in model.opset_import if x.domain in ("", "ai.onnx")), 0)
    result = onnx.ModelProto()
    try:
        result.CopyFrom(model if version >= OPSET else version_converter.convert_version(model, OPSET))
    except Exception as error:  # of kinds of its own
        raise ExportError(f"onnx does not bring it from opset {version} to {OPSET}: {error}") from error
    result.ir_version = max(result.ir_version, IR_VERSION)
    return result


def _product(
    graph: onnx.GraphProto, node: onnx.NodeProto, weight: TensorProto, bits: int, block: int
) -> list[onnx.NodeProto]:
    kernel = array_of(weight)
    columns = kernel if attributes(node).get("transB", 0) else kernel.T
    length = columns.shape[1]
    block = block_for(length, block)
    whole, scales = rounded(columns, bits, block)
    signed = whole.reshape(len(columns), -1)[:, :length].T.astype(np.int16) - 2 ** (bits - 1)
    graph.initializer.extend(
        [_whole(signed, bits, f"{node.name}/blocks"), numpy_helper.from_array(scales.T.copy(), f"{node.name}/scales")]
    )
    biased = len(node.input) > 2 and node.input[2]
    bias = next((array_of(t) for t in graph.initializer if biased and t.name == node.input[2]), None)
    made = f"{node.name}/product" if biased else node.output[0]
    floats = f"{node.name}/weights"
    nodes = [
        _dequantized(node.name, [f"{node.name}/blocks", f"{node.name}/scales"], floats, 0, block),
        helper.make_node("MatMul", [node.input[0], floats], [made], name=node.name),
    ]
    if bias is not None:
        # Of a product and an Add onnxruntime makes a Gemm before it looks for blocks. p - (-b) is p + b to the bit.
        graph.initializer.append(numpy_helper.from_array(-bias, f"{node.name}/minus_bias"))
        nodes.append(helper.make_node("Sub", [made, f"{node.name}/minus_bias"], node.output, name=f"{node.name}/bias"))
    elif biased:
        nodes.append(helper.make_node("Add", [made, node.input[2]], node.output, name=f"{node.name}/bias"))
    return nodes


def _lookup(graph: onnx.GraphProto, node: onnx.NodeProto, weight: TensorProto, block: int) -> list[onnx.NodeProto]:
    table = array_of(weight)
    block = block_for(table.shape[1], block)
    whole, scales = rounded(table, 8, block)
    signed = whole.reshape(len(table), -1)[:, : table.shape[1]].astype(np.int16) - 128
    held = {"blocks": _whole(signed, 8, f"{node.name}/blocks"), "scales": numpy_helper.from_array(scales)}
    held["scales"].name = f"{node.name}/scales"
    graph.initializer.extend(held.values())
    rows = [
        helper.make_node(
            "Gather", [tensor.name, node.input[1]], [f"{node.name}/{kind}_row"], name=f"{node.name}/{kind}"
        )
        for kind, tensor in held.items()
    ]
    return [*rows, _dequantized(node.name, [row.output[0] for row in rows], node.output[0], -1, block)]


def _dequantized(name: str, operands: list[str], made: str, axis: int, block: int) -> onnx.NodeProto:
    return helper.make_node(
        "DequantizeLinear", operands, [made], name=f"{name}/DequantizeLinear", axis=axis, block_size=block
    )


def _whole(signed: Array, bits: int, name: str) -> TensorProto:
    """Returns whole numbers as a weight; of four bits, two in a byte, the first in the lower half."""
    if bits == 8:
        return numpy_helper.from_array(signed.astype(np.int8), name)
    halves = np.zeros(signed.size + signed.size % 2, np.uint8)
    halves[: signed.size] = signed.astype(np.int8).ravel().view(np.uint8) & 15
    packed = (halves[0::2] | halves[1::2] << 4).astype(np.uint8)
    return TensorProto(name=name, data_type=TensorProto.INT4, dims=signed.shape, raw_data=packed.tobytes())
