"""Normalization that is written in parts, as the forms that onnxruntime is fastest with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seqc.export.normalization.forms import GroupNormalization, RMSNormalization
from seqc.graph.ir import Constant, Graph, Type, Value, build, constant
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.arithmetic import Add, Div, Mul, Sub
from seqc.ops.reduce import ReduceMean
from seqc.ops.shape import Reshape, ReshapeLike
from seqc.ops.sizes import ReshapeTo
from seqc.ops.transcendental import Sqrt
from seqc.passes._rewriting import count_uses, known_array
from seqc.sure import of_kind

Uses = Mapping[Value, int]


def recognize_groups(graph: Graph, _: Target) -> Graph:
    """Returns the graph with normalization by groups of channels as one operation each, with scale and offset.

    Exactly: ((x - m) / sqrt(v + e)) * s + o = norm(x) * s + o, where m = mean(x) and v = mean((x - m)^2) are of
    each group.

    Only in float32, which onnxruntime has InstanceNormalization for.
    """
    uses = count_uses(graph)

    def rule(old: Value, new: Value) -> Value | None:
        if not isinstance(old.result, Type) or old.dtype != "float32":
            return None
        if isinstance(new.op, Reshape | ReshapeLike | ReshapeTo):
            return _grouped(new, uses, old)
        if isinstance(new.op, Mul | Add) and uses[old.inputs[0]] == 1:
            return _scaled(new)
        return None

    return rewrite(graph, rule)


def _grouped(value: Value, uses: Uses, old: Value) -> Value | None:
    """Reads reshape((g - mean g) / sqrt(variance g + epsilon)), where g is x with its channels cut into groups."""
    normal, before = value.inputs[0], old.inputs[0]
    if not isinstance(normal.op, Div) or uses[before] != 1:
        return None
    centered, deviation = normal.inputs
    if not isinstance(centered.op, Sub) or not isinstance(deviation.op, Sqrt):
        return None
    grouped, mean = centered.inputs
    read = _moment(deviation.inputs[0], centered)
    if read is None or not isinstance(grouped.op, Reshape | ReshapeTo):
        return None
    over, epsilon = read
    x = grouped.inputs[0]
    if x.type != value.type or mean.op != ReduceMean(over, True) or mean.inputs[0] is not grouped:
        return None
    rank, channels_first = x.type.rank, over == (2,) and grouped.type.rank == 3
    if not channels_first and (over != (1, 3) or grouped.type.rank != 4 or rank < 3):
        return None
    axis = 1 if channels_first else rank - 1
    groups, channels = grouped.shape[1 if channels_first else 2], x.shape[axis]
    if (
        not isinstance(groups, int)
        or not isinstance(channels, int)
        or channels % groups
        or grouped.shape[0] != x.shape[0]
    ):
        return None
    if not channels_first and grouped.shape[3] != channels // groups:
        return None
    one, zero = (constant(np.full(channels, v, x.dtype)) for v in (1, 0))
    return build(GroupNormalization(axis, groups, epsilon), (x, one, zero), old.scope)


def _moment(value: Value, of: Value) -> tuple[tuple[int, ...], float] | None:
    """Reads mean(of²) + epsilon: the axes that the mean goes over, which stay, and epsilon."""
    if not isinstance(value.op, Add):
        return None
    mean, added = value.inputs
    epsilon = known_array(added)
    if epsilon is None or epsilon.size != 1 or not isinstance(mean.op, ReduceMean) or not mean.op.keepdims:
        return None
    (square,) = mean.inputs
    if not isinstance(square.op, Mul) or any(x is not of for x in square.inputs):
        return None
    return mean.op.axes, float(epsilon.reshape(()))


def _scaled(value: Value) -> Value | None:
    """Puts a factor, or what is added after it, into the normalization in front of it."""
    normal, number = value.inputs
    if not isinstance(normal.op, GroupNormalization):
        return None
    x, scale, offset = normal.inputs
    vector, before = known_array(number), known_array(offset)
    channels, last = x.shape[normal.op.axis], x.type.rank - 1 - normal.op.axis
    if vector is None or before is None or before.any() or value.type != x.type:
        return None
    if vector.ndim <= last or vector.shape[-1 - last] != channels or vector.size != channels:
        return None
    label, known = of_kind(number.op, Constant).label, known_array(scale)
    if isinstance(value.op, Add):
        return build(normal.op, (x, scale, constant(vector.reshape(-1), label)), value.scope)
    if known is None:
        return None
    return build(normal.op, (x, constant(known * vector.reshape(-1), label), offset), value.scope)


def recognize_mean_squares(graph: Graph, _: Target) -> Graph:
    """Returns the graph with x / sqrt(mean of x² over the last axis + epsilon) * scale as one operation each.

    Exactly: x * (1 / sqrt(mean(x^2) + e)) = x / sqrt(mean(x^2) + e).

    After the layout is planned: where the axis is not the last one there, arithmetic works without moving anything.
    Only in float32: onnxruntime rounds epsilon to that.
    """
    uses = count_uses(graph)

    def rule(old: Value, new: Value) -> Value | None:
        if not isinstance(new.op, Mul) or not isinstance(old.result, Type) or old.dtype != "float32":
            return None
        normal, scale = new.inputs
        if not isinstance(normal.op, Div) or uses[old.inputs[0]] != 1 or not isinstance(normal.inputs[1].op, Sqrt):
            return None
        x, deviation = normal.inputs
        read = _moment(deviation.inputs[0], x)
        vector = known_array(scale)
        if read is None or read[0] != (x.type.rank - 1,) or vector is None or vector.shape != x.shape[-1:]:
            return None
        return build(RMSNormalization(read[1]), (x, scale), new.scope)

    return rewrite(graph, rule)
