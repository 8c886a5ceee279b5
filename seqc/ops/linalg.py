"""Matrix products; and, by name, all functions of `keras.ops.linalg`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from seqc.errors import ShapeError
from seqc.graph.batch import batch_axis
from seqc.graph.equal_sizes import SizesDiffer
from seqc.graph.ir import Array, BatchRule, Emitter, Op, Sizes, Type, Value, apply, as_value
from seqc.graph.layout import Layout, LayoutRule, Merged, is_natural
from seqc.graph.operators import OPERATORS
from seqc.ops._common import (
    as_number,
    as_operands,
    broadcast_shapes,
    check_number,
    check_rank,
    check_same_dtype,
)
from seqc.ops._namespaces import namespace
from seqc.ops.elementwise import cast
from seqc.ops.shape import expand_dims, reshape, squeeze, transpose
from seqc.ops.sizes import size_of


class MatMul(Op):
    """Matrix product over the last two axes; leading axes broadcast. Both operands have rank 2 or more."""

    def infer(self, a: Type, b: Type) -> Type:
        check_same_dtype(self, a, b)
        check_number(self, a)
        if a.rank < 2 or b.rank < 2:
            raise ShapeError(f"MatMul needs matrices; got {a} and {b}.")
        if a.shape[-1] != b.shape[-2]:
            inner = a.shape[-1], b.shape[-2]
            raise SizesDiffer(f"MatMul cannot contract {a} with {b}: sizes {inner[0]} and {inner[1]} differ.", inner)
        leading = broadcast_shapes(self, a.shape[:-2], b.shape[:-2]) if a.rank + b.rank > 4 else ()
        return a.with_shape((*leading, a.shape[-2], b.shape[-1]))

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return 2 * prod(outputs[0]) * inputs[0][-1]

    def eval(self, a: Array, b: Array) -> Any:
        if a.ndim > 2 and b.ndim == 2:  # one large product instead of many small ones
            return (a.reshape(-1, a.shape[-1]) @ b).reshape(*a.shape[:-1], b.shape[-1])
        return np.matmul(a, b)

    def batch_rule(self, y: Value) -> BatchRule:
        a = y.inputs[0].type
        return "reduce" if batch_axis(a) == a.rank - 1 else "parallel"

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        ga = apply(MatMul(), g, _swap(b))
        if b.type.rank == 2 and a.type.rank > 2:
            return ga, apply(MatMul(), _swap(_rows(a)), _rows(g))
        return ga, apply(MatMul(), _swap(a), g)

    def lower(self, e: Emitter, y: Value, a: str, b: str) -> str | tuple[str, ...]:
        return e.node("MatMul", a, b)

    def layout_rule(self, y: Value, left: Layout, right: Layout) -> LayoutRule | None:
        a, b = (x.type for x in y.inputs[:2])
        if is_natural(left) or b.rank != 2:
            return None
        last = left[-1]
        if isinstance(last, Merged) and last.axis == a.rank - 1 and is_natural((*left[:-1], a.rank - 1)):
            # A flattened image in another order meets a kernel whose rows are put in that order, once.
            return LayoutRule((left, (replace(last, axis=0), 1)), self, tuple(range(y.type.rank)))
        if a.rank == 2 or any(isinstance(x, Merged) for x in left):
            return None
        return LayoutRule((left, (0, 1)), self, left) if last == a.rank - 1 else None


class Gemm(Op):
    """x @ w + b for matrices; written by the pass that fuses a bias into a product."""

    def infer(self, x: Type, w: Type, b: Type) -> Type:
        check_rank(self, x, 2)
        product = MatMul().infer(x, w)
        broadcast_shapes(self, product.shape, b.shape)
        return product

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(outputs[0]) * (2 * inputs[0][-1] + 1)

    def eval(self, x: Array, w: Array, b: Array) -> Any:
        return x @ w + b

    def batch_rule(self, y: Value) -> BatchRule:
        return "parallel"

    def vjp(self, g: Value, y: Value, x: Value, w: Value, b: Value) -> Sequence[Value | None]:
        return (*MatMul().vjp(g, y, x, w), g)

    def lower(self, e: Emitter, y: Value, x: str, w: str, b: str) -> str | tuple[str, ...]:
        return e.node("Gemm", x, w, b)

    def layout_rule(self, y: Value, x: Layout, w: Layout, b: Layout) -> LayoutRule | None:
        inner = MatMul().layout_rule(y, x, w)
        return None if inner is None else LayoutRule((*inner.wants, b), self, inner.gives)


def _swap(x: Value) -> Value:
    axes = list(range(x.type.rank))
    return transpose(x, [*axes[:-2], axes[-1], axes[-2]])


def _rows(x: Value) -> Value:
    """Joins all axes but the last."""
    return x if x.type.rank == 2 else reshape(x, (-1, size_of(x, x.type.rank - 1)))


def matmul(x1: Any, x2: Any) -> Value:
    """Returns the matrix product over the last two axes; vectors are treated as NumPy's matmul does.

    Products of int8 are added up in int32.
    """
    a, b = as_operands(x1, x2)
    both = as_value(x1).dtype == as_value(x2).dtype == "int8"
    return multiply_matrices(cast(a, "int32"), cast(b, "int32")) if both else multiply_matrices(a, b)


def multiply_matrices(x1: Value, x2: Value) -> Value:
    """Returns the matrix product in the dtype of the operands; of booleans it tells whether a product is true."""
    if x1.dtype == "bool":
        return cast(multiply_matrices(as_number(x1), as_number(x2)), "bool")
    a = expand_dims(x1, 0) if x1.type.rank == 1 else x1
    b = expand_dims(x2, 1) if x2.type.rank == 1 else x2
    y = apply(MatMul(), a, b)
    dropped = ([-2] if x1.type.rank == 1 else []) + ([-1] if x2.type.rank == 1 else [])
    return squeeze(y, dropped) if dropped else y


OPERATORS["matmul"] = matmul

__getattr__ = namespace(
    __name__,
    "cholesky cholesky_inverse det eigh inv jvp lstsq lu_factor matrix_rank norm pinv qr solve solve_triangular svd",
)
