"""Integers: narrow ones where a target's operators take wider ones only, and which of them are not zero."""

from __future__ import annotations

from seqc.graph.ir import Graph, Value, build
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.arithmetic import Add, Div, Mul, Neg, Sub
from seqc.ops.elementwise import Cast, Equal, Not
from seqc.ops.reduce import CumSum, ReduceMax, ReduceMin
from seqc.ops.transcendental import Pow
from seqc.passes._rewriting import known_array

_WIDER = {
    **dict.fromkeys(("int8", "int16", "uint8", "uint16"), "int32"),
    **dict.fromkeys(("uint32", "uint64"), "int64"),
}
# What wraps around gives the same low bits in a wider type; what divides or compares needs all numbers to be in it.
_WRAPS = (Add, Sub, Mul, Neg, Pow, CumSum)
_NEEDS_ALL = (Div, ReduceMax, ReduceMin)


def widen_integers(graph: Graph, target: Target) -> Graph:
    """Returns the graph with operations on integers of types that the target takes.

    Where its operator does not take a type, they are done in a wider one, and their results brought back.

    Exactly: f(x) = narrow(f(wide(x))): modulo 2^n for sums, differences, products and powers, and as it is where
    all numbers are in both types.
    """

    def rule(_: Value, value: Value) -> Value | None:
        if not isinstance(value.op, _WRAPS + _NEEDS_ALL):
            return None
        narrow, name = value.inputs[0].dtype, value.op.name
        wide = None if narrow == "uint64" and isinstance(value.op, _NEEDS_ALL) else _WIDER.get(narrow)
        if wide is None or target.supports(name, dtype=narrow) or not target.supports(name, dtype=wide):
            return None
        operands = tuple(build(Cast(wide), (x,), value.scope) for x in value.inputs)
        return build(Cast(narrow), (build(value.op, operands, value.scope),), value.scope)

    return rewrite(graph, rule)


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
