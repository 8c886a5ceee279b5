"""Operations of `keras_functional` that reduce, count and multiply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kit.table_calls import call_on

_OF_X = """cumprod median nanargmax nanargmin nancumprod nancumsum nanmax nanmean nanmedian nanmin nanprod nanstd nansum
    nanvar ptp trapezoid"""
_OF_BOTH = "allclose isin kron vdot"
_OF_INTEGERS = "gcd lcm"

# What each is called like: on x and y of shape (batch, 3, 4), or on k, of integers.
REDUCING: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    **{name: call_on(lambda ops, x, y, k: (x,), name, axis=1) for name in _OF_X.split()},
    **{name: call_on(lambda ops, x, y, k: (x, y), name) for name in _OF_BOTH.split()},
    **{name: call_on(lambda ops, x, y, k: (k, k + 2), name) for name in _OF_INTEGERS.split()},
    "corrcoef": lambda ops, x, y, k: ops.corrcoef(ops.sum(x, axis=0)),
    "correlate": lambda ops, x, y, k: ops.correlate(ops.sum(x, axis=(0, 1)), ops.sum(y, axis=(0, 2)), "same"),
    "cross": lambda ops, x, y, k: ops.cross(x, y, axis=1),
    "digitize": lambda ops, x, y, k: ops.digitize(x, np.array([-1.0, 0.0, 0.5], "float32")),
    "inner": lambda ops, x, y, k: ops.inner(x, np.full((2, 4), 0.5, "float32")),
    "isin_not": lambda ops, x, y, k: ops.isin(k, np.array([1, 4]), invert=True),
    "nan_sum": lambda ops, x, y, k: ops.nansum(ops.where(x > 0, x, np.float32(np.nan)), axis=1, keepdims=True),
    "percentile": lambda ops, x, y, k: ops.percentile(x, 30.0, axis=1),
    "nanpercentile": lambda ops, x, y, k: ops.nanpercentile(x, 30.0, axis=1, keepdims=True),
    "quantile": lambda ops, x, y, k: ops.quantile(x, np.array([0.2, 0.7], "float32")),
    "nanquantile": lambda ops, x, y, k: ops.nanquantile(x, 0.4, method="lower"),
}
