"""Letting a convolution step over what it does not need."""

from __future__ import annotations

from dataclasses import replace

from seqc.graph.ir import Graph, Value, build
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.conv import Conv
from seqc.ops.pool import AveragePool, MaxPool
from seqc.ops.slicing import Slice


def fold_strides(graph: Graph, _: Target) -> Graph:
    """Returns the graph with convolutions of every n-th pixel reading the whole image in larger steps.

    Exactly: sum over j of k[j] * (x[::n])[s i + d j] = sum over j of k[j] * x[n s i + n d j].

    Every n-th pixel, from the first, is what a pool with a window of one takes, and a slice with steps. A window over
    them with strides s and dilations d is one over all pixels with strides n s and dilations n d; that both fit equally
    often, (p - 1) // n + 1 pixels of p, holds where the convolution does not pad.
    """

    def rule(_: Value, new: Value) -> Value | None:
        op = new.op
        if not isinstance(op, Conv) or (steps := _steps(new.inputs[0])) is None:
            return None
        source, size = new.inputs[0].inputs[0], new.inputs[1].type.shape[:-2]
        pads = op.padding if isinstance(op.padding, tuple) else ()
        if any(pair != (0, 0) for pair in pads) or (op.padding == "same" and any(n != 1 for n in size)):
            return None
        apart = zip(op.dilations or (1,) * len(steps), steps, size, strict=True)
        strides = tuple(s * n for s, n in zip(op.strides, steps, strict=True))
        dilations = tuple(d * n if k != 1 else d for d, n, k in apart)
        longer = replace(op, strides=strides, dilations=dilations, padding="valid")
        stepping = build(longer, (source, *new.inputs[1:]), new.scope)
        return stepping if stepping.type == new.type else None  # sizes that are not known may be written differently

    return rewrite(graph, rule)


def _steps(value: Value) -> tuple[int, ...] | None:
    """Returns that a value is every n-th pixel of its operand: n along each axis of the image, or None."""
    op, rank = value.op, value.type.rank
    if isinstance(op, AveragePool | MaxPool) and set(op.size) == {1}:
        pads = op.padding if isinstance(op.padding, tuple) else ()
        return op.strides if all(pair == (0, 0) for pair in pads) else None
    if isinstance(op, Slice) and not any(op.starts):
        step = dict(zip(op.axes, op.steps, strict=True))
        whole = (stop in (None, value.inputs[0].type.shape[axis]) for axis, stop in zip(op.axes, op.stops, strict=True))
        if all(whole) and all(0 < axis < rank - 1 and n > 0 for axis, n in step.items()):
            return tuple(step.get(axis, 1) for axis in range(1, rank - 1))
    return None
