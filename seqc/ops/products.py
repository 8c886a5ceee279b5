"""Products of vectors and matrices other than the matrix product, made of simpler operations."""

from __future__ import annotations

from typing import Any

from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Value
from seqc.ops._common import as_floats, as_number, as_operands
from seqc.ops.arithmetic import multiply, subtract
from seqc.ops.contraction import dot, tensordot
from seqc.ops.images import conv
from seqc.ops.padding import pad
from seqc.ops.rearranging import moveaxis, ravel
from seqc.ops.shape import expand_dims, reshape, shape
from seqc.ops.slicing import flip, stack


def inner(x1: Any, x2: Any) -> Value:
    """Returns the sums of products over the last axes of both, or the products where one of them is a number."""
    a, b = as_operands(x1, x2)
    if 0 in (a.type.rank, b.type.rank):
        return multiply(a, b)
    return tensordot(a, b, ([a.type.rank - 1], [b.type.rank - 1]))


def vdot(x1: Any, x2: Any) -> Value:
    """Returns the sum of the products of all elements of x1 with those of x2, both in order."""
    a, b = as_operands(x1, x2)
    return dot(ravel(a), ravel(b))


def kron(x1: Any, x2: Any) -> Value:
    """Returns the Kronecker product: every element of x1 replaced by itself times x2."""
    a, b = (as_number(x) for x in as_operands(x1, x2))
    rank = max(a.type.rank, b.type.rank)
    a, b = (expand_dims(v, tuple(range(rank - v.type.rank))) for v in (a, b))
    blocks = multiply(expand_dims(a, tuple(range(1, 2 * rank, 2))), expand_dims(b, tuple(range(0, 2 * rank, 2))))
    return reshape(blocks, [m * n for m, n in zip(shape(a), shape(b), strict=True)])


def cross(x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Value:
    """Returns the cross products of vectors of three numbers, or of two in a plane.

    Args:
        x1, x2: tensors with vectors along one axis; the other axes broadcast.
        axisa, axisb: where the vectors lie in x1 and in x2.
        axisc: where the vectors of the result lie; two vectors in a plane give numbers, without such an axis.
        axis: all three of them.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = (as_number(x) for x in as_operands(x1, x2))
    a, b = moveaxis(a, axisa, -1), moveaxis(b, axisb, -1)
    sizes = a.type.shape[-1], b.type.shape[-1]
    if not set(sizes) <= {2, 3}:
        raise ShapeError(f"cross needs vectors of two or three numbers; got {sizes[0]} and {sizes[1]} of them.")
    if sizes == (2, 2):
        return _turn(a, b, 0, 1)
    # What lies in a plane has a third number, zero.
    a, b = (v if v.type.shape[-1] == 3 else pad(v, ((0, 0),) * (v.type.rank - 1) + ((0, 1),)) for v in (a, b))
    return moveaxis(stack([_turn(a, b, 1, 2), _turn(a, b, 2, 0), _turn(a, b, 0, 1)], -1), -1, axisc)


def _turn(a: Value, b: Value, i: int, j: int) -> Value:
    return subtract(multiply(a[..., i], b[..., j]), multiply(a[..., j], b[..., i]))


def correlate(x1: Any, x2: Any, mode: str = "valid") -> Value:
    """Returns the sums of products of a vector with another that is moved along it.

    Args:
        x1, x2: vectors of known length.
        mode: "valid" for the places where the shorter lies within the longer, "full" for all where they meet, "same"
            for as many of those in the middle as the longer has elements.
    """
    a, b = as_floats(x1, x2)
    n, m = (v.type.shape[0] if v.type.rank == 1 else None for v in (a, b))
    if not isinstance(n, int) or not isinstance(m, int):
        raise ShapeError(f"correlate needs two vectors of known length; got {a.type} and {b.type}.")
    if n < m:
        return flip(correlate(b, a, mode))
    added = {"valid": (0, 0), "same": (m // 2, m - m // 2 - 1), "full": (m - 1, m - 1)}.get(mode)
    if added is None:
        raise ConfigError(f"correlate knows the modes 'valid', 'same' and 'full'; got {mode!r}.")
    moved = conv(reshape(pad(a, (added,)), (1, -1, 1)), reshape(b, (-1, 1, 1)), data_format="channels_last")
    return reshape(moved, -1)
