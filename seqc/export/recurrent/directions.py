"""Two recurrent layers over one sequence, forwards and backwards, as ONNX's one node for both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seqc.export.recurrent.forms import OnnxRecurrent
from seqc.graph.ir import Constant, Graph, Item, Value, build, constant
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.arithmetic import Add
from seqc.ops.reduce import ReduceSum
from seqc.ops.shape import Squeeze, Transpose
from seqc.ops.slicing import Concat, Slice
from seqc.passes._rewriting import shared_name
from seqc.passes._views import VIEWS, view
from seqc.sure import of_kind


def join_directions(graph: Graph, _: Target) -> Graph:
    """Returns the graph with recurrent nodes that differ in direction and weights only as one bidirectional node.

    Exactly: rnn(x; w1, w2) = [forward(x; w1), backward(x; w2)], and f of both halves is both halves of f.

    Under a mask they differ in the order of their steps as well, and stay two.

    What is done to both results alike and then put together is done once, to both together.
    """
    partners = _partners(graph)
    if not partners:
        return graph
    joint: dict[Value, Value] = {}

    def join(old: Value, new: Value) -> Value | None:
        if old in partners:
            forward, back = partners[old]
            if forward not in joint:
                joint[forward] = _both(forward, back, new.inputs)
            return joint[forward]
        if isinstance(old.op, Item) and old.inputs[0] in partners:
            at = 0 if old.inputs[0] is partners[old.inputs[0]][0] else 1
            return build(Slice((_direction_axis(new),), (at,), (at + 1,), (1,)), (new,), old.scope)
        return None

    return rewrite(rewrite(graph, join), _put_together)


def _partners(graph: Graph) -> dict[Value, tuple[Value, Value]]:
    """Returns for each node that can be joined the pair it belongs to, forwards first."""
    waiting: dict[tuple[object, ...], list[Value]] = {}
    found: dict[Value, tuple[Value, Value]] = {}
    for v in graph.walk():
        op = v.op
        if not isinstance(op, OnnxRecurrent) or op.direction == "bidirectional" or op.has_state:
            continue
        if not all(isinstance(x.op, Constant) for x in v.inputs[1:4]):
            continue
        key = (replace(op, direction=""), v.inputs[1].type, v.inputs[0], *v.inputs[4:])
        other = next((w for w in waiting.get(key, ()) if w.op != op), None)
        if other is None:
            waiting.setdefault(key, []).append(v)
            continue
        waiting[key] = [w for w in waiting[key] if w is not other]
        pair = (v, other) if op.direction == "forward" else (other, v)
        found |= {v: pair, other: pair}
    return found


def _both(forward: Value, back: Value, operands: Sequence[Value]) -> Value:
    weights = [_stacked(*pair) for pair in zip(forward.inputs[1:4], back.inputs[1:4], strict=True)]
    op = replace(of_kind(forward.op, OnnxRecurrent), direction="bidirectional")
    name = shared_name(forward.scope, back.scope) or forward.scope
    return build(op, (operands[0], *weights, *operands[4:]), name)


def _stacked(first: Value, second: Value) -> Value:
    a, b = (of_kind(half.op, Constant) for half in (first, second))
    return constant(np.concatenate([a.array, b.array]), shared_name(a.label, b.label))


def _direction_axis(result: Value) -> int:
    return 1 if result.type.rank == 4 else 0


def _put_together(_: Value, value: Value) -> Value | None:
    op = value.op
    if isinstance(op, Concat) and len(value.inputs) == 2:
        return _concatenated(value.inputs, op.axis)
    if isinstance(op, Transpose):
        return _moved_at_once(value, op.perm)
    # A product of both stays one: the shape of a ReduceProd is more than onnxruntime's quantizer can tell.
    both = _halves(value.inputs) if isinstance(op, Add) else None
    return None if both is None else build(ReduceSum((_direction_axis(both),), True), (both,), value.scope)


def _halves(values: Sequence[Value]) -> Value | None:
    """Returns what two values are the first and the second direction of."""
    first, second = (v.inputs[0] if isinstance(v.op, Slice) else None for v in values)
    if first is None or second is None or not _is_of_both(first) or not _is_of_both(second):
        return None
    axis = _direction_axis(first)
    wanted = [Slice((axis,), (at,), (at + 1,), (1,)) for at in (0, 1)]
    same = first.op == second.op and first.inputs[0] is second.inputs[0]
    return first if same and [v.op for v in values] == wanted else None


def _is_of_both(value: Value) -> bool:
    op = value.inputs[0].op if isinstance(value.op, Item) else None
    return isinstance(op, OnnxRecurrent) and op.direction == "bidirectional"


def _concatenated(values: Sequence[Value], axis: int) -> Value | None:
    """Returns two directions side by side, or None where that is not what the values are."""
    both = _halves(values)
    if both is not None:
        rank = both.type.rank
        if axis != rank - 1:
            return None
        directions = _direction_axis(both)
        perm = (*(a for a in range(rank - 1) if a != directions), directions, rank - 1)
        side_by_side = build(Transpose(perm), (both,), both.scope)
        shape = list(values[0].type.shape)
        return view(side_by_side, (*shape[:-1], shape[-1] + shape[-1]))
    first, second = values
    if not isinstance(first.op, Squeeze) or first.op != second.op:
        return None
    kept = [a for a in range(first.inputs[0].type.rank) if a not in first.op.axes]
    whole = _concatenated((first.inputs[0], second.inputs[0]), kept[axis])
    return None if whole is None else build(first.op, (whole,), first.scope)


def _moved_at_once(value: Value, perm: tuple[int, ...]) -> Value | None:
    """Moves two directions to where they are wanted before they become one axis, as they are moved for that anyway."""
    merged = value.inputs[0]
    moved = merged
    while isinstance(moved.op, VIEWS):
        moved = moved.inputs[0]
    if not isinstance(moved.op, Transpose) or moved.op.perm != (0, 2, 1, 3) or perm[-1] != merged.type.rank - 1:
        return None
    source = moved.inputs[0]
    if not _is_of_both(source):
        return None
    places = {a: i for i, a in enumerate(a for a, d in enumerate(merged.type.shape) if d != 1)}
    if len(places) != 3:
        return None
    # Time and batch are the first and the third axis of what the node gives.
    order = [(0, 2)[places[p]] for p in perm[:-1] if p in places]
    apart = build(Transpose((*order, 1, 3)), (source,), value.scope)
    return view(view(apart, tuple(d for d in value.type.shape if d != 1)), value.type.shape)
