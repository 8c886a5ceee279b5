"""Products over named or numbered axes, made of matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Type, Value
from seqc.ops._common import as_operands, normalize_axis
from seqc.ops.arithmetic import multiply
from seqc.ops.elementwise import cast
from seqc.ops.linalg import multiply_matrices
from seqc.ops.reduce import sum
from seqc.ops.shape import reshape, shape, squeeze, transpose
from seqc.ops.sizes import dim_of, product, size_of


def outer(x1: Any, x2: Any) -> Value:
    """Returns the product of every element of x1 (rows) with every element of x2 (columns)."""
    a, b = as_operands(x1, x2)
    return multiply(reshape(a, (-1, 1)), reshape(b, (1, -1)))


def dot(x1: Any, x2: Any) -> Value:
    """Returns the sum of products over the last axis of x1 and the last but one of x2, as NumPy's dot."""
    a, b = as_operands(x1, x2)
    if 0 in (a.type.rank, b.type.rank):
        return multiply(a, b)
    if b.type.rank <= 2:
        return multiply_matrices(a, b)
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
    """Returns the Einstein summation of tensors, for instance `einsum("btd,dh->bth", x, w)`.

    Args:
        subscripts: a letter per axis, and "..." for any others, which broadcast; "->" and the letters of the result, by
            default those that come once, in order of the alphabet, behind the others. A letter twice in one tensor
            means its diagonal.
        operands: the tensors, multiplied one after the other where there are more than two.

    Raises:
        ConfigError: the subscripts cannot be read. ShapeError: a tensor has another number of axes than letters.

    Example:
        >>> seqc.ops.einsum("ij,jk->ik", np.ones((2, 3)), np.ones((3, 4))).shape
        (2, 4)
    """
    values = list(as_operands(*operands))
    # Narrow integers are added up in 32 bits, in which int8 stays, as it does in a matrix product.
    narrow = values[0].dtype in ("int8", "uint8", "int16", "uint16")
    dtype = "int32" if values[0].dtype == "int8" else values[0].dtype
    values = [cast(v, "int32") if narrow else v for v in values]
    inputs, result = read_subscripts(subscripts, [v.type for v in values])
    terms = [_single(v, letters) for v, letters in zip(values, inputs, strict=True)]
    while len(terms) > 1:
        first, second, *terms = terms
        later = result + "".join(letters for _, letters in terms)
        terms.insert(0, _product_of_two(*first, *second, later))
    found = _order(*_drop(*terms[0], result), result)
    return cast(found, dtype) if narrow else found


def _single(x: Value, letters: str) -> tuple[Value, str]:
    """Returns a tensor each of whose letters comes once: of two axes of one letter it has the diagonal."""
    for c in dict.fromkeys(letters):
        while letters.count(c) > 1:
            from seqc.ops.diagonals import diagonal

            i = letters.index(c)
            j = letters.index(c, i + 1)
            x = diagonal(x, 0, i, j)
            letters = letters[:i] + letters[i + 1 : j] + letters[j + 1 :] + c
    return x, letters


def _product_of_two(a: Value, la: str, b: Value, lb: str, later: str) -> tuple[Value, str]:
    """Returns the product of two tensors, summed over what comes nowhere later, and its letters."""
    (a, la), (b, lb) = _without_ones(a, la, b, lb), _without_ones(b, lb, a, la)
    a, la = _drop(a, la, lb + later)
    b, lb = _drop(b, lb, la + later)
    batch = [c for c in la if c in lb and c in later]
    summed = [c for c in la if c in lb and c not in later]
    rows, columns = [c for c in la if c not in lb], [c for c in lb if c not in la]
    kinds = (batch, rows, summed), (batch, columns, summed)
    (ba, ra, sa), (bb, cb, sb) = (
        [[letters.index(c) for c in kind] for kind in group] for letters, group in zip((la, lb), kinds, strict=True)
    )
    return _contract(a, b, ba, bb, ra, cb, sa, sb), "".join([*batch, *rows, *columns])


def _without_ones(x: Value, letters: str, other: Value, others: str) -> tuple[Value, str]:
    """Returns x without axes of size one that broadcast against longer ones of the other tensor."""
    sizes = dict(zip(others, other.type.shape, strict=True))
    ones = [i for i, c in enumerate(letters) if x.type.shape[i] == 1 != sizes.get(c, 1)]
    return (squeeze(x, ones) if ones else x), "".join(c for i, c in enumerate(letters) if i not in ones)


def read_subscripts(subscripts: str, operands: Sequence[Type]) -> tuple[list[str], str]:
    """Returns the letters of each tensor and of the result, those that "..." stands for among them."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    inputs = left.split(",")
    named = "".join([*inputs, right]).replace("...", "")
    if len(inputs) != len(operands) or not all(c.isalpha() for c in named):
        raise ConfigError(
            f"einsum {subscripts!r} of {len(operands)} tensors: it needs a letter for each axis of each tensor, and a "
            "comma between tensors."
        )
    free = [chr(c) for c in range(ord("A"), ord("z") + 1) if chr(c).isalpha() and chr(c) not in named]
    dots = ""
    for i, (letters, x) in enumerate(zip(inputs, operands, strict=True)):
        count = x.rank - len(letters.replace("...", ""))
        if letters.count("...") > 1 or count < 0 or (count and "..." not in letters):
            raise ShapeError(f"einsum {subscripts!r} names {len(letters.replace('...', ''))} axes of {x}.")
        if "..." in letters:
            dots = max(dots, "".join(free[len(free) - count :]), key=len)
            inputs[i] = letters.replace("...", "".join(free[len(free) - count :]))
    together = "".join(inputs)
    once = "".join(sorted(c for c in set(together) if together.count(c) == 1 and c not in dots))
    result = right.replace("...", dots) if arrow else dots + once
    if len(set(result)) != len(result) or not set(result) <= set(together) or (dots and arrow and "..." not in right):
        raise ConfigError(f"einsum {subscripts!r}: each letter of the result comes once, and in a tensor, too.")
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
    y = multiply_matrices(left, right)
    return y if list(y.type.shape) == [dim_of(s) for s in sizes] else reshape(y, sizes)


def _merged(x: Value, kept: int, first: int | None) -> Value:
    """Returns x with the axes after the `kept` ones as two, the first of `first` axes, or as one where that is None."""
    sizes = shape(x)
    split = kept + (first or 0)
    middle = [] if first is None else [product(sizes[kept:split])]
    target = [*sizes[:kept], *middle, product(sizes[split:])]
    same = len(target) == len(sizes) and [dim_of(s) for s in target] == list(x.type.shape)
    return x if same else reshape(x, target)
