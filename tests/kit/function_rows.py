"""Functions of `seqc.ops` that are made of several operations, with operands of free sizes and what NumPy says to them.

`FUNCTIONS` is the table: gradients, free sizes and onnxruntime are tried on every row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kit.function_kinds import FunctionSpec, made
from kit.function_rows_reductions import REDUCING
from kit.op_rows import Array, nonzero, positive, real, still, truth, whole
from seqc import ops


def _with_limits(rng: Any, size: tuple[int, ...], before: list[Array]) -> Array:
    return rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -0.5], size)  # type: ignore[no-any-return]


SQUARE = ("batch", "time", "time")
LIMITS = still("batch", 20, draw=_with_limits)
X = real("batch", "time")

FUNCTIONS: tuple[FunctionSpec, ...] = (
    made("rearrange", lambda x: ops.rearrange(x, "b (h p) c -> b h (c p)", p=2),
         lambda x: x.reshape(-1, 3, 2, 5).transpose(0, 1, 3, 2).reshape(-1, 3, 10), real("batch", 6, 5)),
    made("rearrange-free", lambda x: ops.rearrange(x, "b t c->t (b c)"),
         lambda x: x.transpose(1, 0, 2).reshape(x.shape[1], -1), real("batch", "time", 2)),
    made("hypot", ops.hypot, np.hypot, real("batch", 4, draw=nonzero), real(4, draw=nonzero)),
    made("deg2rad", ops.deg2rad, np.deg2rad, X),
    made("rad2deg", ops.rad2deg, np.rad2deg, X),
    made("trunc", ops.trunc, np.trunc, still("batch", 20)),
    made("trunc-limits", ops.trunc, np.trunc, LIMITS),
    made("fabs", ops.fabs, np.fabs, real("batch", 5, draw=nonzero)),
    made("signbit", ops.signbit, lambda x: np.signbit(x) & ~np.isnan(x), LIMITS),
    made("heaviside", ops.heaviside, np.heaviside, LIMITS, still(20)),
    made("isposinf", ops.isposinf, np.isposinf, LIMITS),
    made("isneginf", ops.isneginf, np.isneginf, LIMITS),
    made("nan_to_num", lambda x: ops.nan_to_num(x, 2.0, 3.0, -4.0), lambda x: np.nan_to_num(x, True, 2.0, 3.0, -4.0),
         LIMITS),
    made("isclose", ops.isclose, np.isclose, LIMITS, LIMITS),
    made("isclose-nan", lambda a, b: ops.isclose(a, b, equal_nan=True),
         lambda a, b: np.isclose(a, b, equal_nan=True), LIMITS, LIMITS),
    made("fmax", ops.fmax, np.fmax, real("batch", 4), real(4)),
    made("fmin-limits", ops.fmin, np.fmin, LIMITS, LIMITS),
    made("saturate_cast", lambda x: ops.saturate_cast(x * 100, "int8"),
         lambda x: np.clip(x * 100, -128, 127).astype("i1"),
         still("batch", 5)),
    made("select", lambda a, b, x, y: ops.select([a, b], [x, y], 3.0),
         lambda a, b, x, y: np.select([a, b], [x, y], 3.0),
         truth("batch", 4), truth(4), real("batch", 4), real("batch", 4)),
    made("exp2", ops.exp2, np.exp2, X),
    made("ldexp", ops.ldexp, np.ldexp, real("batch", 5), whole("batch", 5)),
    made("logaddexp2", ops.logaddexp2, np.logaddexp2, real("batch", 5), real(5)),
    made("left-shift", ops.left_shift, np.left_shift, whole("batch", 5), whole(5, low=0, high=31)),
    made("left-shift-bytes", ops.left_shift, np.left_shift, whole("batch", 5, dtype="int8"),
         whole(5, low=0, high=8, dtype="int8")),
    made("right-shift", ops.right_shift, np.right_shift, whole("batch", 5, low=-99, high=99), whole(5, low=0, high=31)),
    made("right-shift-wide", ops.right_shift, np.right_shift, whole("batch", 5, low=-99, high=99, dtype="int64"),
         whole(5, low=0, high=63, dtype="int64")),
    made("linspace", lambda a, b: ops.linspace(a, b, 5, axis=1), lambda a, b: np.linspace(a, b, 5, axis=1),
         real("batch", 3), real(3)),
    made("linspace-free", lambda a: ops.linspace(a, 2.0, ops.shape(a)[1], endpoint=False, axis=-1),
         lambda a: np.linspace(a, 2.0, a.shape[1], endpoint=False, axis=-1), X),
    made("linspace-step", lambda a: ops.linspace(a, 2.0, ops.shape(a)[1], retstep=True)[1],
         lambda a: np.linspace(a, 2.0, a.shape[1], retstep=True)[1], X),
    made("logspace", lambda a: ops.logspace(a, 1.0, 4, base=3.0), lambda a: np.logspace(a, 1.0, 4, base=3.0), X),
    made("geomspace", lambda a: ops.geomspace(a, 3.0, 4), lambda a: np.geomspace(a, 3.0, 4),
         real("batch", 3, draw=positive)),
    made("meshgrid", lambda a, b: ops.stack(ops.meshgrid(a, b)), lambda a, b: np.stack(np.meshgrid(a, b)),
         real("time"), real(3)),
    made("meshgrid-rows", lambda a, b: ops.stack(ops.meshgrid(a, b, a, indexing="ij")),
         lambda a, b: np.stack(np.meshgrid(a, b, a, indexing="ij")), real("time"), real(3)),
    made("vander", ops.vander, np.vander, real("time", draw=nonzero)),
    made("vander-increasing", lambda a: ops.vander(a, 3, True), lambda a: np.vander(a, 3, True), real("time")),
    made("diag", ops.diag, np.diag, real("time")),
    made("diag-below", lambda x: ops.diag(x, -2), lambda x: np.diag(x, -2), real("time")),
    made("diagflat", lambda x: ops.diagflat(x, 1), lambda x: np.diagflat(x, 1), real(2, 3)),
    made("diagonal", lambda x: ops.diagonal(x, 1, 1, 2), lambda x: np.diagonal(x, 1, 1, 2), real("batch", 3, 4)),
    made("diagonal-below", lambda x: ops.diagonal(x, -2, -1, 1), lambda x: np.diagonal(x, -2, -1, 1),
         real("batch", 3, 4)),
    made("diagonal-free", lambda x: ops.diagonal(x, 0, 1, 2), lambda x: np.diagonal(x, 0, 1, 2), real(*SQUARE)),
    made("diagonal-free-above", lambda x: ops.diagonal(x, 2, 1, 2), lambda x: np.diagonal(x, 2, 1, 2), real(*SQUARE)),
    made("diagonal-free-below", lambda x: ops.diagonal(x, -1, 1, 2), lambda x: np.diagonal(x, -1, 1, 2),
         real(*SQUARE)),
    made("trace", lambda x: ops.trace(x, 0, 1, 2), lambda x: np.trace(x, 0, 1, 2), real(*SQUARE)),
    made("append", ops.append, np.append, X, real("batch", 2, 2)),
    made("append-axis", lambda a, b: ops.append(a, b, 1), lambda a, b: np.append(a, b, 1), X, real("batch", 2)),
    made("array_split", lambda x: ops.array_split(x, 3, 1)[1], lambda x: np.array_split(x, 3, 1)[1], real("batch", 5)),
    made("dstack", lambda a, b: ops.dstack([a, b]), lambda a, b: np.dstack([a, b]), X, X),
    made("hsplit", lambda x: ops.hsplit(x, [1, 3])[1], lambda x: np.hsplit(x, [1, 3])[1], X),
    made("rot90", lambda x: ops.rot90(x, 1, (1, 2)), lambda x: np.rot90(x, 1, (1, 2)), real("batch", "time", 3)),
    made("rot90-back", lambda x: ops.rot90(x, 3, (0, 1)), lambda x: np.rot90(x, 3, (0, 1)), real("batch", "time", 3)),
    *REDUCING,
)  # fmt: skip
