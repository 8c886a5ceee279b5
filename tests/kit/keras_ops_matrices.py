"""Calls of functions of linear algebra of `keras.ops` for `keras_ops_cases`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

F = np.array([[1.5, -2.5], [0.5, 2.0]], np.float32)
I = np.array([[3, -7], [5, 2]], np.int32)  # noqa: E741
V = np.array([1.0, -2.0, 0.5], np.float32)
T = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8
# Symmetric and positive definite.
SQUARE = np.array([[[4, 1, 0.5], [1, 3, -1], [0.5, -1, 2]], [[1, 0.25, 0], [0.25, 2, 0.5], [0, 0.5, 3]]], np.float32)

MATRICES: dict[str, Callable[[Any], Any]] = {
    "det": lambda k: k.det(SQUARE),
    "det of ints": lambda k: k.det(I),
    "slogdet": lambda k: k.stack(k.slogdet(-SQUARE)),
    "logdet": lambda k: k.logdet(SQUARE),
    "inv": lambda k: k.linalg.inv(SQUARE),
    "solve": lambda k: k.solve(SQUARE, T[:, :, :2]),
    "solve for vectors": lambda k: k.solve(SQUARE[0], V),
    "solve_triangular": lambda k: k.solve_triangular(SQUARE, T),
    "solve_triangular from above": lambda k: k.solve_triangular(SQUARE[0], V, lower=True),
    "cholesky": lambda k: k.cholesky(SQUARE),
    "cholesky upper": lambda k: k.cholesky(SQUARE, upper=True),
    "cholesky_inverse": lambda k: k.cholesky_inverse(SQUARE[0]),
    "cholesky_inverse upper": lambda k: k.cholesky_inverse(SQUARE[0], upper=True),
    "pinv": lambda k: k.pinv(SQUARE[:, :2]),
    "pinv of a rank": lambda k: k.pinv(np.outer(V, V), rcond=0.1),
    "lstsq": lambda k: k.lstsq(SQUARE[0][:, :2], V),
    "lstsq of several": lambda k: k.lstsq(SQUARE[0][:2], F),
    "eigh values": lambda k: k.eigh(SQUARE)[0],
    "eigh vectors": lambda k: k.absolute(k.eigh(SQUARE)[1]),
    "qr": lambda k: k.absolute(k.qr(SQUARE[0][:, :2])[0]),
    "qr complete": lambda k: k.absolute(k.qr(SQUARE[0][:, :2], mode="complete")[1]),
    "svd": lambda k: k.absolute(k.svd(SQUARE)[2]),
    "svd reduced": lambda k: k.absolute(k.svd(SQUARE[:, :2], full_matrices=False)[0]),
    "svd values": lambda k: k.svd(T, compute_uv=False),
    "lu_factor": lambda k: k.lu_factor(SQUARE[:, ::-1])[0],
    "lu_factor exchanges": lambda k: k.lu_factor(SQUARE[0][::-1])[1],
    "matrix_rank": lambda k: k.matrix_rank(T),
    "matrix_rank of small numbers": lambda k: k.matrix_rank(np.diag(np.array([4, 1, 0.1], np.float32)), tol=0.05),
    "cdist": lambda k: k.cdist(T, T[:, :2] + 1),
}
