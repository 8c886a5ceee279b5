"""Calls of functions of `keras.ops` with arguments that are seldom given, for `keras_ops_cases`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kit.table_calls import call

T = np.sin(np.arange(24, dtype=np.float32)).reshape(2, 3, 4)
I = (np.arange(12, dtype=np.int32).reshape(3, 4) * 7) % 5 - 2  # noqa: E741
B, I8 = I > 0, I.astype(np.int8)
ONE = np.int64(1)
_ALONG = """sum prod mean max min amax amin var std any all logsumexp norm ptp nansum nanprod nanmax nanmin nanmean
    nanvar nanstd median nanmedian"""

ARGUMENTS: dict[str, Callable[[Any], Any]] = {
    **{f"{name} along NumPy's axis": call(name, T, axis=ONE) for name in _ALONG.split()},
    **{f"{name} along no axis": call(name, T, axis=()) for name in ("sum", "mean", "max")},
    "softmax along NumPy's axis": lambda k: k.softmax(T, ONE),
    "roll along axes": lambda k: k.roll(T, (1, -2), (0, 2)),
    "roll along axes alike": lambda k: k.roll(T, 1, (0, 1)),
    "repeat each so often": lambda k: k.repeat(T, np.array([1, 0, 2]), 1),
    "repeat all so often": lambda k: k.repeat(I[0], np.array([2, 0, 1, 3])),
    "average with weights of an axis": lambda k: k.average(T, axis=1, weights=np.array([1, 2, 3], np.float32)),
    "average of ints with weights": lambda k: k.average(I, axis=0, weights=[1, 3, 2]),
    "abs of bools": lambda k: k.abs(B),
    "diff of bools": lambda k: k.diff(B),
    "round ints to decimals": lambda k: k.round(I, 1),
    "round ints to tens": lambda k: k.round(I * 13, -1),
    **{f"norm of matrices by {ord}": call("norm", T, ord=ord, axis=(0, 2))
       for ord in (1, -1, 2, -2, np.inf, -np.inf, "nuc", "fro")},
    "norm of a matrix": lambda k: k.norm(T[0], ord=1),
    "norm of matrices kept": lambda k: k.norm(T, ord=np.inf, axis=(1, 2), keepdims=True),
    "norm of order zero": lambda k: k.norm(T, ord=0, axis=1),
    "norm of a vector of order -1": lambda k: k.norm(T[0, 0, 1:], ord=-1),
    "matmul of bools": lambda k: k.matmul(B, B.T),
    "matmul of int8": lambda k: k.matmul(I8, I8.T),
    "dot of int8": lambda k: k.dot(I8, I8.T),
    "vdot of bools": lambda k: k.vdot(B, B),
    "outer of int8 and a number": lambda k: k.outer(I8, 2),
    "einsum with dots": lambda k: k.einsum("...k,...k->...", T, T),
    "einsum with dots that broadcast": lambda k: k.einsum("...ij,...jk->...ik", T, np.swapaxes(T[:1], 1, 2)),
    "einsum with dots in one": lambda k: k.einsum("...d,de->...e", T, T[0].T),
    "einsum with dots last": lambda k: k.einsum("i...->...", T),
    "einsum with dots without an arrow": lambda k: k.einsum("...j,jk", T, T[0].T),
    "einsum of three": lambda k: k.einsum("ij,jk,kl->il", T[0], T[0].T, T[0]),
    "einsum of four with a batch": lambda k: k.einsum("bij,bik,bj,k->bi", T, T, T[:, 0], T[0, 0]),
    "einsum with a number per sample": lambda k: k.einsum("bij,b->bij", T, T[:, 0, 0]),
    "einsum of a diagonal": lambda k: k.einsum("ii->i", T[0, :3, :3]),
    "einsum of a trace": lambda k: k.einsum("bii->b", T[:, :3, :3]),
}  # fmt: skip
