"""Rows of `op_specs`: element-wise operations that ONNX has no operator for, or for integers only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from kit.op_rows import Array, OpSpec, inside_one, nonzero, real, row, still, whole
from seqc.ops.bitwise import BitShift, BitwiseAnd, BitwiseNot, BitwiseOr, BitwiseXor, View
from seqc.ops.divisors import Gcd
from seqc.ops.powers import Cbrt, Erfc, Erfinv
from seqc.ops.rounding import Fmod, NextAfter
from seqc.ops.trigonometry import Acos, Acosh, Asin, Asinh, Atan2


def _above_one(rng: Generator, size: tuple[int, ...], before: list[Array]) -> Array:
    return rng.uniform(1.2, 4, size)


def _limits(rng: Generator, size: tuple[int, ...], before: list[Array]) -> Array:
    """Zeros of both signs, infinities and ordinary numbers of both signs."""
    return rng.choice([0.0, -0.0, np.inf, -np.inf, 1.5, -0.5], size)


def number_rows() -> Iterator[OpSpec]:
    for op in (Acos(), Asin(), Erfinv()):
        yield row(op, real("batch", 5, draw=inside_one))
    yield row(Acosh(), real("batch", 5, draw=_above_one))
    for wide in (Asinh(), Erfc()):
        yield row(wide, real("batch", 5))
    yield row(Cbrt(), real("batch", 5, draw=nonzero))
    yield row(Atan2(), real("batch", 4, draw=nonzero), real(4, draw=nonzero))
    yield row(Atan2(), still("batch", 36, draw=_limits), still("batch", 36, draw=_limits), note="limits")
    yield row(Fmod(), real("batch", 4), real(4, draw=nonzero))
    yield row(Fmod(), whole("batch", 4, low=-20, high=20), whole("batch", 4, low=1), note="int")
    yield row(Gcd(), whole("batch", 4, low=-99, high=99), whole(4, low=-99, high=99))
    yield row(NextAfter(), still("batch", 4), still(4))
    for binary in (BitwiseAnd(), BitwiseOr(), BitwiseXor()):
        yield row(binary, whole("batch", 4, low=-99, high=99), whole(4, low=-99, high=99))
    yield row(BitwiseNot(), whole("batch", 4))
    for left in (True, False):
        numbers, places = (whole("batch", 4, low=0, high=high, dtype="uint32") for high in (9999, 32))
        yield row(BitShift(left), numbers, places, note="left" if left else "right")
    yield row(View("int32"), whole("batch", 4, dtype="uint32"))
    yield row(View("int16"), whole("batch", 4), note="narrower")
