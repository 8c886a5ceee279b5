"""Rows of the table of operations of linear algebra."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from kit.op_rows import Array, OpSpec, real, row, still
from seqc.ops.factors import LU, QR, SVD, Eigh
from seqc.ops.inverses import Cholesky, Det, Inverse, PseudoInverse, SlogDet, Solve, SolveTriangular


def _regular(rng: np.random.Generator, size: tuple[int, ...], before: list[Array]) -> Array:
    """Matrices far from singular, whose singular values and eigenvalues are far from each other."""
    result: Array = rng.uniform(-0.3, 0.3, size) + np.eye(size[-2], size[-1]) * np.arange(1, size[-1] + 1)
    return result


def _positive(rng: np.random.Generator, size: tuple[int, ...], before: list[Array]) -> Array:
    x = rng.uniform(-0.5, 0.5, size)
    return x @ np.swapaxes(x, -1, -2) + np.eye(size[-1])


def matrix_rows() -> Iterator[OpSpec]:
    x = real("batch", 3, 3, draw=_regular)
    for op in (Det(), Inverse(), Eigh(), QR(), QR(complete=True), SVD(), SVD(full=True)):
        yield _whole(row(op, x, note="complete" if op in (QR(complete=True), SVD(full=True)) else ""))
    yield _whole(row(SlogDet(), x))
    yield row(Det(), real("batch", 2, 4, 4, draw=_regular), note="stacks")
    yield row(Inverse(), real(3, 3, draw=_regular), note="one")
    yield row(Solve(), x, real("batch", 3, 2))
    yield row(Solve(), real(3, 3, draw=_regular), real("batch", 3, 2), note="one-matrix")
    for lower in (False, True):
        note = "lower" if lower else "upper"
        yield row(SolveTriangular(lower), x, real("batch", 3, 2), note=note)
        yield row(SolveTriangular(lower), real(4, 4, draw=_regular), real("batch", 4, 1), note=f"one-{note}")
    yield row(Cholesky(), real("batch", 4, 4, draw=_positive))
    tall, wide = real("batch", 4, 3, draw=_regular), real("batch", 3, 4, draw=_regular)
    for shape, note in ((tall, "tall"), (wide, "wide")):
        yield row(PseudoInverse(1e-6), shape, note=note)
        yield _whole(row(SVD(), shape, note=note))
        fixed = replace(shape, differentiable=False)
        yield row(SVD(full=True), fixed, note=f"full-{note}")
        yield row(LU(), fixed, note=note)
    yield _whole(row(QR(), tall, note="tall"))
    yield row(QR(), replace(wide, differentiable=False), note="wide")
    yield row(LU(), still(5, 5))


def _whole(spec: OpSpec) -> OpSpec:
    """The row with the gradients of all its results."""
    results = spec.op.infer(*spec.types())
    return replace(spec, results=len(results)) if isinstance(results, tuple) else spec
