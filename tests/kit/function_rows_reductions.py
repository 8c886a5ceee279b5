"""Rows of `function_rows`: reductions, counts and products."""

from __future__ import annotations

from typing import Any

import numpy as np

from kit.function_kinds import FunctionSpec, made
from kit.op_rows import Array, Operand, nonzero, positive, real, still, whole, with_zeros
from seqc import ops


def _with_nan(rng: Any, size: tuple[int, ...], before: list[Array]) -> Array:
    """Numbers and NaN, in the last row nothing else than that."""
    numbers = np.where(rng.random(size) < 0.4, np.nan, rng.normal(size=size))
    if len(size) > 1:
        numbers[..., 0, :] = np.nan
    return np.asarray(numbers)


GAPS = still("batch", 3, "time", draw=_with_nan)
X = real("batch", "time")


def _quiet(function: Any) -> Any:
    """NumPy's function without its warnings of rows in which there is no number."""

    def call(*xs: Any) -> Any:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*xs)

    return call


def _position(function: Any) -> Any:
    """NumPy's position of an extremum along the last axis; -1 where there is no number."""

    def call(x: Any) -> Any:
        none = np.isnan(x).all(-1)
        return np.where(none, -1, function(np.where(none[..., None], 0, x), -1))

    return call


def _of_gaps(name: str) -> FunctionSpec:
    return made(name, lambda x: getattr(ops, name)(x, 2), _quiet(lambda x: getattr(np, name)(x, 2)), GAPS)


def _quantile(method: str, *x: Operand, nan: str = "") -> FunctionSpec:
    q, name = np.array([0.3, 0.9]), f"{nan}quantile"
    return made(f"{name}-{method}", lambda a: getattr(ops, name)(a, q, -1, method),
                _quiet(lambda a: getattr(np, name)(a, q, -1, method=method)), *x)  # fmt: skip


REDUCING: tuple[FunctionSpec, ...] = (
    *map(_of_gaps, ("nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd", "nancumsum", "nancumprod",
                    "nanmedian")),
    *(_quantile(method, X) for method in ("linear", "lower", "higher", "midpoint", "nearest")),
    *(_quantile(method, GAPS, nan="nan") for method in ("linear", "higher")),
    made("nanargmax", lambda x: ops.nanargmax(x, -1), _position(np.nanargmax), GAPS),
    made("nanargmin", lambda x: ops.nanargmin(x, -1), _position(np.nanargmin), GAPS),
    made("nanmean-smooth", lambda x: ops.nanmean(x, 1), lambda x: np.nanmean(x, 1), X),
    made("nanmax-smooth", lambda x: ops.nanmax(x, 1), lambda x: np.nanmax(x, 1), X),
    made("nanstd-smooth", lambda x: ops.nanstd(x, 1), lambda x: np.nanstd(x, 1), X),
    made("nanprod-smooth", lambda x: ops.nanprod(x, 1), lambda x: np.nanprod(x, 1), X),
    made("ptp", lambda x: ops.ptp(x, 1), lambda x: np.ptp(x, 1), X),
    made("cumprod", lambda x: ops.cumprod(x, 1), lambda x: np.cumprod(x, 1), real("batch", 7, draw=with_zeros(2))),
    made("cumprod-free", lambda x: ops.cumprod(x, 1), lambda x: np.cumprod(x, 1),
         real("batch", "time", 3, draw=nonzero)),
    made("cumprod-all", ops.cumprod, np.cumprod, X),
    made("median", lambda x: ops.median(x, 1), lambda x: np.median(x, 1), X),
    made("median-axes", lambda x: ops.median(x, (0, 2), True), lambda x: np.median(x, (0, 2), keepdims=True),
         real("batch", 3, "time")),
    made("median-all", ops.median, np.median, X),
    made("percentile", lambda x: ops.percentile(x, 35.0, 1), lambda x: np.percentile(x, 35.0, 1), X),
    made("quantile-of-q", lambda x, q: ops.quantile(x, q, 1), lambda x, q: np.quantile(x, q, 1), real("batch", 5),
         real(3, draw=lambda rng, size, before: np.array([0.1, 0.45, 0.8]))),
    made("einsum-dots", lambda a, b: ops.einsum("...ij,...kj->...ik", a, b),
         lambda a, b: np.einsum("...ij,...kj->...ik", a, b), real("batch", 1, "time", 2), real(3, 4, 2)),
    made("einsum-of-three", lambda a, b: ops.einsum("bij,bj,jk->bik", a, a[:, 0], b),
         lambda a, b: np.einsum("bij,bj,jk->bik", a, a[:, 0], b), real("batch", 3, 4), real(4, 2)),
    made("norm-of-matrices", lambda a: ops.norm(a, 1, (1, 2)), lambda a: np.linalg.norm(a, 1, (1, 2)),
         real("batch", "time", 3)),
    made("average-weights", lambda a, w: ops.average(a, 1, w), lambda a, w: np.average(a, 1, w), real("batch", 5, 2),
         real(5, draw=positive)),
    made("roll-axes", lambda a: ops.roll(a, (1, 2), (0, 1)), lambda a: np.roll(a, (1, 2), (0, 1)), X),
    made("corrcoef", ops.corrcoef, np.corrcoef, real(3, "time")),
    made("trapezoid", ops.trapezoid, np.trapezoid, X),
    made("trapezoid-places", lambda y, x: ops.trapezoid(y, x, axis=0), lambda y, x: np.trapezoid(y, x, axis=0),
         real("time", 2), real("time")),
    made("allclose", lambda a, b: ops.allclose(a, b, 0.5, 3.0), lambda a, b: np.allclose(a, b, 0.5, 3.0), X, X),
    made("histogram", lambda x: ops.histogram(x, 4)[0], lambda x: np.histogram(x, 4)[0], still("time")),
    made("histogram-limits", lambda x: ops.histogram(x, 4)[1], lambda x: np.histogram(x, 4)[1], real("time")),
    made("histogram-range", lambda x: ops.histogram(x, 3, (-1.0, 1.0))[0], lambda x: np.histogram(x, 3, (-1.0, 1.0))[0],
         still("time")),
    made("digitize", lambda x, b: ops.digitize(x, b), lambda x, b: np.digitize(x, np.sort(b)), X,
         still(4, draw=lambda rng, size, before: np.sort(rng.normal(size=size)))),
    made("digitize-downwards", ops.digitize, np.digitize, X,
         still(4, draw=lambda rng, size, before: -np.sort(rng.normal(size=size)))),
    made("isin", ops.isin, np.isin, whole("batch", 4), whole("time")),
    made("isin-inverted", lambda a, b: ops.isin(a, b, invert=True), lambda a, b: np.isin(a, b, invert=True),
         whole("batch", 4), whole(2, 2)),
    made("gcd", ops.gcd, np.gcd, whole("batch", 4, low=-99, high=99), whole(4, low=-99, high=99)),
    made("lcm", ops.lcm, np.lcm, whole("batch", 4), whole(1, 4)),
    made("lcm-bytes", ops.lcm, np.lcm, whole("batch", 4, dtype="int8"), whole("batch", 4, dtype="int8")),
    made("inner", ops.inner, np.inner, real("batch", 3), real(2, 3)),
    made("vdot", ops.vdot, np.vdot, real("batch", 3), real("batch", 3)),
    made("kron", ops.kron, np.kron, real("batch", 3), real(2, "time")),
    made("kron-vector", ops.kron, np.kron, real("batch", 3), real(2)),
    made("cross", ops.cross, np.cross, real("batch", 3), real("batch", 3)),
    made("cross-axes", lambda a, b: ops.cross(a, b, axisa=1, axisc=0), lambda a, b: np.cross(a, b, axisa=1, axisc=0),
         real("batch", 3, 4), real(4, 3)),
    made("cross-plane", ops.cross, lambda a, b: a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0],
         real("batch", 2), real(2)),
    made("correlate", lambda a, b: ops.correlate(a, b, "same"), lambda a, b: np.correlate(a, b, "same"), real(7),
         real(4)),
    made("correlate-longer", lambda a, b: ops.correlate(a, b, "full"), lambda a, b: np.correlate(a, b, "full"), real(3),
         real(6)),
)  # fmt: skip
