"""The greatest common divisor and the least common multiple."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.errors import DTypeError
from seqc.graph.ir import Type, Value, apply
from seqc.graph.target import Target
from seqc.ops._common import as_number, as_operands, scalar
from seqc.ops.arithmetic import absolute, add, floor_divide, mod, multiply
from seqc.ops.creation import zeros
from seqc.ops.elementwise import Binary, cast, equal, where
from seqc.ops.steps import scan


class Gcd(Binary):
    """The greatest common divisor of whole numbers; never negative."""

    function = np.gcd

    def check_dtype(self, x: Type) -> None:
        if not x.dtype.startswith(("int", "uint")):
            raise DTypeError(f"{self.name} needs integers; got {x}. Cast it first: ops.cast(x, 'int32').")

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        return None, None

    def decompose(self, target: Target, y: Value, a: Value, b: Value) -> Value | tuple[Value, ...] | None:
        # Euclid's algorithm takes the most steps for neighbours among Fibonacci's numbers: 1.44 per bit.
        bits = np.dtype(y.dtype).itemsize * 8
        wide = "int64" if bits > 16 else "int32"
        big, small = (absolute(cast(x, wide)) for x in (a, b))
        none, one = scalar(0, big), scalar(1, big)

        def step(states: Sequence[Value], _: Sequence[Value], __: Sequence[Value]) -> Sequence[Value]:
            left, right = states
            done = equal(right, none)
            return where(done, left, right), where(done, right, mod(left, where(done, one, right)))

        # Both of the shape that they have together.
        states = [add(big, multiply(small, none)), add(small, multiply(big, none))]
        return cast(scan(step, states, [zeros(bits * 3 // 2, "bool")])[0], y.dtype)


def gcd(x1: Any, x2: Any) -> Value:
    """Returns the greatest common divisors of integers: of 0 and 0 it is 0."""
    a, b = (as_number(x) for x in as_operands(x1, x2))
    return apply(Gcd(), a, b)


def lcm(x1: Any, x2: Any) -> Value:
    """Returns the least common multiples of integers, as far as the dtype goes; 0 where one of them is 0."""
    a, b = (as_number(x) for x in as_operands(x1, x2))
    divisor = gcd(a, b)
    return absolute(multiply(a, floor_divide(b, where(equal(divisor, 0), scalar(1, divisor), divisor))))
