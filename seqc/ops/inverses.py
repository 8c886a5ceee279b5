"""Determinants, inverses and solutions of linear equations, of matrices in the last two axes.

The gradients are those of M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation" (2008). ONNX has of all these the determinant only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.errors import DataError, DTypeError, ShapeError
from seqc.graph.batch import batch_axis
from seqc.graph.element_types import float_info
from seqc.graph.ir import Array, BatchRule, Emitter, Op, Sizes, Type, Value, apply, apply_many
from seqc.ops._common import as_float, as_floats, broadcast_shapes, check_same_dtype
from seqc.ops.linalg import matmul
from seqc.ops.rearranging import broadcast_to, swapaxes, tril, triu
from seqc.ops.shape import expand_dims, squeeze


class OnMatrices(Op):
    """An operation on each matrix for itself."""

    def check(self, *xs: Type, square: bool = True) -> None:
        """Raises where an operand is no stack of matrices, or of square ones, of numbers that LAPACK computes with."""
        for x in xs:
            if x.dtype not in ("float32", "float64"):
                raise DTypeError(f"{self.name} computes in float32 or float64; got {x}. Use ops.cast.")
            if x.rank < 2 or (square and x.shape[-1] != x.shape[-2]):
                raise ShapeError(f"{self.name} needs {'square ' if square else ''}matrices; got {x}.")

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        size = int(np.prod(inputs[0], dtype=np.int64))
        return size * min(inputs[0][-2:])

    def batch_rule(self, y: Value) -> BatchRule:
        axes = [(batch_axis(x.type), x.type.rank) for x in y.inputs]
        return "parallel" if all(at is not None and at < rank - 2 for at, rank in axes) else "whole"


class Det(OnMatrices):
    """Determinants."""

    def infer(self, x: Type) -> Type:
        self.check(x)
        return x.with_shape(x.shape[:-2])

    def eval(self, x: Array) -> Any:
        return np.asarray(np.linalg.det(x), x.dtype)

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (expand_dims(g * y, (-2, -1)) * swapaxes(apply(Inverse(), x), -1, -2),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return e.node("Det", x)


class SlogDet(OnMatrices):
    """Signs of determinants, and logarithms of their absolute values."""

    def infer(self, x: Type) -> tuple[Type, ...]:
        self.check(x)
        each = x.with_shape(x.shape[:-2])
        return each, each

    def eval(self, x: Array) -> Any:
        sign, logarithm = np.linalg.slogdet(x)
        return np.asarray(sign, x.dtype), np.asarray(logarithm, x.dtype)

    def vjp(self, g: Any, y: Value, x: Value) -> Sequence[Value | None]:
        if g[1] is None:
            return (None,)
        return (expand_dims(g[1], (-2, -1)) * swapaxes(apply(Inverse(), x), -1, -2),)


class Inverse(OnMatrices):
    """Inverses."""

    def infer(self, x: Type) -> Type:
        self.check(x)
        return x

    def eval(self, x: Array) -> Any:
        try:
            return np.linalg.inv(x)
        except np.linalg.LinAlgError:
            raise DataError("Inverse: a matrix is singular.") from None

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        turned = swapaxes(y, -1, -2)
        return (-matmul(matmul(turned, g), turned),)


class Solve(OnMatrices):
    """x of a @ x = b."""

    def infer(self, a: Type, b: Type) -> Type:
        check_same_dtype(self, a, b)
        self.check(a)
        self.check(b, square=False)
        if a.shape[-1] != b.shape[-2]:
            raise ShapeError(
                f"{self.name} needs as many rows on the right side as there are equations; got {a} and {b}."
            )
        leading = broadcast_shapes(self, a.shape[:-2], b.shape[:-2]) if a.rank + b.rank > 4 else ()
        return b.with_shape((*leading, *b.shape[-2:]))

    def eval(self, a: Array, b: Array) -> Any:
        try:
            return np.linalg.solve(a, b)
        except np.linalg.LinAlgError:
            raise DataError(f"{self.name}: a matrix is singular.") from None

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        gb = apply(Solve(), swapaxes(a, -1, -2), g)
        return -matmul(gb, swapaxes(y, -1, -2)), gb


@dataclass(frozen=True, repr=False)
class SolveTriangular(Solve):
    """x of a @ x = b, where only the upper or the lower triangle of a is read."""

    lower_half: bool = False

    def eval(self, a: Array, b: Array) -> Any:
        shape = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        x = np.array(np.broadcast_to(b, (*shape, *b.shape[-2:])))
        rows = range(a.shape[-1])
        for i in rows if self.lower_half else reversed(rows):
            known = slice(0, i) if self.lower_half else slice(i + 1, None)
            x[..., i, :] -= (a[..., i, None, known] @ x[..., known, :])[..., 0, :]
            x[..., i, :] /= a[..., i, i, None]
        return x

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        gb = apply(SolveTriangular(not self.lower_half), swapaxes(a, -1, -2), g)
        return (tril if self.lower_half else triu)(-matmul(gb, swapaxes(y, -1, -2))), gb


class Cholesky(OnMatrices):
    """Lower triangular L of x = L @ Lᵀ, of positive definite matrices; of others, the mean with their transpose.

    The gradient is that of I. Murray, "Differentiation of the Cholesky decomposition" (2016).
    """

    def infer(self, x: Type) -> Type:
        self.check(x)
        return x

    def eval(self, x: Array) -> Any:
        try:
            return np.linalg.cholesky((x + np.swapaxes(x, -1, -2)) / x.dtype.type(2))
        except np.linalg.LinAlgError:
            raise DataError(
                "Cholesky decomposition failed. The input might not be a valid positive definite matrix."
            ) from None

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        turned = swapaxes(y, -1, -2)
        product = matmul(turned, g)
        half = tril(product) * 0.5 + tril(product, -1) * 0.5
        inner = apply(SolveTriangular(False), turned, half)
        outer = swapaxes(apply(SolveTriangular(False), turned, swapaxes(inner, -1, -2)), -1, -2)
        return ((outer + swapaxes(outer, -1, -2)) * 0.5,)


@dataclass(frozen=True, repr=False)
class PseudoInverse(OnMatrices):
    """Moore-Penrose inverses; singular values below `rcond` times the largest count as zero.

    The gradient is that of G. H. Golub and V. Pereyra (1973), for a rank that does not change.
    """

    rcond: float

    def infer(self, x: Type) -> Type:
        self.check(x, square=False)
        return x.with_shape((*x.shape[:-2], x.shape[-1], x.shape[-2]))

    def eval(self, x: Array) -> Any:
        return np.linalg.pinv(x, self.rcond)

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        pt, gt = swapaxes(y, -1, -2), swapaxes(g, -1, -2)
        left, right = matmul(matmul(gt, y), pt), matmul(matmul(pt, y), gt)
        return (
            (left - matmul(x, matmul(y, left))) + (right - matmul(matmul(right, y), x)) - matmul(matmul(pt, g), pt),
        )


def det(x: Any) -> Value:
    """Returns the determinant of each square matrix (..., n, n)."""
    return apply(Det(), as_float(x))


def slogdet(x: Any) -> tuple[Value, ...]:
    """Returns of each square matrix (..., n, n) the determinant's sign, and the logarithm of its absolute value."""
    return apply_many(SlogDet(), as_float(x))


def logdet(x: Any) -> Value:
    """Returns the logarithm of the absolute value of the determinant of each square matrix (..., n, n)."""
    return slogdet(x)[1]


def inv(x: Any) -> Value:
    """Returns the inverse of each square matrix (..., n, n).

    Raises:
        DataError: one has none.
    """
    return apply(Inverse(), as_float(x))


def solve(a: Any, b: Any) -> Value:
    """Returns x of a @ x = b.

    Args:
        a: square matrices (..., n, n). b: (..., n, columns), or a vector (..., n) for each matrix.

    Raises:
        DataError: a matrix is singular.
    """
    return _solved(Solve(), a, b)


def solve_triangular(a: Any, b: Any, lower: bool = False) -> Value:
    """Returns x of a @ x = b for triangular matrices.

    Args:
        a: square matrices (..., n, n), of which the other triangle is not read. b: (..., n, columns), or a vector
        (..., n) for each matrix. lower: whether a is lower triangular; else upper.
    """
    return _solved(SolveTriangular(lower), a, b)


def _solved(op: Solve, a: Any, b: Any) -> Value:
    matrix, right = as_floats(a, b)
    if right.type.rank == matrix.type.rank - 1:
        return squeeze(apply(op, matrix, expand_dims(right, -1)), -1)
    return apply(op, matrix, right)


def cholesky(x: Any, upper: bool = False) -> Value:
    """Returns the Cholesky factor of each positive definite matrix (..., n, n).

    Args:
        x: the matrices. upper: whether the factor is U of x = Uᵀ @ U; else L of x = L @ Lᵀ.

    Raises:
        DataError: a matrix is not positive definite.
    """
    factor = apply(Cholesky(), as_float(x))
    return swapaxes(factor, -1, -2) if upper else factor


def cholesky_inverse(x: Any, upper: bool = False) -> Value:
    """Returns the inverse of each matrix (..., n, n) whose Cholesky factor is x, upper triangular or lower."""
    factor = as_float(x)
    one = np.eye(factor.type.shape[-1], dtype=factor.dtype)  # type: ignore[arg-type]
    inverse = apply(SolveTriangular(not upper), factor, broadcast_to(one, factor.type.shape))
    turned = swapaxes(inverse, -1, -2)
    return matmul(inverse, turned) if upper else matmul(turned, inverse)


def pinv(x: Any, rcond: float | None = None) -> Value:
    """Returns the Moore-Penrose inverse of each matrix (..., rows, columns).

    Args:
        x: the matrices. rcond: singular values below that part of the largest count as zero; by default ten roundings
        for each row or column.
    """
    value = as_float(x)
    return apply(PseudoInverse(_roundings(value, 10) if rcond is None else float(rcond)), value)


def _roundings(x: Value, times: int) -> float:
    sizes = x.type.shape[-2:]
    if len(sizes) < 2 or not all(isinstance(d, int) for d in sizes):
        raise ShapeError(f"Expected matrices of known sizes; got {x.type}.")
    return float(times * max(sizes) * float_info(x.dtype).eps)  # type: ignore[type-var]


def lstsq(a: Any, b: Any, rcond: float | None = None) -> Value:
    """Returns x for which a @ x is nearest to b, the shortest of several.

    Args:
        a: a matrix (rows, columns). b: (rows,) or (rows, several). rcond: singular values below that part of the
        largest count as zero; by default a rounding for each row or column.
    """
    matrix, right = as_floats(a, b)
    return matmul(pinv(matrix, _roundings(matrix, 1) if rcond is None else rcond), right)
