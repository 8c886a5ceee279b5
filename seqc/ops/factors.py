"""Matrices as products of simpler ones, in the last two axes. ONNX has none of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.errors import ConfigError, NoGradientError, ShapeError
from seqc.graph.element_types import float_info
from seqc.graph.ir import Array, Type, Value, apply, apply_many, items
from seqc.ops._common import as_float, as_floats, scalar
from seqc.ops.arithmetic import square, subtract
from seqc.ops.creation import eye
from seqc.ops.elementwise import cast, equal, greater, where
from seqc.ops.inverses import OnMatrices, SolveTriangular
from seqc.ops.linalg import matmul
from seqc.ops.rearranging import swapaxes, tril
from seqc.ops.reduce import max, sum
from seqc.ops.shape import expand_dims, zeros_like
from seqc.ops.sizes import size_of
from seqc.ops.transcendental import sqrt


def _turn(x: Value) -> Value:
    return swapaxes(x, -1, -2)


def _gaps(x: Value) -> Value:
    """Returns 1 / (x_j - x_i) for each pair of numbers along the last axis, and zero for a number and itself."""
    away = expand_dims(x, -2) - expand_dims(x, -1)
    one = eye(size_of(x, -1), dtype=x.dtype)
    return where(equal(one, 1), scalar(0, x), scalar(1, x) / (away + one))


def _only(y: Value, g: Value | None, at: int) -> Value:
    """Returns the gradient that arrived at a result, zeros if none did."""
    return zeros_like(items(y)[at]) if g is None else g


class Eigh(OnMatrices):
    """Eigenvalues in ascending order and eigenvectors, in columns, of symmetric matrices.

    Of others, those of the mean with their transpose.
    """

    def infer(self, x: Type) -> tuple[Type, ...]:
        self.check(x)
        return x.with_shape(x.shape[:-1]), x

    def eval(self, x: Array) -> Any:
        found = np.linalg.eigh((x + np.swapaxes(x, -1, -2)) / x.dtype.type(2))
        return found.eigenvalues, found.eigenvectors

    def vjp(self, g: Any, y: Value, x: Value) -> Sequence[Value | None]:
        values, vectors = items(y)
        turned = _turn(vectors)
        inner = expand_dims(_only(y, g[0], 0), -1) * eye(size_of(x, -1), dtype=x.dtype)
        if g[1] is not None:
            inner = inner + _gaps(values) * matmul(turned, g[1])
        whole = matmul(matmul(vectors, inner), turned)
        return ((whole + _turn(whole)) * 0.5,)


@dataclass(frozen=True, repr=False)
class QR(OnMatrices):
    """Orthogonal Q and upper triangular R of x = Q @ R; square Q if `complete`."""

    complete: bool = False

    def infer(self, x: Type) -> tuple[Type, ...]:
        self.check(x, square=False)
        *leading, rows, columns = x.shape
        if not (isinstance(rows, int) and isinstance(columns, int)):
            raise ShapeError(f"QR needs matrices of known sizes; got {x}.")
        inner = rows if self.complete else min(rows, columns)
        return x.with_shape((*leading, rows, inner)), x.with_shape((*leading, inner, columns))

    def eval(self, x: Array) -> Any:
        found = np.linalg.qr(x, "complete" if self.complete else "reduced")
        return found.Q, found.R

    def vjp(self, g: Any, y: Value, x: Value) -> Sequence[Value | None]:
        q, r = items(y)
        if r.type.shape[-1] != r.type.shape[-2]:
            raise NoGradientError("QR has a gradient where Q has as many columns as x, which has no fewer rows.")
        gq, gr = _only(y, g[0], 0), _only(y, g[1], 1)
        product = matmul(r, _turn(gr)) - matmul(_turn(gq), q)
        symmetric = tril(product) + _turn(tril(product, -1))
        return (_turn(apply(SolveTriangular(False), r, _turn(gq + matmul(q, symmetric)))),)


@dataclass(frozen=True, repr=False)
class SVD(OnMatrices):
    """U, singular values in descending order, and Vᵀ, of x = U @ diag(s) @ Vᵀ; square U and V if `full`.

    The gradient is that of J. Townsend, "Differentiating the singular value decomposition" (2016).
    """

    full: bool = False

    def infer(self, x: Type) -> tuple[Type, ...]:
        self.check(x, square=False)
        *leading, rows, columns = x.shape
        if not (isinstance(rows, int) and isinstance(columns, int)):
            raise ShapeError(f"SVD needs matrices of known sizes; got {x}.")
        least = rows if rows < columns else columns
        left = x.with_shape((*leading, rows, rows if self.full else least))
        right = x.with_shape((*leading, columns if self.full else least, columns))
        return left, x.with_shape((*leading, least)), right

    def eval(self, x: Array) -> Any:
        found = np.linalg.svd(x, self.full)
        return found.U, found.S, found.Vh

    def vjp(self, g: Any, y: Value, x: Value) -> Sequence[Value | None]:
        rows, columns = x.type.shape[-2:]
        if self.full and rows != columns and not (g[0] is None and g[2] is None):
            raise NoGradientError("SVD has a gradient with full_matrices=False, or of square matrices.")
        u, s, vt = apply_many(SVD(), x) if self.full and rows != columns else items(y)
        inner = expand_dims(_only(y, g[1], 1), -2) * eye(size_of(s, -1), dtype=x.dtype)
        along, gaps = expand_dims(s, -2), _gaps(square(s))
        outer = None
        if g[0] is not None:
            turned = matmul(_turn(u), g[0])
            inner = inner + (gaps * (turned - _turn(turned))) * along
            outer = matmul((g[0] - matmul(u, turned)) / along, vt)
        if g[2] is not None:
            v, gv = _turn(vt), _turn(g[2])
            turned = matmul(vt, gv)
            inner = inner + _turn(along * (gaps * (turned - _turn(turned))))
            beyond = matmul(u, _turn((gv - matmul(v, turned)) / along))
            outer = beyond if outer is None else outer + beyond
        whole = matmul(matmul(u, inner), vt)
        return (whole if outer is None else whole + outer,)


class LU(OnMatrices):
    """L below the diagonal, where it has ones, and U on and above it, of rows in their order after exchanges.

    The second result (int32) tells the exchanges: row i with that one, from the first on.
    """

    def infer(self, x: Type) -> tuple[Type, ...]:
        self.check(x, square=False)
        *leading, rows, columns = x.shape
        if not (isinstance(rows, int) and isinstance(columns, int)):
            raise ShapeError(f"LU needs matrices of known sizes; got {x}.")
        return x, Type("int32", (*leading, rows if rows < columns else columns))

    def eval(self, x: Array) -> Any:
        rows, columns = x.shape[-2:]
        result = x.reshape(-1, rows, columns).copy()
        steps = min(rows, columns)
        pivots = np.zeros((len(result), steps), np.int32)
        for matrix, chosen in zip(result, pivots, strict=True):
            for i in range(steps):
                chosen[i] = i + np.argmax(np.abs(matrix[i:, i]))
                matrix[[i, chosen[i]]] = matrix[[chosen[i], i]]
                if matrix[i, i] != 0:
                    matrix[i + 1 :, i] /= matrix[i, i]
                    matrix[i + 1 :, i + 1 :] -= np.outer(matrix[i + 1 :, i], matrix[i, i + 1 :])
        return result.reshape(x.shape), pivots.reshape(*x.shape[:-2], steps)


def eigh(x: Any) -> tuple[Value, ...]:
    """Returns the eigenvalues and eigenvectors of each symmetric matrix (..., n, n).

    The eigenvalues (..., n) are in ascending order, the eigenvectors (..., n, n) in columns.
    """
    return apply_many(Eigh(), as_float(x))


def qr(x: Any, mode: str = "reduced") -> tuple[Value, ...]:
    """Returns an orthogonal Q and an upper triangular R of x = Q @ R for each matrix (..., rows, columns).

    Args:
        x: the matrices. mode: "reduced" for as many columns of Q as needed, "complete" for a square Q.
    """
    if mode not in ("reduced", "complete"):
        raise ConfigError(
            f"`mode` argument value not supported. Expected one of {{'reduced', 'complete'}}. Received: mode={mode}"
        )
    return apply_many(QR(mode == "complete"), as_float(x))


def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Returns the singular value decomposition of each matrix (..., rows, columns): x = U @ diag(s) @ Vᵀ.

    Args:
        x: the matrices. full_matrices: whether U and V are square. compute_uv: whether U, s and Vᵀ come; else s alone.
    """
    u, s, vt = apply_many(SVD(full_matrices and compute_uv), as_float(x))
    return (u, s, vt) if compute_uv else s


def lu_factor(x: Any) -> tuple[Value, ...]:
    """Returns the LU decomposition of each matrix (..., rows, columns), with partial pivoting.

    L (below the diagonal, where it has ones) and U lie in one matrix; the exchanges of rows (int32) are beside it: row
    i with that one, from the first on.
    """
    return apply_many(LU(), as_float(x))


def matrix_rank(x: Any, tol: float | None = None) -> Value:
    """Returns the rank (int32) of each matrix (..., rows, columns).

    Args:
        x: the matrices. tol: singular values up to it count as zero; by default a rounding of the largest for each row
        or column.
    """
    value = as_float(x)
    if value.type.rank < 2:
        raise ShapeError(f"Expected input to have rank >= 2. Received input with shape {value.shape}.")
    values = svd(value, compute_uv=False)
    sizes = [d for d in value.type.shape[-2:] if isinstance(d, int)]
    rounding = float(np.max(sizes) * float_info(value.dtype).eps)
    least = max(values, -1, True) * rounding if tol is None else tol
    return sum(cast(greater(values, least), "int32"), -1)


def cdist(x: Any, y: Any) -> Value:
    """Returns the Euclidean distance of each vector (..., m, n) from each of (..., k, n): (..., m, k)."""
    a, b = as_floats(x, y)
    if a.type.rank < 2 or b.type.rank < 2:
        raise ShapeError("`cdist` inputs must have rank >= 2")
    if a.type.shape[-1] != b.type.shape[-1]:
        raise ShapeError("Last dimension of inputs to `cdist` must match")
    return sqrt(sum(square(subtract(expand_dims(a, -2), expand_dims(b, -3))), -1))
