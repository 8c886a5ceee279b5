"""Saying changes of shape with fewer nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from seqc.errors import ShapeError
from seqc.graph.ir import Graph, Value, build
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops._common import broadcast_shapes
from seqc.ops.elementwise import Elementwise
from seqc.ops.gather import Gather
from seqc.ops.reduce import Reduction
from seqc.ops.shape import BroadcastLike, Repeat, Transpose
from seqc.ops.slicing import Concat, Slice
from seqc.passes._rewriting import count_uses
from seqc.passes._views import VIEWS, can_view, view
from seqc.sure import of_kind


def simplify_shapes(graph: Graph, _: Target) -> Graph:
    """Returns the graph with as few changes of shape as it takes.

    Chains of Reshape, Squeeze and Unsqueeze are one node, Transposes joined or dropped, ids moved instead of the rows
    they look up, and no broadcast stands before an op that broadcasts by itself; joined tensors are joined at once, and
    reduced axes kept where they are put in again.

    Exactly: view(view(x)) = view(x), p(q(x)) = (p q)(x) for moves of axes, p(table[i]) = table[p(i)],
    concat(concat(x, y), z) = concat(x, y, z), and f(x, spread(y)) = f(x, y) where f spreads by itself.
    """
    uses = count_uses(graph)

    def rule(old: Value, value: Value) -> Value | None:
        if isinstance(value.op, Concat):
            return _joined_at_once(old, value, uses)
        kept = _kept_axes(value) if isinstance(value.op, VIEWS) and uses[old.inputs[0]] == 1 else None
        return _rule(value) if kept is None else kept

    return rewrite(graph, rule)


def _joined_at_once(old: Value, value: Value, uses: Mapping[Value, int]) -> Value | None:
    """Concat of what another Concat along the same axis gives takes that one's operands, if nobody else reads it."""
    operands: list[Value] = []
    for before, x in zip(old.inputs, value.inputs, strict=True):
        operands += x.inputs if x.op == value.op and uses[before] == 1 else (x,)
    return build(value.op, tuple(operands), value.scope) if len(operands) > len(value.inputs) else None


def _kept_axes(value: Value) -> Value | None:
    """A reduction whose axes are put in again, with size one, keeps them."""
    source = value.inputs[0]
    if not isinstance(source.op, Reduction) or source.op.keepdims:
        return None
    kept = build(replace(source.op, keepdims=True), source.inputs, source.scope)
    return kept if kept.type == value.type else None


def _rule(value: Value) -> Value | None:
    op = value.op
    if isinstance(op, VIEWS):
        return _joined_views(value)
    if isinstance(op, Transpose):
        return _simpler_transpose(value, op.perm)
    if isinstance(op, Slice):
        return _turned_back(value)
    if isinstance(op, BroadcastLike) and value.type == value.inputs[0].type:
        return value.inputs[0]
    if isinstance(op, Elementwise) and len(value.inputs) > 1:
        return _without_broadcasts(value)
    return None


def _joined_views(value: Value) -> Value | None:
    source = value.inputs[0]
    while isinstance(source.op, VIEWS):
        source = source.inputs[0]
    if source.type == value.type:
        return source
    if source is value.inputs[0] or not can_view(source.type, value.type.shape):
        return None
    return view(source, value.type.shape)


def _simpler_transpose(value: Value, perm: tuple[int, ...]) -> Value | None:
    source = value.inputs[0]
    if isinstance(source.op, Transpose):
        perm = tuple(source.op.perm[p] for p in perm)
        source = source.inputs[0]
    if perm == tuple(range(len(perm))):
        return source
    if isinstance(source.op, Gather):
        table, ids = source.inputs
        rank = ids.type.rank
        if perm[rank:] == tuple(range(rank, len(perm))):
            moved = build(Transpose(perm[:rank]), (ids,), value.scope)
            return build(source.op, (table, moved), source.scope)
    if isinstance(source.op, Repeat):
        repeated = source.op.axis
        if [p for p in perm if p != repeated] == [p for p in range(len(perm)) if p != repeated]:
            again = Repeat(perm.index(repeated), source.op.count)  # repeated where it is wanted instead of moved there
            return build(again, source.inputs, source.scope)
    moved_axes = [p for p in perm if source.type.shape[p] != 1]
    if moved_axes == sorted(moved_axes) and can_view(source.type, value.type.shape):
        return view(source, value.type.shape)
    return None if source is value.inputs[0] else build(Transpose(perm), (source,), value.scope)


def _turned_back(value: Value) -> Value | None:
    """A tensor turned round twice is itself."""
    op, source = of_kind(value.op, Slice), value.inputs[0]
    whole = set(op.starts) == {-1} and set(op.stops) == {None} and set(op.steps) == {-1}
    return source.inputs[0] if whole and source.op == op else None


def _without_broadcasts(value: Value) -> Value | None:
    """Takes the operand of a BroadcastLike where the result has the same shape without it."""
    operands = list(value.inputs)
    for i, x in enumerate(operands):
        if not isinstance(x.op, BroadcastLike):
            continue
        narrow = [*operands[:i], x.inputs[0], *operands[i + 1 :]]
        try:
            same = broadcast_shapes(value.op, *(v.type.shape for v in narrow)) == value.type.shape
        except ShapeError:
            continue
        if same:
            operands = narrow
    if all(a is b for a, b in zip(operands, value.inputs, strict=True)):
        return None
    return build(value.op, tuple(operands), value.scope)
