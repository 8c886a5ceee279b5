"""Adding a bias inside the product it belongs to."""

from __future__ import annotations

from seqc.graph.ir import Constant, Graph, Value, build, constant
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.arithmetic import Add
from seqc.ops.conv import Conv, ConvTranspose
from seqc.ops.linalg import Gemm, MatMul
from seqc.passes._rewriting import count_uses, known_array


def fuse_bias(graph: Graph, _: Target) -> Graph:
    """Returns the graph with Add(Conv(x, w), b) as Conv(x, w, b), and Add(MatMul(x, w), b) of matrices as Gemm.

    ConvTranspose goes as Conv does, and so does a product over channels that `plan_layout` made a convolution.
    A product that something else uses too stays as it is.
    """
    uses = count_uses(graph)

    def rule(old: Value, new: Value) -> Value | None:
        if not isinstance(new.op, Add):
            return None
        for i in (0, 1):
            product, bias = new.inputs[i], new.inputs[1 - i]
            if uses[old.inputs[i]] == 1 and product.type == new.type:
                fused = _fuse(product, bias, new.scope)
                if fused is not None:
                    return fused
        return None

    return rewrite(graph, rule)


def _fuse(product: Value, bias: Value, scope: str) -> Value | None:
    if len(product.inputs) != 2 or not product.type.is_float:
        return None
    if isinstance(product.op, Conv | ConvTranspose) and product.op.first:
        return _fuse_first(product, bias, scope)
    if bias.type.shape != product.type.shape[-1:]:
        return None
    if isinstance(product.op, Conv | ConvTranspose):
        return build(product.op, (*product.inputs, bias), scope)
    if isinstance(product.op, MatMul) and product.inputs[0].type.rank == product.inputs[1].type.rank == 2:
        return build(Gemm(), (*product.inputs, bias), scope)
    return None


def _fuse_first(product: Value, bias: Value, scope: str) -> Value | None:
    """Adds a constant (channels, 1, ...) or (1, channels, 1, ...) inside a channels-first convolution."""
    array = known_array(bias)
    along = (product.type.shape[1], *(1,) * (product.type.rank - 2))
    if array is None or array.size != along[0] or array.shape[-len(along) :] != along:
        return None
    label = bias.op.label if isinstance(bias.op, Constant) else ""
    return build(product.op, (*product.inputs, constant(array.reshape(-1), label)), scope)
