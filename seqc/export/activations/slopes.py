"""Functions with a slope below zero that are written in parts, as the operators that ONNX has for them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seqc.export.activations.forms import PRelu
from seqc.export.activations.polynomials import number
from seqc.graph.ir import Graph, Type, Value, build, constant
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.arithmetic import Clip, Min, Mul, Neg, Sub
from seqc.ops.nonlinear import LeakyRelu, Relu
from seqc.passes._rewriting import count_uses, known_array


def recognize_slopes(graph: Graph, _: Target) -> Graph:
    """Returns the graph with max(x, 0) - alpha * max(-x, 0) as one operation.

    As LeakyRelu where alpha is a number, as PRelu where it is an array; with clip(x, 0, limit) in place of max(x, 0),
    as the smaller of that and the limit.

    Exactly: max(0, x) - a max(0, -x) = x for x > 0, else a x.

    Only in float32: in double precision the operators round a slope that is an attribute.
    """
    uses = count_uses(graph)

    def rule(old: Value, new: Value) -> Value | None:
        if not isinstance(new.op, Sub) or not isinstance(old.result, Type) or old.dtype != "float32":
            return None
        return _slope(new) if all(uses[x] == 1 for x in old.inputs) and _parts_read_once(old, uses) else None

    return rewrite(graph, rule)


def _parts_read_once(value: Value, uses: Mapping[Value, int]) -> bool:
    """Whether nothing else reads max(-x, 0)."""
    return all(uses[x] == 1 or known_array(x) is not None for x in value.inputs[1].inputs)


def _slope(value: Value) -> Value | None:
    above, scaled = value.inputs
    if not isinstance(above.op, Relu | Clip) or not isinstance(scaled.op, Mul):
        return None
    (x,) = above.inputs
    below, alpha = scaled.inputs if isinstance(scaled.inputs[0].op, Relu) else scaled.inputs[::-1]
    slopes, high = known_array(alpha), above.op.high if isinstance(above.op, Clip) else np.inf
    if slopes is None or not isinstance(below.op, Relu) or not _is_negated(below.inputs[0], x) or x.type != value.type:
        return None
    if isinstance(above.op, Clip) and (above.op.low != 0 or high <= 0 or (slopes < 0).any()):
        return None
    slope = number(alpha)
    op, operands = (PRelu(), (x, alpha)) if slope is None else (LeakyRelu(slope), (x,))
    result = build(op, operands, value.scope)
    if high == np.inf:
        return result
    return build(Min(), (result, constant(np.array(high, x.dtype))), value.scope)


def _is_negated(value: Value, x: Value) -> bool:
    if isinstance(value.op, Neg):
        return value.inputs[0] is x
    return isinstance(value.op, Sub) and value.inputs[1] is x and number(value.inputs[0]) == 0
