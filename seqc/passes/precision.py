"""The same graph in double precision: the truth that everything else is measured against."""

from __future__ import annotations

import dataclasses

import numpy as np

from seqc.ir import Constant, Graph, Input, Op, Value, build
from seqc.rewriting import rewrite

_NARROW = ("float16", "bfloat16", "float32")


def promote_floats(graph: Graph) -> Graph:
    """Returns the graph with every float32 (or narrower) input, constant and `dtype` attribute as float64."""

    def rule(_: Value, new: Value) -> Value | None:
        op = promoted(new.op)
        return None if op is new.op else build(op, new.inputs, new.scope)

    return rewrite(graph, rule)


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
