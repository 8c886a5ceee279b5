"""ONNX nodes for functions of numbers that ONNX has no operator for.

They are written at the very end, since their constants are rounded to the dtype: in a graph, the passes would not
compute in double precision what the functions mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.graph.ir import Emitter
from seqc.ops import _error_functions as tables


class Nodes:
    """Writes nodes whose operands are names or numbers, all of one dtype."""

    def __init__(self, e: Emitter, dtype: str) -> None:
        self.e, self.dtype = e, dtype

    def __call__(self, op_type: str, *operands: str | float) -> str:
        names = (x if isinstance(x, str) else self.e.constant(np.array(x, self.dtype)) for x in operands)
        return self.e.node(op_type, *names)

    def polynomial(self, coefficients: Sequence[float], x: str) -> str:
        """Writes a polynomial by Horner's rule; the constant term comes first."""
        y: Any = coefficients[-1]
        for c in coefficients[-2::-1]:
            y = self("Add", self("Mul", y, x), c)
        return str(y)

    def is_negative(self, x: str) -> str:
        """Writes where numbers are negative, -0.0 included."""
        return self("Less", self("Where", self("Equal", x, 0.0), self("Div", 1.0, x), x), 0.0)


def emit_cbrt(n: Nodes, x: str) -> str:
    return n("Mul", n("Sign", x), n("Pow", n("Abs", x), 1 / 3))


def emit_atan2(n: Nodes, a: str, b: str) -> str:
    """Writes the angle of the line through (b, a) and the origin, turned round where the point is left of it."""
    endless = n("And", n("Equal", n("Abs", a), math.inf), n("Equal", n("Abs", b), math.inf))
    rise, run = (n("Where", endless, n("Sign", x), x) for x in (a, b))
    nowhere = n("And", n("Equal", a, 0.0), n("Equal", b, 0.0))
    angle = n("Where", nowhere, a, n("Atan", n("Div", rise, n("Where", nowhere, 1.0, run))))
    half_turn = n("Where", n.is_negative(a), -math.pi, math.pi)
    return n("Where", n.is_negative(b), n("Add", angle, half_turn), angle)


def emit_erfc(n: Nodes, x: str) -> str:
    t = n("Div", 1.0, n("Add", n("Mul", n("Abs", x), 0.5), 1.0))
    polynomial = n.polynomial(tables.tail_of(n.dtype), n("Sub", n("Add", t, t), 1.0))
    tail = n("Mul", n("Mul", t, n("Exp", n("Neg", n("Mul", x, x)))), polynomial)
    return n("Where", n("Less", x, 0.0), n("Sub", 2.0, tail), tail)


def emit_erfinv(n: Nodes, x: str) -> str:
    ends = n("Equal", n("Abs", x), 1.0)
    inside = n("Where", ends, 0.0, x)
    w = n("Neg", n("Log", n("Mul", n("Sub", 1.0, inside), n("Add", 1.0, inside))))
    if n.dtype == "float64":
        result = _refined(n, inside, w)
    else:
        near = n.polynomial(tables.INVERSE_NEAR, n("Sub", w, 2.5))
        far = n.polynomial(tables.INVERSE_FAR, n("Sub", n("Sqrt", w), 3.0))
        result = n("Mul", inside, n("Where", n("Less", w, 5.0), near, far))
    return n("Where", ends, n("Mul", x, math.inf), result)


def _refined(n: Nodes, x: str, w: str) -> str:
    shift = n("Sub", tables.START, n("Mul", w, 0.5))
    root = n("Sqrt", n("Add", n("Mul", shift, shift), n("Mul", w, 1 / tables.START_A)))
    y = n("Mul", n("Sign", x), n("Sqrt", n("Sub", root, shift)))
    for _ in range(tables.STEPS):
        slope = n("Mul", n("Exp", n("Mul", y, y)), math.sqrt(math.pi) / 2)
        step = n("Mul", n("Sub", n("Erf", y), x), slope)
        y = n("Sub", y, n("Div", step, n("Add", n("Mul", y, step), 1.0)))
    return y
