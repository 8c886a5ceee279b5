"""Adding a bias inside the product it belongs to."""

from __future__ import annotations

from collections.abc import Callable

from seqc.graph.ir import Graph, Value, build
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.arithmetic import Add
from seqc.ops.conv import Conv, ConvTranspose
from seqc.ops.linalg import Gemm, MatMul
from seqc.passes._rewriting import count_uses


def fuse_bias(graph: Graph, _: Target) -> Graph:
    """Returns the graph with Add(Conv(x, w), b) as Conv(x, w, b), and Add(MatMul(x, w), b) of matrices as Gemm.

    Exactly: gemm(x, w, b) = x @ w + b, and conv(x, w, b) = conv(x, w) + b.

    ConvTranspose goes as Conv does. A product that something else uses too stays as it is.
    """
    return join_sums(graph, _fuse)


def join_sums(graph: Graph, join: Callable[[Value, Value, str], Value | None]) -> Graph:
    """Returns the graph with sums as one operation.

    Args:
        graph: what to rewrite.
        join: called with one operand that has the type of the sum and that nothing else uses, with the other operand,
            and with the sum's scope; returns what takes the sum's place, or None.
    """
    uses = count_uses(graph)

    def rule(old: Value, new: Value) -> Value | None:
        if not isinstance(new.op, Add):
            return None
        for i in (0, 1):
            if uses[old.inputs[i]] == 1 and new.inputs[i].type == new.type:
                joined = join(new.inputs[i], new.inputs[1 - i], new.scope)
                if joined is not None:
                    return joined
        return None

    return rewrite(graph, rule)


def _fuse(product: Value, bias: Value, scope: str) -> Value | None:
    if len(product.inputs) != 2 or bias.type.shape != product.type.shape[-1:] or not product.type.is_float:
        return None
    if isinstance(product.op, Conv | ConvTranspose):
        return build(product.op, (*product.inputs, bias), scope)
    if isinstance(product.op, MatMul) and product.inputs[0].type.rank == product.inputs[1].type.rank == 2:
        return build(Gemm(), (*product.inputs, bias), scope)
    return None
