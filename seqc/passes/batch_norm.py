"""Folding batch normalization into the product before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqc.graph.ir import Array, Constant, Graph, Op, Value, build, constant
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.arithmetic import Add
from seqc.ops.conv import Conv, ConvTranspose
from seqc.ops.linalg import Gemm, MatMul
from seqc.ops.normalization import BatchNormalization
from seqc.passes._rewriting import count_uses, known_array


@dataclass(frozen=True, eq=False)
class _Product:
    """x times a constant kernel, plus a constant bias."""

    op: Op
    x: Value
    kernel: Value
    bias: Value | None
    scope: str


def fold_batch_norm(graph: Graph, _: Target) -> Graph:
    """Returns the graph with BatchNormalization over channels folded into the Conv, ConvTranspose, MatMul or Gemm
    that feeds it.

    Only backwards: folding into the next convolution would change what its padding means. The new weights are computed
    in float64. Needs constant weights and statistics, and a product that nothing else uses.
    """
    uses = count_uses(graph)

    def rule(old: Value, new: Value) -> Value | None:
        if not isinstance(new.op, BatchNormalization) or new.op.axis != new.type.rank - 1:
            return None
        source = old.inputs[0]
        if uses[source] != 1 or (isinstance(source.op, Add) and any(uses[x] != 1 for x in source.inputs if x.inputs)):
            return None
        product = _product(new.inputs[0])
        statistics = [known_array(v) for v in new.inputs[1:]]
        if product is None or any(a is None for a in statistics):
            return None
        return _folded(new, product, [a.astype(np.float64) for a in statistics if a is not None])

    return rewrite(graph, rule)


def _product(value: Value) -> _Product | None:
    op, inputs = value.op, value.inputs
    if isinstance(op, Conv | ConvTranspose) and op.first:
        return None
    if isinstance(op, ConvTranspose) and op.groups > 1:
        return None  # its kernel's axes do not tell the channels of different groups apart
    if isinstance(op, Conv | ConvTranspose | Gemm | MatMul):
        if any(known_array(v) is None for v in inputs[1:]) or inputs[1].type.rank < 2:
            return None
        if isinstance(op, MatMul) and inputs[1].type.rank != 2:
            return None
        return _Product(op, inputs[0], inputs[1], inputs[2] if len(inputs) == 3 else None, value.scope)
    if isinstance(op, Add):
        for product, bias in (inputs, inputs[::-1]):
            vector = known_array(bias)
            if isinstance(product.op, MatMul) and vector is not None and vector.shape == value.type.shape[-1:]:
                inner = _product(product)
                return None if inner is None else _Product(inner.op, inner.x, inner.kernel, bias, value.scope)
    return None


def _folded(norm: Value, p: _Product, statistics: list[Array]) -> Value:
    assert isinstance(norm.op, BatchNormalization)
    scale, offset, mean, variance = statistics
    factor = scale / np.sqrt(variance + norm.op.epsilon)
    bias = 0.0 if p.bias is None else p.bias.op.eval().astype(np.float64)
    dtype = p.kernel.type.dtype
    # A transposed convolution makes the channels of its kernel's last axis but one.
    each = factor[:, None] if isinstance(p.op, ConvTranspose) else factor
    kernel = _weight(p.kernel, p.kernel.op.eval().astype(np.float64) * each, dtype)
    shift = _weight(norm.inputs[2] if p.bias is None else p.bias, (bias - mean) * factor + offset, dtype)
    if isinstance(p.op, Conv | ConvTranspose):
        return build(p.op, (p.x, kernel, shift), p.scope)
    if p.x.type.rank == 2:
        return build(Gemm(), (p.x, kernel, shift), p.scope)
    return build(Add(), (build(MatMul(), (p.x, kernel), p.scope), shift), p.scope)


def _weight(before: Value, array: Array, dtype: str) -> Value:
    """A constant that keeps the name of the one it replaces."""
    label = before.op.label if isinstance(before.op, Constant) else ""
    return constant(array.astype(dtype), label)
