"""Numbers bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.errors import DTypeError, NoLoweringError, ShapeError
from seqc.graph.ir import Array, BatchRule, Emitter, Op, Type, Value, apply, as_value
from seqc.ops._common import as_number, as_operands, dtype_name, scalar
from seqc.ops.arithmetic import subtract
from seqc.ops.elementwise import (
    And,
    Binary,
    Elementwise,
    Or,
    Xor,
    apply_binary,
    cast,
    greater_equal,
    less,
    logical_and,
    logical_not,
    where,
)


class _OfBits(Elementwise):
    """Operands of integers; the result has no gradient."""

    def vjp(self, g: Value, y: Value, *xs: Any) -> Sequence[Value | None]:
        return (None,) * len(xs)


class _BinaryOfBits(_OfBits, Binary):
    def check_dtype(self, x: Type) -> None:
        _check_integers(self, x)


class BitwiseAnd(_BinaryOfBits):
    """Bits that both operands have."""

    function = np.bitwise_and


class BitwiseOr(_BinaryOfBits):
    """Bits that one of the operands has."""

    function = np.bitwise_or


class BitwiseXor(_BinaryOfBits):
    """Bits that exactly one of the operands has."""

    function = np.bitwise_xor


class BitwiseNot(_OfBits):
    """Bits that the operand has not."""

    def infer(self, x: Type) -> Type:
        _check_integers(self, x)
        return x

    def eval(self, x: Array) -> Any:
        return np.invert(x)


@dataclass(frozen=True, repr=False, eq=False)
class BitShift(_BinaryOfBits):
    """Unsigned numbers moved by fewer places than they have bits."""

    left: bool

    def eval(self, a: Array, b: Array) -> Any:
        return np.left_shift(a, b) if self.left else np.right_shift(a, b)

    def lower(self, e: Emitter, y: Value, a: str, b: str) -> str | tuple[str, ...]:
        return e.node("BitShift", a, b, direction="LEFT" if self.left else "RIGHT")


@dataclass(frozen=True, repr=False, eq=False)
class View(Op):
    """The same bits as numbers of another type; the last axis grows or shrinks with their width."""

    kind = "view"
    bits = True
    dtype: str

    def infer(self, x: Type) -> Type:
        old, new = (np.dtype(d).itemsize for d in (x.dtype, self.dtype))
        if old == new:
            return x.with_dtype(self.dtype)
        last = x.shape[-1] if x.rank else 0
        bits = last * old
        if not x.rank or (isinstance(bits, int) and bits % new) or (not isinstance(bits, int) and old % new):
            raise ShapeError(f"{self!r} needs a last axis whose {old}-byte numbers fill {new}-byte ones; got {x}.")
        return Type(self.dtype, (*x.shape[:-1], bits // new))

    def eval(self, x: Array) -> Any:
        return (np.ascontiguousarray(x) if x.ndim else x).view(self.dtype)

    def batch_rule(self, y: Value) -> BatchRule:
        return "parallel" if y.type.shape[:1] == y.inputs[0].type.shape[:1] else "whole"

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (None,)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        raise NoLoweringError(f"{self.name} cannot be expressed in ONNX, whose operators do not show bits.")


def _check_integers(op: Op, x: Type) -> None:
    if not x.dtype.startswith(("int", "uint")):
        raise DTypeError(f"{op.name} needs integers; got {x}. Cast it first: ops.cast(x, 'int32').")


def bitwise_and(x: Any, y: Any) -> Value:
    """Returns the bits that x and y both have set."""
    return apply_binary(BitwiseAnd(), x, y, on_booleans=And())


def bitwise_or(x: Any, y: Any) -> Value:
    """Returns the bits that x or y has set."""
    return apply_binary(BitwiseOr(), x, y, on_booleans=Or())


def bitwise_xor(x: Any, y: Any) -> Value:
    """Returns the bits that exactly one of x and y has set."""
    return apply_binary(BitwiseXor(), x, y, on_booleans=Xor())


def bitwise_not(x: Any) -> Value:
    """Returns x with each bit turned round."""
    value = as_value(x)
    return logical_not(value) if value.dtype == "bool" else apply(BitwiseNot(), value)


def bitwise_left_shift(x: Any, y: Any) -> Value:
    """Returns x with its bits moved y places towards the higher ones: x * 2^y, as far as the dtype goes."""
    a, b = (as_number(v) for v in as_operands(x, y))
    return cast(_shift(cast(a, _wide(a)), b, left=True), a.dtype)


def bitwise_right_shift(x: Any, y: Any) -> Value:
    """Returns x with its bits moved y places towards the lower ones: floor(x / 2^y)."""
    a, b = (as_number(v) for v in as_operands(x, y))
    wide = cast(a, _wide(a))
    if a.dtype.startswith("uint"):
        return cast(_shift(wide, b, left=False), a.dtype)
    # Negative numbers with their bits turned round, -1 - x, so that what comes in from the left is the sign.
    below = less(wide, 0)
    moved = _shift(where(below, subtract(-1, wide), wide), b, left=False)
    return cast(where(below, subtract(-1, moved), moved), a.dtype)


def _wide(x: Value) -> str:
    return "int64" if np.dtype(x.dtype).itemsize == 8 else "int32"


def _shift(a: Value, b: Value, left: bool) -> Value:
    """Returns numbers moved as unsigned ones; nothing is left of them where all bits are moved out."""
    unsigned, places = f"u{a.dtype}", cast(b, a.dtype)
    inside = logical_and(greater_equal(places, 0), less(places, np.dtype(unsigned).itemsize * 8))
    none = scalar(0, a)
    moved = apply(BitShift(left), cast(a, unsigned), cast(where(inside, places, none), unsigned))
    return where(inside, cast(moved, a.dtype), none)


def view(x: Any, dtype: Any = None) -> Value:
    """Returns the bits of x as numbers of another type; the last axis grows or shrinks with their width.

    NumPy computes it; ONNX cannot say it.
    """
    value = as_value(x)
    return value if dtype is None else apply(View(dtype_name(dtype)), value)


bitwise_invert = bitwise_not
left_shift = bitwise_left_shift
right_shift = bitwise_right_shift
