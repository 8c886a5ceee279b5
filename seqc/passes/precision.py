"""The same graph in double precision: the truth that everything else is measured against."""

from __future__ import annotations

import dataclasses

import numpy as np

from seqc.graph.ir import Constant, Graph, Input, Op, Value, build
from seqc.ops.elementwise import Cast

# Bytes from which on a constant is not kept in double precision.
_LARGE = 2**22
_NARROW = ("float16", "bfloat16", "float32")


def promote_floats(graph: Graph) -> Graph:
    """Returns the graph with every float32 (or narrower) input, constant and `dtype` attribute as float64.

    Exactly: every operation stays what it is, g(x) = f(x) of exact numbers: only its rounding is another.

    Operations change together with the types of their operands, so none can be rebuilt before it is changed itself.
    """
    done: dict[Value, Value] = {}
    for old in graph.walk():
        inputs = tuple(done[x] for x in old.inputs)
        large = promoted_constant(old)
        done[old] = build(promoted(old.op), inputs, old.scope) if large is None else large
    inputs = tuple(done[x] if x in done else build(promoted(x.op), (), x.scope) for x in graph.inputs)
    return Graph(inputs, tuple(done[y] for y in graph.outputs), graph.output_names)


def promoted_constant(value: Value) -> Value | None:
    """Returns a large constant converted to float64 whenever it is used: all of them at once are twice the model."""
    op = value.op
    if isinstance(op, Constant) and op.array.dtype.name in _NARROW and op.array.nbytes >= _LARGE:
        return build(Cast("float64"), (value,), value.scope)
    return None


def promoted(op: Op) -> Op:
    """Returns an operation as `promote_floats` has it."""
    if isinstance(op, Constant):
        return Constant(op.array.astype(np.float64), op.label) if op.array.dtype.name in _NARROW else op
    if isinstance(op, Input):
        return Input(op.label, "float64", op.shape) if op.dtype in _NARROW else op
    fields = {f.name: getattr(op, f.name) for f in dataclasses.fields(op)}
    changed = {
        name: promoted(value)
        if isinstance(value, Op)
        else promote_floats(value)
        if isinstance(value, Graph)
        else "float64"
        for name, value in fields.items()
        if isinstance(value, Op | Graph) or (name == "dtype" and value in _NARROW)
    }
    return dataclasses.replace(op, **changed) if changed else op
