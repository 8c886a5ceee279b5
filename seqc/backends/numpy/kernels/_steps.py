"""What the kernels of recurrent operations are made of: NumPy calls bound to their arrays beforehand, run in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from seqc.backends.numpy.kernels import Call
from seqc.graph.ir import Array
from seqc.ops._gates import GATES


def sign(activation: str) -> float:
    """Returns what an activation's argument is to be multiplied with before `squash` gets it."""
    return -1.0 if activation == "sigmoid" else 1.0


def squash(activation: str, z: Array) -> list[Call]:
    """Returns the calls that replace z, times the activation's `sign`, by the activation."""
    one, zero = z.dtype.type(1), z.dtype.type(0)
    if activation == "tanh":
        return [partial(np.tanh, z, z)]
    if activation == "sigmoid":
        # Twice as fast as through tanh. Where exp overflows, its reciprocal is the zero that is meant.
        return [partial(np.exp, z, z), partial(np.add, z, one, z), partial(np.divide, one, z, z)]
    if activation == "relu":
        return [partial(np.maximum, z, zero, out=z)]
    return [] if activation == "linear" else [partial(_replace, GATES[activation].function, z, z)]


def squash_copy(activation: str, x: Array, out: Array) -> list[Call]:
    """Returns the calls that write the activation of x."""
    if activation == "tanh":
        return [partial(np.tanh, x, out)]
    return [partial(np.multiply, x, x.dtype.type(sign(activation)), out), *squash(activation, out)]


def slope(activation: str, y: Array, out: Array) -> list[Call]:
    """Returns the calls that write the derivative where the activation has given y."""
    one = y.dtype.type(1)
    if activation == "tanh":
        return [partial(np.multiply, y, y, out), partial(np.subtract, one, out, out)]
    if activation == "sigmoid":
        return [partial(np.subtract, one, y, out), partial(np.multiply, out, y, out)]
    return [partial(_replace, GATES[activation].slope, y, out)]


def _replace(function: Callable[[Array], Any], x: Array, out: Array) -> None:
    np.copyto(out, function(x))


def unset(a: Array, where: Array) -> Call:
    """Returns the call that zeroes the elements named by a boolean array."""
    return partial(np.copyto, a, a.dtype.type(0), where=where)
