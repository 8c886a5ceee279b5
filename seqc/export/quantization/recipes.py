"""The ways to quantize a model, and which of its nodes each of them is about."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import onnx

from seqc.backends import onnxruntime_quantizer as quantizer
from seqc.errors import ExportError
from seqc.export.quantization.blocks import FINE_BLOCK, LARGEST_BLOCK, quantize_blocks
from seqc.export.quantization.graphs import (
    CONVOLUTIONS,
    LARGE,
    PRODUCTS,
    RECURRENT,
    TABLES,
    WEIGHTED,
    FloatModel,
    array_of,
    constants,
    weight_of,
)
from seqc.export.quantization.machine import needs_seven_bits
from seqc.export.quantization.plain_blocks import quantize_plain_blocks
from seqc.export.quantization.protection import keep_in_float
from seqc.export.quantization.samples import Samples, batches, count_of
from seqc.export.quantization.settings import Settings
from seqc.export.quantization.weights import quantize_weights

# Of the samples that ranges are taken from.
_CALIBRATION_BATCH = 32
# What onnxruntime runs in eight bits besides products and convolutions; each may be left in float, as these may.
_POINTWISE = ("Add", "Mul", "Concat", "GlobalAveragePool", "AveragePool", "LeakyRelu", "Sigmoid")
# Quantized where what stands in front of it is, and at no cost then.
_FOLLOWING = ("Relu", "Clip", "MaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Split", "Pad")


@dataclass(frozen=True)
class Recipe:
    """One way to quantize a model.

    Attributes:
        name: as the log and the table have it. what: in words. nodes: names of those it may quantize. build: makes a
        file in which only some of them are. by_batch: whether a sample's result depends on the others of its batch.
        instead_of: name of the recipe that has to fail before this one is worth a trial.
    """

    name: str
    what: str
    nodes: tuple[str, ...]
    build: Callable[[Collection[str]], bytes]
    by_batch: bool = False
    instead_of: str | None = None


def recipes_for(model: FloatModel, samples: Samples, settings: Settings) -> list[Recipe]:
    """Returns the ways to quantize a model that have something to quantize in it.

    Raises:
        ExportError: there is none.
    """
    blocks = _plain_blocks(model) if settings.plain else _blocks(model)
    found = [r for r in (*_eight_bits(model, samples, settings), *blocks, *_stored(model, settings)) if r.nodes]
    if not found:
        kinds = ", ".join(sorted({n.op_type for n in model.proto.graph.node}))
        types = ", ".join(sorted({array_of(t).dtype.name for t in model.proto.graph.initializer})) or "none"
        raise ExportError(
            f"{model.name} has nothing to quantize: no product, convolution, LSTM or table with constant float32 "
            f"weights (its nodes are {kinds}; its constants {types})."
        )
    return found


def _eight_bits(model: FloatModel, samples: Samples, settings: Settings) -> list[Recipe]:
    content, seven = model.proto.SerializeToString(), needs_seven_bits()
    lstms = () if settings.plain else RECURRENT  # in eight bits it is an operator of onnxruntime's own
    dynamic = (*PRODUCTS, *lstms, *TABLES)
    heavy = model.nodes((*PRODUCTS, *CONVOLUTIONS))
    static = (*heavy, *model.all_nodes(_POINTWISE)) if heavy else ()
    kinds = (*PRODUCTS, *CONVOLUTIONS, *_POINTWISE, *_FOLLOWING)
    every = model.all_nodes(kinds)
    # Of one size all of them, as the quantizer needs; what does not come out even is left out.
    size = model.fixed_batch or min(_CALIBRATION_BATCH, count_of(samples.calibration))
    calibration = [b for b in batches(samples.calibration, size) if count_of(b) == size]

    def dynamically(chosen: Collection[str]) -> bytes:
        left = [n for n in model.all_nodes(dynamic) if n not in chosen]
        # The quantizer makes products of its own, with these names, of every Gemm.
        excluded = [*left, *(f"{n}_MatMul" for n in left)]
        return quantizer.quantize_dynamic(content, ["MatMul", *lstms, *TABLES], excluded, seven)

    def statically(ranges: str) -> Callable[[Collection[str]], bytes]:
        def build(chosen: Collection[str]) -> bytes:
            free = set(model.all_nodes(_FOLLOWING)) | set(chosen)
            excluded = [n for n in every if n not in free]
            return keep_in_float(quantizer.quantize_static(content, kinds, excluded, seven, calibration, ranges))

        return build

    words = "weights and activations in 8 bits, ranges"
    recurrent = model.nodes(lstms)

    def mixed(chosen: Collection[str]) -> bytes:
        kept = [n for n in recurrent if n not in chosen]
        return quantizer.quantize_dynamic(statically("range")(chosen), lstms, kept, seven)

    return [
        Recipe("static", f"{words} from samples", static, statically("range")),
        Recipe(
            "static-percentile",
            f"{words} from all but the rarest numbers of samples",
            static,
            statically("percentile"),
            instead_of="static",
        ),
        Recipe("dynamic", f"{words} found in each run", model.nodes(dynamic), dynamically, by_batch=True),
        Recipe(
            "static-dynamic",
            f"{words} from samples, of LSTM found in each run",
            (*static, *recurrent) if recurrent and model.nodes(CONVOLUTIONS) else (),
            mixed,
            by_batch=True,
        ),
    ]


def _blocks(model: FloatModel) -> list[Recipe]:
    large = model.nodes((*PRODUCTS, *TABLES), LARGE)
    weights = constants(model.proto)
    odd = {n.name for n in model.proto.graph.node if n.op_type in TABLES and _width(n, weights) % 2}

    def build(bits: int, block: int) -> Callable[[Collection[str]], bytes]:
        return lambda chosen: quantize_blocks(model.proto, chosen, bits, block)

    words = "large weights alone in"
    even = tuple(n for n in large if n not in odd)
    return [
        Recipe("blocks-8", f"{words} 8 bits, {LARGEST_BLOCK} to a scale", large, build(8, LARGEST_BLOCK)),
        Recipe("blocks-4", f"{words} 4 bits, {LARGEST_BLOCK} to a scale", even, build(4, LARGEST_BLOCK)),
        Recipe(
            "blocks-4-fine", f"{words} 4 bits, {FINE_BLOCK} to a scale", even, build(4, FINE_BLOCK), False, "blocks-4"
        ),
    ]


def _plain_blocks(model: FloatModel) -> list[Recipe]:
    """The same in ONNX itself; a name of its own, as a log may have both."""
    large, products = model.nodes((*PRODUCTS, *TABLES), LARGE), model.nodes(PRODUCTS, LARGE)

    def build(bits: int, block: int) -> Callable[[Collection[str]], bytes]:
        return lambda chosen: quantize_plain_blocks(model.proto, chosen, bits, block)

    words, scale = "large weights alone in", "to a scale, in ONNX itself"
    four = large if products else ()
    eight = build(8, LARGEST_BLOCK)
    return [
        Recipe("plain-blocks-8", f"{words} 8 bits, {LARGEST_BLOCK} {scale}", large, eight),
        Recipe("plain-blocks-4", f"{words} 4 bits (tables 8), {LARGEST_BLOCK} {scale}", four, build(4, LARGEST_BLOCK)),
        Recipe(
            "plain-blocks-4-fine",
            f"{words} 4 bits (tables 8), {FINE_BLOCK} {scale}",
            four,
            build(4, FINE_BLOCK),
            instead_of="plain-blocks-4",
        ),
    ]


def _stored(model: FloatModel, settings: Settings) -> list[Recipe]:
    if settings.purpose != "size":
        return []  # it saves no time: every run makes floats of the weights first
    nodes = model.nodes(WEIGHTED, LARGE)
    what = "large weights kept in 8 bits, computed with in float"
    return [Recipe("weights-8", what, nodes, lambda chosen: quantize_weights(model.proto, chosen))]


def _width(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> int:
    weight = weight_of(node, weights)
    return weight.dims[-1] if weight is not None and len(weight.dims) else 0
