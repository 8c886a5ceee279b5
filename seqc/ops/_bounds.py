"""Bounds of slices along the batch, which are taken to lie within it as long as nobody knows how large it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seqc.errors import ShapeError
from seqc.graph import dims
from seqc.graph.batch import BATCH
from seqc.graph.ir import Graph, Op, Type, Value
from seqc.ops.sizes import Crop, Uncrop
from seqc.ops.slicing import Slice, SliceGrad

# What cuts, the types of its operands, and what it is said to give.
Cutting = tuple[Op, Sequence[Type], Type]


def cuts_of_batch(graph: Graph) -> list[Cutting]:
    """Returns what cuts the batch in a graph, also where only the gradient of that is left."""
    found = (_cutting(v) for v in graph.walk() if isinstance(v.op, Slice | SliceGrad | Crop | Uncrop))
    return [one for one in found if any(BATCH in dims.names(d) for d in (*one[1][0].shape, *one[2].shape))]


def lies_within(cutting: Cutting, batch: int) -> bool:
    """Tells whether a slice of so many samples is as long as it is said to be."""
    op, operands, said = cutting
    try:
        return op.infer(*(_at(t, batch) for t in operands)) == _at(said, batch)
    except ShapeError:
        return False


def _cutting(v: Value) -> Cutting:
    types = [x.type for x in v.inputs]
    if isinstance(v.op, SliceGrad):
        return v.op.sliced, types[1:], types[0].with_dtype(types[1].dtype)
    if isinstance(v.op, Uncrop):
        return Crop(v.op.axis), types[1:], types[0].with_dtype(types[1].dtype)
    return v.op, types, v.type


def _at(t: Type, batch: int) -> Type:
    sizes = {BATCH: batch}
    size = None if t.size is None else dims.substitute(t.size, sizes)
    return replace(t, shape=tuple(dims.substitute(d, sizes) for d in t.shape), size=size)
