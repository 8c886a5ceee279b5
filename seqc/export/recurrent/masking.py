"""Masked recurrent layers: what their steps are taken from, and one after another."""

from __future__ import annotations

from seqc.export.recurrent.forms import OnnxRecurrent, StepOrder, StepRows, TakeSteps
from seqc.graph.ir import Graph, Item, Value, build
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.elementwise import Where
from seqc.ops.gather import Gather
from seqc.ops.padding import Pad
from seqc.ops.shape import Squeeze, Transpose, Unsqueeze
from seqc.passes._views import VIEWS


def take_ids(graph: Graph, _: Target) -> Graph:
    """Returns the graph with steps taken from ids instead of the rows that they look up, and before these are moved.

    Exactly: take(table[ids], s) = table[take(ids, s)], and take(a^T, b^T) = take'(a, b)^T along the other axis.
    """

    def rule(_: Value, value: Value) -> Value | None:
        rows = value.inputs[0] if isinstance(value.op, TakeSteps) else None
        if rows is None or not isinstance(rows.op, Gather) or rows.inputs[1].type.rank != 2:
            return None
        table, ids = rows.inputs
        return build(rows.op, (table, _taken(ids, value.inputs[1], value.scope)), rows.scope)

    return rewrite(graph, rule)


def _taken(ids: Value, order: Value, scope: str) -> Value:
    """Returns ids (time, batch) in another order, turned afterwards where both would be turned before."""
    turned = Transpose((1, 0))
    if ids.op != turned or order.op != turned:
        return build(TakeSteps(), (ids, order), scope)
    return build(turned, (build(TakeSteps(1), (ids.inputs[0], order.inputs[0]), scope),), scope)


def join_masked_layers(graph: Graph, _: Target) -> Graph:
    """Returns the graph with recurrent layers of one mask passing their compacted steps on.

    Exactly: take(restore(y, p), p) = y for the valid steps, which are all that is read.

    Each puts its outputs back in place and the next one takes the valid ones out again: both fall away. What stands
    behind the valid steps differs then, and the next layer does not look at it, as its lengths end before.
    """

    def rule(_: Value, value: Value) -> Value | None:
        if not isinstance(value.op, OnnxRecurrent) or not value.op.has_lengths:
            return None
        compacted = _already_compact(value.inputs[0], value.inputs[4])
        return None if compacted is None else build(value.op, (compacted, *value.inputs[1:]), value.scope)

    return rewrite(graph, rule)


def _already_compact(steps: Value, lengths: Value) -> Value | None:
    """Returns y where `steps` are taken from y with its steps put back in place, by the mask that gave the lengths."""
    order = _taken_by(steps)
    while order is not None and isinstance(order.op, (Transpose, *VIEWS)):
        order = order.inputs[0]
    if order is None or not isinstance(order.op, Item) or not isinstance(lengths.op, Item):
        return None
    source = order.inputs[0]
    if source.op != StepOrder(reverse=False) or lengths.inputs[0] is not source:
        return None
    restored = _without_mask(steps.inputs[0], source.inputs[0])
    rows = _taken_by(restored)
    if rows is None or rows.op != StepRows(reverse=False) or rows.inputs[0] is not source.inputs[0]:
        return None
    padded = restored.inputs[0]
    if isinstance(padded.op, Squeeze) and isinstance(padded.inputs[0].op, Pad):
        return build(padded.op, padded.inputs[0].inputs, padded.scope)
    return padded.inputs[0] if isinstance(padded.op, Pad) else None


def _without_mask(value: Value, mask: Value) -> Value:
    """Returns what masked steps are set to zero in: the valid ones are the same without that."""
    if not isinstance(value.op, Where):
        return value
    condition = value.inputs[0]
    while isinstance(condition.op, Unsqueeze | Transpose):
        condition = condition.inputs[0]
    return value.inputs[1] if condition is mask else value


def _taken_by(value: Value) -> Value | None:
    return value.inputs[1] if isinstance(value.op, TakeSteps) else None
