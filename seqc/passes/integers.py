"""Integers: narrow ones where a target's operators take wider ones only, and which of them are not zero."""

from __future__ import annotations

import numpy as np

from seqc.graph.ir import Constant, Graph, Op, Value, build
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.arithmetic import Add, Clip, Div, Max, Min, Mul, Neg, Sub
from seqc.ops.elementwise import Cast, Equal, Not, Where
from seqc.ops.linalg import MatMul
from seqc.ops.padding import MirrorPad, Pad
from seqc.ops.reduce import ArgMax, ArgMin, CumSum, ReduceMax, ReduceMin, ReduceProd, ReduceSum
from seqc.ops.transcendental import Pow
from seqc.passes._rewriting import known_array

_WIDER = {
    **dict.fromkeys(("int8", "int16", "uint8", "uint16"), ("int32", "int64")),
    **dict.fromkeys(("uint32", "uint64"), ("int64",)),
}
# What wraps around gives the same low bits in a wider type; what divides or compares needs all numbers to be in it.
_TOTALS = (ReduceSum, ReduceProd)
_WRAPS = (Add, Sub, Mul, Neg, Pow, CumSum, MatMul, Where, Pad, MirrorPad, *_TOTALS)
_ORDERS = (ReduceMax, ReduceMin, ArgMax, ArgMin)
_NEEDS_ALL = (Div, Max, Min, Clip, *_ORDERS)
# What is written as another operator than that of its name.
_WRITTEN: dict[type[Op], str] = {MirrorPad: "Pad"}


def widen_integers(graph: Graph, target: Target) -> Graph:
    """Returns the graph with operations on integers of types that the target takes.

    Where its operator does not take a type, they are done in a wider one, and their results brought back.

    Exactly: f(x) = narrow(f(wide(x))): modulo 2^n for sums, differences, products and powers, and as it is where
    all numbers are in both types. The largest and smallest of uint64, which no type holds: x - 2^63, as int64, has the
    order of x.
    """

    def rule(_: Value, value: Value) -> Value | None:
        if not isinstance(value.op, _WRAPS + _NEEDS_ALL):
            return None
        narrow, name = value.inputs[-1].dtype, _WRITTEN.get(type(value.op), value.op.name)
        if narrow not in _WIDER or target.supports(name, dtype=narrow):
            return None
        wide = next((w for w in _wider(value.op, narrow) if target.supports(name, dtype=w)), None)
        return None if wide is None else _in_wide(value, narrow, wide)

    return rewrite(graph, rule)


def _wider(op: Op, narrow: str) -> tuple[str, ...]:
    if narrow == "uint64" and isinstance(op, _NEEDS_ALL) and not isinstance(op, _ORDERS):
        return ()
    # A target may end sums of whole numbers at the ends of their type: those of int64 are the furthest.
    return _WIDER[narrow][::-1] if isinstance(op, _TOTALS) else _WIDER[narrow]


def _in_wide(value: Value, narrow: str, wide: str) -> Value:
    moved = narrow == "uint64" and isinstance(value.op, _ORDERS)
    lowest = build(Constant(np.array(np.iinfo(wide).min)), (), value.scope)

    def turned(x: Value) -> Value:
        """2^63 less or more, which is the same."""
        return build(Add(), (x, lowest), value.scope) if moved else x

    operands = tuple(turned(build(Cast(wide), (x,), value.scope)) if x.dtype == narrow else x for x in value.inputs)
    result = build(value.op, operands, value.scope)
    return build(Cast(narrow), (turned(result),), value.scope) if value.dtype == narrow else result


def cast_to_truth(graph: Graph, _: Target) -> Graph:
    """Returns the graph with integers compared with zero converted instead.

    Exactly: not (x = 0) = bool(x).
    """

    def rule(_: Value, value: Value) -> Value | None:
        if not isinstance(value.op, Not) or not isinstance(value.inputs[0].op, Equal):
            return None
        x, zero = value.inputs[0].inputs
        array = known_array(zero)
        if array is None or x.type.is_float or x.dtype in ("bool", "string") or array.size != 1 or array.any():
            return None
        return build(Cast("bool"), (x,), value.scope) if x.type.shape == value.type.shape else None

    return rewrite(graph, rule)
