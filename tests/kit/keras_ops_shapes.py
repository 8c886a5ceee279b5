"""Calls of functions of `keras.ops` that make, join, cut and turn tensors, for `keras_ops_cases`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

F = np.array([[1.5, -2.5], [0.5, 2.0]], np.float32)
I = np.array([[3, -7], [5, 2]], np.int32)  # noqa: E741
B = np.array([[True, False], [True, True]])
V = np.array([1.0, -2.0, 0.5], np.float32)
T = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8

SHAPES: dict[str, Callable[[Any], Any]] = {
    "array": lambda k: k.array([1, 2, 3]),
    "array of a dtype": lambda k: k.array(I, "float32"),
    "copy": lambda k: k.copy(B),
    "dtype of ints": lambda k: [k.dtype(k.convert_to_tensor(I)) == "int32", k.dtype(k.zeros(2)) == "float32"],
    "ndim": lambda k: [k.ndim(T), k.ndim(1.5)],
    "empty": lambda k: k.empty((2, 3)) * 0,
    "empty of ints": lambda k: k.empty(2, "int32") * 0,
    "empty_like": lambda k: k.empty_like(I, "float32") * 0,
    "linspace down to ints": lambda k: k.linspace(-1, 3, 6, dtype="int32"),
    "linspace with its step": lambda k: k.linspace(0, 3, 5, retstep=True)[1],
    "linspace without its end, with its step": lambda k: k.linspace(0, 3, 5, False, True)[1],
    "linspace of tensors": lambda k: k.linspace(V, 2.0, 4),
    "linspace of tensors along an axis": lambda k: k.linspace(F, V[:2], 3, axis=1),
    "linspace of one": lambda k: k.linspace(3, 4, 1),
    "logspace": lambda k: k.logspace(0, 2, 5),
    "logspace to a base": lambda k: k.logspace(0, 3, 4, base=2, dtype="int32"),
    "logspace without its end": lambda k: k.logspace(V, 1.0, 3, endpoint=False, axis=-1),
    "geomspace": lambda k: k.geomspace(1, 1000, 4),
    "geomspace of negative numbers": lambda k: k.geomspace(-2.0, -32.0, 5),
    "geomspace without its end": lambda k: k.geomspace(np.array([1, 3], np.float32), 100.0, 3, endpoint=False, axis=1),
    "meshgrid": lambda k: k.stack(k.meshgrid(V, V[:2])),
    "meshgrid by rows": lambda k: k.stack(k.meshgrid(V, V[:2], np.array([7, 8, 9, 10], np.float32), indexing="ij")),
    "vander": lambda k: k.vander(V),
    "vander of ints": lambda k: k.vander(np.array([0, 2, -3], np.int32), 4, increasing=True),
    "diag of a vector": lambda k: k.diag(V),
    "diag of a vector above": lambda k: k.diag(V, 2),
    "diag of bools below": lambda k: k.diag(B[0], -1),
    "diag of a matrix": lambda k: k.diag(T[0], 1),
    "diag of a matrix below": lambda k: k.diag(T[0], -2),
    "diagflat": lambda k: k.diagflat(F, k=1),
    "diagonal": lambda k: k.diagonal(T),
    "diagonal elsewhere": lambda k: k.diagonal(T, offset=1, axis1=2, axis2=-2),
    "diagonal below": lambda k: k.diagonal(T, -2, 1, 2),
    "diagonal beyond": lambda k: k.diagonal(T, 7, 1, 2),
    "trace": lambda k: k.trace(T, 1),
    "trace of bools": lambda k: k.trace(B),
    "trace of bytes": lambda k: k.trace(I.astype("int8")),
    "append": lambda k: k.append(F, I),
    "append along an axis": lambda k: k.append(F, V[None, :2], axis=0),
    "array_split": lambda k: k.concatenate(k.array_split(T, 3, axis=-1)[:2], -1),
    "array_split into more than there are": lambda k: k.array_split(V, 5)[4],
    "dstack": lambda k: k.dstack([F, I]),
    "dstack of vectors": lambda k: k.dstack([V, V]),
    "hsplit": lambda k: k.hsplit(T, 3)[1],
    "hsplit of a vector": lambda k: k.hsplit(V, [1])[1],
    "vsplit": lambda k: k.vsplit(T, 2)[1],
    "dsplit": lambda k: k.dsplit(T, [1, 3])[1],
    "fliplr": lambda k: k.fliplr(T),
    "flipud": lambda k: k.flipud(T),
    "rot90": lambda k: k.rot90(T[0]),
    "rot90 twice": lambda k: k.rot90(T, 2, axes=(1, 2)),
    "rot90 back": lambda k: k.rot90(T, -1, axes=(2, 0)),
}  # fmt: skip
