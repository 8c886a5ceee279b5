"""Arithmetic with constants that multiplies and shifts each channel: y = x * factor + offset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqc.graph.ir import Array, Value
from seqc.ops.arithmetic import Add, Div, Mul, Sub
from seqc.ops.normalization import BatchNormalization
from seqc.passes._rewriting import known_array


@dataclass(frozen=True, eq=False)
class Affine:
    """source * factor + offset, per element of the last axis or the same for all, in double precision.

    Attributes:
        at: which operand the source is. count: how many operations say it.
    """

    at: int
    factor: Array
    offset: Array
    count: int = 1


def affine_step(value: Value) -> Affine | None:
    """Returns what one operation does to its operand, if that is a factor and an offset and nothing else."""
    if isinstance(value.op, BatchNormalization):
        return _normalized(value, value.op)
    if not isinstance(value.op, Add | Sub | Mul | Div):
        return None
    for at in (0, 1):
        c = _vector(value, 1 - at)
        if c is not None and value.inputs[at].type == value.type and not (isinstance(value.op, Div) and at == 1):
            with np.errstate(all="ignore"):
                factor, offset = _arithmetic(value.op, at, c)
            return Affine(at, factor, offset)
    return None


def after(first: Affine, second: Affine) -> Affine:
    """Returns both, one after the other, as one."""
    with np.errstate(all="ignore"):
        offset = first.offset * second.factor + second.offset
        return Affine(first.at, first.factor * second.factor, offset, first.count + second.count)


NOTHING = Affine(0, np.ones(()), np.zeros(()), 0)


def _arithmetic(op: object, at: int, c: Array) -> tuple[Array, Array]:
    if isinstance(op, Mul):
        return c, np.zeros(())
    if isinstance(op, Div):
        return 1 / c, np.zeros(())
    if isinstance(op, Add):
        return np.ones(()), c
    return (np.ones(()), -c) if at == 0 else (-np.ones(()), c)


def _normalized(value: Value, op: BatchNormalization) -> Affine | None:
    known = [known_array(v) for v in value.inputs[1:]]
    statistics = [a.astype(np.float64) for a in known if a is not None]
    if op.axis != value.type.rank - 1 or len(statistics) != 4:
        return None
    scale, offset, mean, variance = statistics
    factor = scale / np.sqrt(variance + op.epsilon)
    return Affine(0, factor, offset - mean * factor)


def _vector(value: Value, operand: int) -> Array | None:
    """Returns a constant operand that is one number, or one per element of the last axis, in double precision."""
    array = known_array(value.inputs[operand])
    if array is None or not value.type.is_float:
        return None
    if array.size == 1:
        return array.astype(np.float64).reshape(())
    flat = array.size == array.shape[-1] == value.type.shape[-1]
    return array.astype(np.float64).reshape(-1) if flat else None
