"""Adding a bias inside a convolution whose channels come first."""

from __future__ import annotations

from seqc.export.images.conv import OnnxConv, OnnxConvTranspose
from seqc.graph.ir import Constant, Graph, Value, build, constant
from seqc.graph.target import Target
from seqc.passes._rewriting import known_array
from seqc.passes.bias import join_sums


def fuse_channel_bias(graph: Graph, _: Target) -> Graph:
    """Returns the graph with constants that are added to the channels of a convolution inside it.

    Exactly: conv(x, k) + b = conv(x, k, b), b being the same for all pixels of a channel.

    Such convolutions are products over channels before `plan_layout`, which have no place for a bias.
    """
    return join_sums(graph, _fuse)


def _fuse(product: Value, bias: Value, scope: str) -> Value | None:
    """Adds a constant (channels, 1, ...) or (1, channels, 1, ...)."""
    if len(product.inputs) != 2 or not isinstance(product.op, OnnxConv | OnnxConvTranspose):
        return None
    array = known_array(bias)
    along = (product.type.shape[1], *(1,) * (product.type.rank - 2))
    if array is None or array.size != along[0] or array.shape[-len(along) :] != along:
        return None
    label = bias.op.label if isinstance(bias.op, Constant) else ""
    return build(product.op, (*product.inputs, constant(array.reshape(-1), label)), scope)
