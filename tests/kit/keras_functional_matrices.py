"""Operations of `keras_functional`: linear algebra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _positive(ops: Any, x: Any) -> Any:
    """Positive definite matrices (batch, 3, 3)."""
    return ops.matmul(x, ops.transpose(x, (0, 2, 1))) + 2.0 * np.eye(3, dtype="float32")


# What each is called like: on x and y of shape (batch, 3, 4).
MATRICES: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "cholesky": lambda ops, x, y, k: ops.cholesky(_positive(ops, x)),
    "cholesky_inverse": lambda ops, x, y, k: ops.cholesky_inverse(_positive(ops, x)[0], upper=True),
    "det": lambda ops, x, y, k: ops.det(_positive(ops, x)),
    "eigh": lambda ops, x, y, k: ops.eigh(_positive(ops, x))[0],
    "inv": lambda ops, x, y, k: ops.inv(_positive(ops, x)),
    "logdet": lambda ops, x, y, k: ops.logdet(_positive(ops, x)),
    "lstsq": lambda ops, x, y, k: ops.lstsq(_positive(ops, x)[0], y[0]),
    "lu_factor": lambda ops, x, y, k: ops.lu_factor(_positive(ops, x))[0],
    "matrix_rank": lambda ops, x, y, k: ops.matrix_rank(x),
    "pinv": lambda ops, x, y, k: ops.pinv(x),
    "qr": lambda ops, x, y, k: ops.abs(ops.qr(_positive(ops, x))[1]),
    "slogdet": lambda ops, x, y, k: ops.slogdet(_positive(ops, x))[1],
    "solve": lambda ops, x, y, k: ops.solve(_positive(ops, x), y),
    "solve_triangular": lambda ops, x, y, k: ops.solve_triangular(_positive(ops, x), y, lower=True),
    "svd": lambda ops, x, y, k: ops.svd(x, compute_uv=False),
}
