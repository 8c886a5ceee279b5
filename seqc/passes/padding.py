"""Leaving zero padding to the convolution or pool after it."""

from __future__ import annotations

from dataclasses import replace

from seqc.graph.ir import Graph, Value, build
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.conv import Conv
from seqc.ops.nonlinear import Relu
from seqc.ops.padding import Pad
from seqc.ops.pool import MaxPool
from seqc.passes._rewriting import count_uses


def fold_padding(graph: Graph, _: Target) -> Graph:
    """Returns the graph with Conv(Pad(x)) as one Conv with more padding, where zeros are put around the image only.

    MaxPool goes the same way where the padding, which never wins in it, would not have won as zeros either: after Relu.
    A padded image that something else uses too stays as it is, and so does one whose convolution pads by its size.
    """
    uses = count_uses(graph)

    def rule(old: Value, new: Value) -> Value | None:
        op = new.op
        if not isinstance(op, Conv | MaxPool) or op.first or op.padding == "same" or uses[old.inputs[0]] != 1:
            return None
        pad = new.inputs[0]
        if not isinstance(pad.op, Pad) or pad.op.value != 0:
            return None
        batch, *space, channels = pad.op.pads
        if batch != (0, 0) or channels != (0, 0):
            return None
        own = op.padding if isinstance(op.padding, tuple) else ((0, 0),) * len(space)
        both = tuple((a + c, b + d) for (a, b), (c, d) in zip(own, space, strict=True))
        if isinstance(op, MaxPool):
            # Each window needs an element of the image: where there is none, its maximum would not be zero.
            seen = all(max(pair) < size for pair, size in zip(both, op.size, strict=True))
            if not seen or op.padding != "valid" or not isinstance(pad.inputs[0].op, Relu):
                return None
        return build(replace(op, padding=both), (pad.inputs[0], *new.inputs[1:]), new.scope)

    return rewrite(graph, rule)
