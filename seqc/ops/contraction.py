"""Products over named or numbered axes, made of matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.ops._common import as_operands, normalize_axis
from seqc.ops.arithmetic import multiply
from seqc.ops.linalg import matmul
from seqc.ops.reduce import sum
from seqc.ops.shape import reshape, shape, transpose
from seqc.ops.sizes import dim_of, product, size_of


def outer(x1: Any, x2: Any) -> Value:
    """Returns the product of every element of x1 (rows) with every element of x2 (columns)."""
    return multiply(reshape(x1, (-1, 1)), reshape(x2, (1, -1)))


def dot(x1: Any, x2: Any) -> Value:
    """Returns the sum of products over the last axis of x1 and the last but one of x2, as NumPy's dot."""
    a, b = as_value(x1), as_value(x2)
    if 0 in (a.type.rank, b.type.rank):
        return multiply(a, b)
    if b.type.rank <= 2:
        return matmul(a, b)
    return tensordot(a, b, ([a.type.rank - 1], [b.type.rank - 2]))


def tensordot(x1: Any, x2: Any, axes: int | Sequence[Any] = 2) -> Value:
    """Returns the sum of products over several axes.

    Args:
        axes: how many of the last axes of x1 meet as many of the first axes of x2, or a pair of lists of axes.
    """
    a, b = as_operands(x1, x2)
    if isinstance(axes, int):
        left, right = list(range(a.type.rank - axes, a.type.rank)), list(range(axes))
    else:
        left, right = ([x] if isinstance(x, int) else list(x) for x in axes)
    left = [normalize_axis("tensordot", i, a.type.rank) for i in left]
    right = [normalize_axis("tensordot", i, b.type.rank) for i in right]
    rows = [i for i in range(a.type.rank) if i not in left]
    columns = [i for i in range(b.type.rank) if i not in right]
    return _contract(a, b, [], [], rows, columns, left, right)


def einsum(subscripts: str, *operands: Any) -> Value:
    """Returns the Einstein summation of one or two tensors, for instance `einsum("btd,dh->bth", x, w)`.

    Args:
        subscripts: a letter per axis; "->" and the letters of the result, in order of the alphabet by default.

    Raises:
        ConfigError: more than two operands, a letter twice in one operand, or an ellipsis.
        ShapeError: an operand has another number of axes than letters.
    """
    inputs, result = _letters(subscripts, len(operands))
    values = list(as_operands(*operands))
    for letters, value in zip(inputs, values, strict=True):
        if len(letters) != value.type.rank:
            raise ShapeError(f"einsum {subscripts!r} names {len(letters)} axes of {value.type}.")
    if len(values) == 1:
        return _order(*_drop(values[0], inputs[0], result), result)
    (la, lb), (a, b) = inputs, values
    a, la = _drop(a, la, lb + result)
    b, lb = _drop(b, lb, la + result)
    batch = [c for c in la if c in lb and c in result]
    summed = [c for c in la if c in lb and c not in result]
    rows, columns = [c for c in la if c not in lb], [c for c in lb if c not in la]
    kinds = (batch, rows, summed), (batch, columns, summed)
    (ba, ra, sa), (bb, cb, sb) = (
        [[letters.index(c) for c in kind] for kind in group] for letters, group in zip((la, lb), kinds, strict=True)
    )
    return _order(_contract(a, b, ba, bb, ra, cb, sa, sb), "".join([*batch, *rows, *columns]), result)


def _letters(subscripts: str, count: int) -> tuple[list[str], str]:
    """Returns the letters of each operand and of the result."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    inputs = left.split(",")
    letters = "".join(inputs)
    result = right if arrow else "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    fine = len(inputs) == count <= 2 and all(len(set(i)) == len(i) for i in (*inputs, result))
    if not fine or not all(c.isalpha() for c in letters + result) or not set(result) <= set(letters):
        raise ConfigError(
            f"einsum {subscripts!r} of {count} tensors: seqc sums over one or two tensors, each axis named by a letter "
            "of its own."
        )
    return inputs, result


def _drop(x: Value, letters: str, wanted: str) -> tuple[Value, str]:
    """Sums over the axes that neither the other operand nor the result has."""
    gone = tuple(i for i, c in enumerate(letters) if c not in wanted)
    return (sum(x, gone) if gone else x), "".join(c for c in letters if c in wanted)


def _order(x: Value, letters: str, wanted: str) -> Value:
    return transpose(x, [letters.index(c) for c in wanted])


def _contract(
    a: Value,
    b: Value,
    batch_a: Sequence[int],
    batch_b: Sequence[int],
    rows: Sequence[int],
    columns: Sequence[int],
    summed_a: Sequence[int],
    summed_b: Sequence[int],
) -> Value:
    """Returns a result with the axes (batch, rows, columns) as one matrix product."""
    sizes = [size_of(a, i) for i in (*batch_a, *rows)] + [size_of(b, i) for i in columns]
    # Without a batch the rows need not be one axis, so that several of unknown size stay apart.
    kept = len(batch_a) if batch_a else len(rows)
    left = _merged(transpose(a, [*batch_a, *rows, *summed_a]), kept, len(rows) if batch_a else None)
    right = _merged(transpose(b, [*batch_b, *summed_b, *columns]), len(batch_b), len(summed_b))
    y = matmul(left, right)
    return y if y.type.rank == len(sizes) else reshape(y, sizes)


def _merged(x: Value, kept: int, first: int | None) -> Value:
    """Returns x with the axes after the `kept` ones as two, the first of `first` axes, or as one where that is None."""
    sizes = shape(x)
    split = kept + (first or 0)
    middle = [] if first is None else [product(sizes[kept:split])]
    target = [*sizes[:kept], *middle, product(sizes[split:])]
    same = len(target) == len(sizes) and [dim_of(s) for s in target] == list(x.type.shape)
    return x if same else reshape(x, target)
