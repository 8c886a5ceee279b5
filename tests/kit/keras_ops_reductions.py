"""Calls of functions of `keras.ops` that reduce, count and multiply, for `keras_ops_cases`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kit.table_calls import call

F = np.array([[1.5, -2.5], [0.5, 2.0]], np.float32)
I = np.array([[3, -7], [5, 2]], np.int32)  # noqa: E741
B = np.array([[True, False], [True, True]])
V = np.array([1.0, -2.0, 0.5], np.float32)
W = np.array([0.5, 4.0, -1.0], np.float32)
T = np.sin(np.arange(24, dtype=np.float32)).reshape(2, 3, 4)
N = np.array([[1.5, np.nan, -2.0, 4.0], [np.nan] * 4, [3.0, -1.0, 0.0, 2.5]], np.float32)
D = np.array([[1.0, 0.0, 2.0], [4.0, 3.0, 5.0]], np.float32)
_OF_NAN = "nansum nanprod nanmax nanmin nanmean nanvar nanstd nanargmax nanargmin nancumsum nancumprod nanmedian"

REDUCTIONS: dict[str, Callable[[Any], Any]] = {
    **{name: call(name, N) for name in _OF_NAN.split()},
    **{f"{name} along an axis": call(name, N, axis=1) for name in _OF_NAN.split()},
    **{f"{name} of ints": call(name, I, axis=0) for name in _OF_NAN.split()},
    **{
        f"{name} along axes": call(name, N[None], axis=(0, -1), keepdims=True)
        for name in ["nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd", "nanmedian"]
    },
    "nanargmax kept": lambda k: k.nanargmax(N, axis=0, keepdims=True),
    "nanargmin of all kept": lambda k: k.nanargmin(N, keepdims=True),
    "nancumsum in another type": lambda k: k.nancumsum(N, 1, dtype="int32"),
    "ptp": lambda k: k.ptp(F),
    "ptp along an axis": lambda k: k.ptp(I, axis=1, keepdims=True),
    "cumprod": lambda k: k.cumprod(F),
    "cumprod along an axis": lambda k: k.cumprod(T, axis=-1),
    "cumprod of bools": lambda k: k.cumprod(B, axis=1),
    "cumprod of int8": lambda k: k.cumprod(I.astype("int8"), 0),
    "cumprod in another type": lambda k: k.cumprod(I, 0, dtype="float32"),
    "median": lambda k: k.median(T),
    "median of ints": lambda k: k.median(I),
    "median along an axis": lambda k: k.median(T, axis=1, keepdims=True),
    "median along axes": lambda k: k.median(T, axis=(0, 2)),
    "median with NaN": lambda k: k.median(N, axis=0),
    "median of bools": lambda k: k.median(B),
    **{f"quantile, {how}": call("quantile", D, 0.3, axis=1, method=how)
       for how in ("linear", "lower", "higher", "midpoint", "nearest")},
    "quantiles": lambda k: k.quantile(T, np.array([0.1, 0.5, 1.0], np.float32), axis=-1, keepdims=True),
    "quantiles along axes": lambda k: k.quantile(T, np.array([0.0, 0.7], np.float32), axis=(-1, 0)),
    "quantile of all kept": lambda k: k.quantile(T, 0.25, keepdims=True),
    "nearest in the middle": lambda k: k.quantile(np.array([1.0, 2.0, 4.0, 8.0], np.float32), 0.5, method="nearest"),
    "percentile": lambda k: k.percentile(T, 30, axis=2),
    "percentiles of ints": lambda k: k.percentile(I, [25.0, 90.0]),
    "nanquantile": lambda k: k.nanquantile(N, 0.4, axis=1),
    "nanquantiles": lambda k: k.nanquantile(N, np.array([0.4, 0.9], np.float32), axis=(0, 1), method="higher"),
    "nanpercentile": lambda k: k.nanpercentile(N, [10.0, 60.0], axis=1, keepdims=True),
    "corrcoef": lambda k: k.corrcoef(T[0]),
    "corrcoef of a vector": lambda k: k.corrcoef(V),
    "corrcoef of ints": lambda k: k.corrcoef(I),
    "trapezoid": lambda k: k.trapezoid(T),
    "trapezoid at equal distances": lambda k: k.trapezoid(I, dx=0.5, axis=0),
    "trapezoid at places": lambda k: k.trapezoid(T, x=V, axis=1),
    "trapezoid at places of their own": lambda k: k.trapezoid(T, x=T * T, axis=1),
    "allclose": lambda k: [k.allclose(F, F * 1.000001), k.allclose(F, F + 1), k.allclose(N, N, equal_nan=True)],
    "bincount": lambda k: k.bincount(np.array([0, 3, 1, 3, 3], np.int32)),
    "bincount of at least": lambda k: k.bincount(np.array([0, 3, 1, 3, 3], np.int32), minlength=7),
    "bincount with weights": lambda k: k.bincount(np.array([0, 3, 1], np.int32), weights=V),
    "bincount of rows": lambda k: k.bincount(np.array([[0, 3, 1], [1, 2, 3]], np.int32)),
    "bincount of rows with weights": call(
        "bincount", np.array([[0, 3, 1], [1, 2, 3]], np.int32), weights=np.stack([V, W])
    ),
    "histogram": lambda k: k.histogram(T.ravel())[0],
    "limits of a histogram": lambda k: k.histogram(T.ravel(), 4)[1],
    "histogram within": lambda k: k.histogram(np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0], np.float32), 4, (0.0, 2.0))[0],
    "histogram of one number": lambda k: k.histogram(np.array([2.0, 2.0], np.float32), 4)[0],
    "histogram of ints": lambda k: k.histogram(np.array([1, 2, 2, 5], np.int32), 4)[0],
    "digitize": lambda k: k.digitize(T, np.array([-0.5, 0.0, 0.5], np.float32)),
    "digitize ints": lambda k: k.digitize(I, np.array([-7, 2, 3], np.int32)),
    "digitize downwards": lambda k: k.digitize(I, np.array([4.0, 2.0, -7.0], np.float32)),
    "isin": lambda k: k.isin(I, [2, 3, 9]),
    "isin turned round": lambda k: k.isin(F, np.array([[0.5], [2.0]], np.float32), invert=True),
    "gcd": lambda k: k.gcd(
        np.array([12, -18, 0, 7, 0, 2147483647], np.int32), np.array([18, 12, 5, 0, 0, 1836311903], np.int32)
    ),
    "gcd with a number": lambda k: k.gcd(I, 6),
    "lcm": lambda k: k.lcm(np.array([4, -6, 0, 0], np.int32), np.array([6, 4, 5, 0], np.int32)),
    "inner": lambda k: k.inner(T, F[:, [0, 1, 0, 1]]),
    "inner of vectors of ints": lambda k: k.inner(I[0], I[1]),
    "inner with a number": lambda k: k.inner(F, 2.0),
    "vdot": lambda k: k.vdot(F, F.T),
    "vdot of ints": lambda k: k.vdot(I, I),
    "kron": lambda k: k.kron(F, T[0]),
    "kron with a vector": lambda k: k.kron(I, np.array([1, 2, 3], np.int32)),
    "cross": lambda k: k.cross(V, W),
    "cross of many": lambda k: k.cross(T, np.ones((2, 3, 4), "float32") * V[:, None], axis=1),
    "cross elsewhere": lambda k: k.cross(T, V, axisa=1, axisc=0),
    "cross in a plane": lambda k: k.cross(F, F[::-1]),
    "cross of a plane with space": lambda k: k.cross(F[0], V),
    "correlate": lambda k: k.correlate(V, W[:2]),
    "correlate, same": lambda k: k.correlate(
        np.array([1, 2, 3, 4, 5], np.float32), np.array([0.5, 1, -2, 3], np.float32), mode="same"
    ),
    "correlate, full": lambda k: k.correlate(V, W, mode="full"),
    "correlate with a longer one": lambda k: k.correlate(W[:2], np.array([1, 2, 3, 4, 5], np.float32), mode="same"),
    "correlate with a longer one, valid": lambda k: k.correlate(W[:2], np.array([1, 2, 3, 4, 5], np.float32)),
    "correlate ints": lambda k: k.correlate(I[0], I[1], "full"),
}  # fmt: skip
