"""Arithmetic on one value and constant numbers, read as a polynomial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from seqc.graph.ir import Value
from seqc.ops.arithmetic import Add, Div, Mul, Neg, Sub
from seqc.ops.transcendental import Pow
from seqc.passes._rewriting import known_array

# Coefficients by ascending power.
Polynomial = tuple[float, ...]

# What is longer, or of a higher degree, is no activation function.
_DEPTH, _DEGREE = 16, 3


def number(value: Value) -> float | None:
    """Returns a constant floating-point number, None for anything else."""
    array = known_array(value)
    return float(array.reshape(())) if array is not None and array.size == 1 and value.type.is_float else None


def polynomial(value: Value, x: Value, uses: Mapping[Value, int]) -> Polynomial | None:
    """Returns the coefficients of a value as a polynomial in `x`, or None if it is none.

    What stands between the two has no other user.
    """

    def read(one: Value, depth: int) -> Polynomial | None:
        if one is x:
            return 0.0, 1.0
        if (c := number(one)) is not None:
            return (c,)
        if depth == 0 or not (one is value or uses[one] == 1):
            return None
        if not isinstance(one.op, Add | Sub | Mul | Div | Neg | Pow):
            return None
        operands = [read(y, depth - 1) for y in one.inputs]
        known = [p for p in operands if p is not None]
        return _combined(one, known) if len(known) == len(operands) else None

    return read(value, _DEPTH)


def _combined(value: Value, operands: list[Polynomial]) -> Polynomial | None:
    a, b = operands[0], operands[-1]
    if isinstance(value.op, Neg):
        return tuple(-c for c in a)
    if isinstance(value.op, Add | Sub):
        sign = 1 if isinstance(value.op, Add) else -1
        size = max(len(a), len(b))
        return tuple(m + sign * n for m, n in zip(_padded(a, size), _padded(b, size), strict=True))
    if isinstance(value.op, Mul):
        return _product(a, b)
    if len(b) > 1:
        return None
    if isinstance(value.op, Div):
        return tuple(c / b[0] for c in a) if b[0] else None
    if b[0] not in range(1, _DEGREE + 1):
        return None
    power: Polynomial | None = a
    for _ in range(int(b[0]) - 1):
        power = None if power is None else _product(power, a)
    return power


def _padded(p: Polynomial, size: int) -> Polynomial:
    return p + (0.0,) * (size - len(p))


def _product(a: Polynomial, b: Polynomial) -> Polynomial | None:
    product = tuple(float(c) for c in np.convolve(a, b))
    return product if len(product) <= _DEGREE + 1 else None


def base_of(value: Value, uses: Mapping[Value, int]) -> Value:
    """Returns where the arithmetic with numbers begins that ends in a value: at what has another user, or is none."""
    base = value
    for _ in range(_DEPTH):
        if not isinstance(base.op, Add | Sub | Mul | Div | Neg) or not (base is value or uses[base] == 1):
            break
        others = [x for x in base.inputs if number(x) is None]
        if len(others) != 1:
            break
        (base,) = others
    return base


def unscaled(value: Value, uses: Mapping[Value, int]) -> Iterator[tuple[float, Value]]:
    """Yields a value as a number times another, with ever less left of the arithmetic that scales it.

    Below the value itself, no step of it has another user.
    """
    factor, left = 1.0, value
    yield factor, left
    while (left is value or uses[left] == 1) and (step := _scaled(left)) is not None:
        factor, left = factor * step[0], step[1]
        yield factor, left


def _scaled(value: Value) -> tuple[float, Value] | None:
    """Returns the number that one operation multiplies a value with, and that value."""
    op, inputs = value.op, value.inputs
    if isinstance(op, Neg):
        return -1.0, inputs[0]
    if not isinstance(op, Mul | Div):
        return None
    first, second = number(inputs[0]), number(inputs[1])
    if second:
        return (second if isinstance(op, Mul) else 1 / second), inputs[0]
    return (first, inputs[1]) if first and isinstance(op, Mul) else None
