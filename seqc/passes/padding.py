"""Zero padding: as few steps as possible, and best none."""

from __future__ import annotations

from dataclasses import replace

from seqc.graph.ir import Graph, Value, build
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.conv import Conv
from seqc.ops.nonlinear import Relu
from seqc.ops.padding import Pad, Pads
from seqc.ops.pool import MaxPool
from seqc.ops.slicing import Slice
from seqc.passes._rewriting import count_uses


def fold_padding(graph: Graph, _: Target) -> Graph:
    """Returns the graph with Conv(Pad(x)) as one Conv with more padding, where zeros are put around the image only.

    Exactly: conv(pad(x), k) = conv(x, k) with so many more zeros around, and for x >= 0 the same of a maximum,
    max(0, x) = x.

    MaxPool goes the same way where the padding, which never wins in it, would not have won as zeros either: after Relu.
    What pads by its size stays as it is. A padded image that is cut is one Pad, whose numbers may be negative.
    """
    uses, shorter = count_uses(graph), _perhaps_shorter(graph)

    def rule(old: Value, new: Value) -> Value | None:
        if isinstance(new.op, Slice) and uses[old.inputs[0]] == 1 and old.inputs[0] not in shorter:
            return _cut(new, new.op)
        if isinstance(new.op, Conv | MaxPool) and new.op.padding != "same":
            return _padded_by_itself(new, new.op)
        return None

    return rewrite(graph, rule)


def _perhaps_shorter(graph: Graph) -> set[Value]:
    """Returns what follows from a slice that takes an axis of unknown size to be long enough: x[:10] may have 5."""
    found: set[Value] = set()
    for v in graph.walk():
        if any(x in found for x in v.inputs) or (isinstance(v.op, Slice) and _assumes(v, v.op)):
            found.add(v)
    return found


def _assumes(value: Value, op: Slice) -> bool:
    before, after = value.inputs[0].type.shape, value.type.shape
    return any(isinstance(after[i], int) and not isinstance(before[i], int) for i in op.axes)


def _padded_by_itself(value: Value, op: Conv | MaxPool) -> Value | None:
    pad = value.inputs[0]
    if not isinstance(pad.op, Pad) or pad.op.value != 0 or any(n < 0 for pair in pad.op.pads for n in pair):
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
    return build(replace(op, padding=both), (pad.inputs[0], *value.inputs[1:]), value.scope)


def _cut(value: Value, op: Slice) -> Value | None:
    """Returns Slice(Pad(x)) as one Pad that adds what is left of the padding and takes what is cut off x."""
    pad = value.inputs[0]
    if not isinstance(pad.op, Pad) or set(op.steps) != {1}:
        return None
    pads: list[tuple[int, int]] = list(pad.op.pads)
    for axis, start, stop in zip(op.axes, op.starts, op.stops, strict=True):
        ends = _ends(start, stop, pad.type.shape[axis])
        if ends is None:
            return None
        pads[axis] = (pads[axis][0] - ends[0], pads[axis][1] - ends[1])
    return build(Pad(tuple(pads), pad.op.value), pad.inputs, value.scope) if _leaves_some(pad, tuple(pads)) else None


def _ends(start: int, stop: int | None, size: object) -> tuple[int, int] | None:
    """Returns how many elements a slice of a whole axis leaves out at its ends, where that does not need the size."""
    if isinstance(size, int):
        first, last, _ = slice(start, stop).indices(size)
        return first, size - max(first, last)
    if start < 0 or (stop is not None and stop >= 0):
        return None
    return start, -(stop or 0)


def _leaves_some(pad: Value, pads: Pads) -> bool:
    """Whether what is cut off an operand is there: an axis of unknown size is taken to have one element at least."""
    cut = (max(-before, 0) + max(-after, 0) for before, after in pads)
    there = (size if isinstance(size, int) else 1 for size in pad.inputs[0].type.shape)
    return all(n <= size for n, size in zip(cut, there, strict=True))
