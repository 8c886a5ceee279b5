"""Weights alone in blocks of eight or four bits: onnxruntime's MatMulNBits and GatherBlockQuantized.

onnxruntime's Python class for it needs a package more, leaves Gemm in float without a word, and writes no table of
eight bits. What it would write is little: whole numbers around zero and one scale per block of a column of the kernel,
or of a row of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import onnx
from onnx import helper, numpy_helper

from seqc.export.quantization.graphs import array_of, attributes, constants, weight_of
from seqc.graph.ir import Array

# Of the blocks that onnxruntime has; more numbers per scale are faster, and less exact.
LARGEST_BLOCK, FINE_BLOCK = 128, 32
_SMALLEST_BLOCK = 16
# Numbers rounded at a time: what is tried takes several times their memory.
_AT_ONCE = 2**20
_DOMAIN = "com.microsoft"
# Products are made in eight bits, too: without that, onnxruntime is no faster than in float.
_IN_EIGHT_BITS = 4
# Of the scale that the largest number of a block would need: a smaller one lets it saturate and rounds others less.
_SCALES = np.linspace(1.0, 0.8, 9)


def quantize_blocks(model: onnx.ModelProto, nodes: Collection[str], bits: int, block: int) -> bytes:
    """Returns a model with the weights of some products and lookups in blocks.

    Args:
        model: with float weights. nodes: names of products and lookups; in four bits, rows of tables have an even
        length. bits: 8 or 4. block: how many numbers have a scale, at most; fewer where rows are shorter.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)

    def made(node: onnx.NodeProto, weight: onnx.TensorProto) -> list[onnx.NodeProto]:
        replaced = _lookup if node.op_type == "Gather" else _product
        return replaced(result.graph, node, weight, bits, block)

    replace_weighted(result.graph, nodes, constants(result), made)
    if all(x.domain != _DOMAIN for x in result.opset_import):
        result.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    return bytes(result.SerializeToString())


def replace_weighted(
    graph: onnx.GraphProto,
    nodes: Collection[str],
    weights: dict[str, onnx.TensorProto],
    made: Callable[[onnx.NodeProto, onnx.TensorProto], list[onnx.NodeProto]],
) -> None:
    """Puts others in the place of some nodes with weights, and removes weights that nothing reads any more."""
    found: list[onnx.NodeProto] = []
    for node in graph.node:
        weight = weight_of(node, weights) if node.name in nodes else None
        found += [node] if weight is None else made(node, weight)
    del graph.node[:]
    graph.node.extend(found)
    drop_unused(graph)


def block_for(length: int, most: int) -> int:
    """Returns how many numbers of rows of a length have a scale: no more than there are, up to a power of two."""
    return int(min(most, max(_SMALLEST_BLOCK, 2 ** (length - 1).bit_length())))


def rounded(rows: Array, bits: int, block: int) -> tuple[Array, Array]:
    """Returns whole numbers and scales of rows cut into blocks: row = (whole number - 2^(bits - 1)) * scale.

    Args:
        rows: (count, length). bits: 8 or 4. block: how many numbers have a scale.

    Returns:
        uint8 (count, blocks, block), padded with what stands for zero, and float32 (count, blocks).
    """
    count, length = rows.shape
    blocks = -(-length // block)
    found, scales = np.empty((count, blocks, block), np.uint8), np.empty((count, blocks), np.float32)
    step = max(1, _AT_ONCE // (blocks * block))
    for start in range(0, count, step):
        part = slice(start, start + step)
        padded = np.zeros((len(rows[part]), blocks * block), np.float32)
        padded[:, :length] = rows[part]
        found[part], scales[part] = _rounded(padded.reshape(-1, blocks, block), 2 ** (bits - 1))
    return found, scales


def _rounded(cut: Array, zero: int) -> tuple[Array, Array]:
    """Returns whole numbers and scales of blocks: of a few scales for each, the one that loses least."""
    # The largest number becomes the lowest whole number, of which there is one more below zero than above.
    at = np.abs(cut).argmax(-1, keepdims=True)
    largest = np.take_along_axis(cut, at, -1)[..., 0] / np.float32(-zero)
    # Of large numbers squares would be infinite, of small ones zero.
    unit = np.where(largest == 0, 1, np.abs(largest))[..., None]
    best = np.full(largest.shape, np.inf, np.float32)
    scales, found = largest.copy(), np.full(cut.shape, zero, np.uint8)
    for part in _SCALES:
        tried = (largest * part).astype(np.float32)
        safe = np.where(tried == 0, 1, tried)[..., None]
        whole = np.clip(np.rint(cut / safe), -zero, zero - 1)
        lost = np.sum(((whole * safe - cut) / unit) ** 2, -1)
        better = lost < best
        best, scales = np.where(better, lost, best), np.where(better, tried, scales)
        found = np.where(better[..., None], (whole + zero).astype(np.uint8), found)
    return found, scales


def _packed(whole: Array, bits: int) -> Array:
    """Returns whole numbers with two of four bits in a byte, the first in the lower half."""
    return whole if bits == 8 else (whole[..., 0::2] | (whole[..., 1::2] << 4)).astype(np.uint8)


def _product(
    graph: onnx.GraphProto, node: onnx.NodeProto, weight: onnx.TensorProto, bits: int, block: int
) -> list[onnx.NodeProto]:
    kernel = array_of(weight)
    columns = kernel if attributes(node).get("transB", 0) else kernel.T
    block = block_for(columns.shape[1], block)
    whole, scales = rounded(columns, bits, block)
    names = _store(graph, node.name, _packed(whole, bits), scales)
    biased = len(node.input) > 2 and node.input[2]
    made = f"{node.name}/product" if biased else node.output[0]
    count, length = columns.shape
    product = helper.make_node(
        "MatMulNBits",
        [node.input[0], *names],
        [made],
        name=node.name,
        domain=_DOMAIN,
        K=length,
        N=count,
        bits=bits,
        block_size=block,
        accuracy_level=_IN_EIGHT_BITS,
    )
    if not biased:
        return [product]
    return [product, helper.make_node("Add", [made, node.input[2]], list(node.output), name=f"{node.name}/bias")]


def _lookup(
    graph: onnx.GraphProto, node: onnx.NodeProto, weight: onnx.TensorProto, bits: int, block: int
) -> list[onnx.NodeProto]:
    table = array_of(weight)
    block = block_for(table.shape[1], block)
    whole, scales = rounded(table, bits, block)
    # Its rows are as long as those of the table: their last block may be shorter.
    flat = whole.reshape(len(table), -1)[:, : table.shape[1]]
    data, scale = _store(graph, node.name, _packed(flat, bits), scales)
    lookup = helper.make_node(
        "GatherBlockQuantized",
        [data, node.input[1], scale],
        list(node.output),
        name=node.name,
        domain=_DOMAIN,
        gather_axis=0,
        quantize_axis=1,
        block_size=block,
        bits=bits,
    )
    return [lookup]


def _store(graph: onnx.GraphProto, name: str, whole: Array, scales: Array) -> tuple[str, str]:
    names = f"{name}/blocks", f"{name}/scales"
    graph.initializer.extend(
        [numpy_helper.from_array(array, n) for array, n in zip((whole, scales), names, strict=True)]
    )
    return names


def drop_unused(graph: onnx.GraphProto) -> None:
    """Removes the weights that nothing reads any more, in subgraphs neither."""
    used = {y.name for y in graph.output} | _read(graph)
    kept = [t for t in graph.initializer if t.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _read(graph: onnx.GraphProto) -> set[str]:
    found = {x for n in graph.node for x in n.input}
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                found |= _read(inner)
    return found
