"""Parts that make up a tensor, cut apart by ONNX's one node for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from seqc.graph.ir import Array, BatchRule, Emitter, Graph, Op, Type, Value, build, items
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.slicing import Slice
from seqc.sure import of_kind


@dataclass(frozen=True, repr=False, eq=False)
class Split(Op):
    """Parts of `sizes` along an axis, one after the other; together they are the whole."""

    kind = "view"
    axis: int
    sizes: tuple[int, ...]

    def infer(self, x: Type) -> tuple[Type, ...]:
        return tuple(x.with_shape(n if i == self.axis else d for i, d in enumerate(x.shape)) for n in self.sizes)

    def eval(self, x: Array) -> tuple[Array, ...]:
        return tuple(np.split(x, tuple(accumulate(self.sizes))[:-1], self.axis))

    def batch_rule(self, y: Value) -> BatchRule | tuple[BatchRule, ...]:
        return ("whole" if self.axis == 0 else "parallel",) * len(self.sizes)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        sizes = e.constant(np.array(self.sizes, np.int64))
        return e.node_many("Split", x, sizes, outputs=len(self.sizes), axis=self.axis)


def join_slices(graph: Graph, _: Target) -> Graph:
    """Returns the graph with slices that take a tensor apart along one axis as one Split.

    Exactly: split(x) = (x[:a], x[a:b], x[b:]).

    Slices that overlap, leave something out, or of which there is one only stay as they are.
    """
    found = _partitions(graph)
    parts: dict[Value, tuple[Value, ...]] = {}

    def rule(old: Value, new: Value) -> Value | None:
        if old not in found:
            return None
        first, split, at = found[old]
        if first not in parts:
            parts[first] = items(build(split, (new.inputs[0],), new.inputs[0].scope))
        return parts[first][at]

    return rewrite(graph, rule)


def _partitions(graph: Graph) -> dict[Value, tuple[Value, Split, int]]:
    """Returns for each slice that belongs to a partition the first of it, the whole Split, and which part it is."""
    slices: dict[tuple[Value, int], dict[tuple[int, int], list[Value]]] = {}
    for v in graph.walk():
        if isinstance(v.op, Slice) and v.op.steps == (1,) and isinstance(size := _size(v), int):
            start, stop, _ = v.op.slices(v.inputs[0].type.rank)[v.op.axes[0]].indices(size)
            slices.setdefault((v.inputs[0], v.op.axes[0]), {}).setdefault((start, stop), []).append(v)
    found: dict[Value, tuple[Value, Split, int]] = {}
    for (x, axis), taken in slices.items():
        bounds = sorted(taken)
        if not _covers(bounds, x.type.shape[axis]):
            continue
        split, first = Split(axis, tuple(b - a for a, b in bounds)), taken[bounds[0]][0]
        found |= {v: (first, split, at) for at, ends in enumerate(bounds) for v in taken[ends]}
    return found


def _size(piece: Value) -> object:
    return piece.inputs[0].type.shape[of_kind(piece.op, Slice).axes[0]]


def _covers(bounds: list[tuple[int, int]], size: object) -> bool:
    ends: Iterable[tuple[tuple[int, int], tuple[int, int]]] = pairwise(bounds)
    together = all(a[1] == b[0] for a, b in ends) and all(a < b for a, b in bounds)
    return len(bounds) > 1 and bounds[0][0] == 0 and bounds[-1][1] == size and together
