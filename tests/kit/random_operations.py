"""The operations of random step graphs: each function draws one kind, on what was made before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import prod
from typing import Any

import numpy as np

from kit.random_values import MOST_SAMPLES, SAMPLES, Made, Maker, grows_to, largest_count, reshapes_to, sums_to
from seqc.graph import dims
from seqc.graph.batch import batch_axis
from seqc.graph.ir import Op, Type, apply, apply_many
from seqc.ops.arithmetic import Abs, Add, Clip, Div, Max, Min, Mul, Neg, Round, Sign, Sub
from seqc.ops.elementwise import Cast, StopGradient, Where
from seqc.ops.gather import Gather, GatherGrad
from seqc.ops.linalg import MatMul
from seqc.ops.nonlinear import Relu, Sigmoid
from seqc.ops.normalization import BatchMoments, GradientSums
from seqc.ops.padding import Pad
from seqc.ops.random import RandomUniform
from seqc.ops.reduce import ArgMax, Count, CumSum, ReduceMax, ReduceMean, ReduceMin, ReduceSum, Softmax
from seqc.ops.shape import BroadcastLike, Repeat, Reshape, ReshapeLike, Squeeze, Transpose, Unsqueeze
from seqc.ops.slicing import Concat, Slice
from seqc.ops.transcendental import Exp, Tanh

# Shapes of state; those of six elements differ in shape only.
SHAPES: tuple[tuple[int, ...], ...] = ((3,), (2, 3), (), (6,), (3, 2), (1, 3), (4,))
ROWS = 4  # of tables


def unary(m: Maker) -> None:
    x = m.data()
    smooth = m.one_of([None, None, Tanh(), Sigmoid(), Exp()])
    if smooth is not None:
        small = x if x.bound <= 9 else m.add(Clip(-9.0, 9.0), x, bound=9)
        m.add(smooth, small, bound=1 if not isinstance(smooth, Exp) else 9000, loose=True)
        return
    kinds: list[Op] = [Neg(), Abs(), Relu(), Clip(-3.0, 5.0), StopGradient()]
    op = m.one_of(kinds if x.loose else [*kinds, Sign()])
    m.add(op, x, bound={"Clip": 5, "Sign": 1}.get(op.name, x.bound))


def binary(m: Maker) -> None:
    a = m.data()
    b = m.pick(lambda v: grows_to(v.type, a.type))
    assert b is not None  # at least itself
    m.combine(m.one_of([Add(), Sub(), Mul(), Max(), Min(), Div(), Where()]), a, b)


def view(m: Maker) -> None:
    x = m.data(1)
    made = m.one_of([_reshaped, _turned, _cut, _like, _size_one])(m, x)
    if made is not None:
        m.add(*made, bound=x.bound)


def _reshaped(m: Maker, x: Made) -> Any:
    shape: Any = x.type.shape
    if x.type.is_static:
        same = [s for s in SHAPES if prod(s) == prod(shape) and s != shape]
        return (Reshape(m.one_of(same)), x) if same else None
    known = [d for d in shape if isinstance(d, int)]
    if len(known) != len(shape) - 1:
        return None
    return Reshape(m.one_of([(-1, int(np.prod(known))), (-1,), (*known, -1), (-1, 1, *known)])), x


def _turned(m: Maker, x: Made) -> Any:
    return Transpose(tuple(m.random.sample(range(x.type.rank), x.type.rank))), x


def _cut(m: Maker, x: Made) -> Any:
    axis = m.random.randint(0, x.type.rank - 1)
    size = x.type.shape[axis]
    if not isinstance(size, int):  # one sample is always there
        return Slice((axis,), (0,), (1,), (1,)), x
    start = m.random.randint(0, size - 1)
    return Slice((axis,), (start,), (m.one_of([None, start + 1]),), (m.one_of([1, 2]),)), x


def _like(m: Maker, x: Made) -> Any:
    other = m.pick(lambda v: v.type.shape != x.type.shape and grows_to(x.type, v.type))
    if other is not None and m.flag():
        return BroadcastLike(), x, other
    other = m.pick(lambda v: dims.product(v.type.shape) == dims.product(x.type.shape))
    return None if other is None else (ReshapeLike(), x, other)


def _size_one(m: Maker, x: Made) -> Any:
    ones = [i for i, d in enumerate(x.type.shape) if d == 1]
    if ones and m.flag():
        return Squeeze((m.one_of(ones),)), x
    return (Unsqueeze((m.random.randint(0, x.type.rank),)), x) if x.type.rank < 4 else None


def reduction(m: Maker) -> None:
    x = m.data(1)
    axes = m.one_of([a for n in range(1, x.type.rank + 1) for a in combinations(range(x.type.rank), n)])
    kind = m.one_of([ReduceSum, ReduceSum, ReduceSum, ReduceMean, ReduceMax, ReduceMin])
    if x.loose and kind in (ReduceMax, ReduceMin):
        kind = ReduceSum
    count = largest_count([x.type.shape[a] for a in axes]) if kind is ReduceSum else 1
    m.add(kind(axes, m.flag()), x, bound=x.bound * count, loose=kind is ReduceMean)


def product(m: Maker) -> None:
    """A product with a matrix, and one that adds up over the batch, as for the gradient of the matrix."""
    a = m.pick(lambda v: v.type.rank >= 2 and batch_axis(v.type) == 0)
    if a is None:
        return
    if m.flag():
        b = m.pick(lambda v: v.type.rank == 2 and v.type.is_static and v.type.shape[0] == a.type.shape[-1])
        if b is not None:
            m.add(MatMul(), a, b, bound=a.bound * b.bound * largest_count(a.type.shape[-1:]))
        return
    if a.type.rank != 2:
        return
    b = m.pick(lambda v: v.type.rank == 2 and v.type.shape[0] == a.type.shape[0])
    if b is not None:
        turned = m.add(Transpose((1, 0)), a, bound=a.bound)
        m.add(MatMul(), turned, b, bound=a.bound * b.bound * largest_count(a.type.shape[:1]))


def several(m: Maker) -> None:
    """Operations with several results, of which some may stay unused."""
    x = m.pick(lambda v: v.type.rank >= 2 and isinstance(v.type.shape[-1], int) and not v.type.is_static)
    if x is None:
        return
    axis = x.type.rank - 1
    mean = m.pick(lambda v: v.type == x.type.with_shape(x.type.shape[-1:]))
    if mean is not None and m.flag():
        g = m.pick(lambda v: v.type == x.type)
        assert g is not None
        results = apply_many(GradientSums(axis), g.value, x.value, mean.value)
        count, loose = largest_count(x.type.shape), g.loose or x.loose or mean.loose
        bounds = (g.bound * count, g.bound * (x.bound + mean.bound) * count)
    else:
        results, loose, bounds = apply_many(BatchMoments(axis), x.value), True, (x.bound, x.bound**2)
    for y, bound, kept in zip(results, bounds, m.one_of([(True, True), (True, False), (False, True)]), strict=True):
        if kept:
            m.note(y, bound, loose)


def odd(m: Maker) -> None:
    """Operations that fit nowhere else."""
    kind = m.one_of(["softmax", "cumsum", "argmax", "concat", "pad", "repeat", "gather", "rows", "count", "random"])
    x = m.data(1)
    axis = m.random.randint(0, x.type.rank - 1)
    if kind == "softmax":
        m.add(Softmax(axis), x, bound=1, loose=True)
    elif kind == "cumsum":
        m.add(CumSum(axis, m.flag()), x, bound=x.bound * largest_count(x.type.shape))
    elif kind == "argmax" and not x.loose:
        m.add(Cast("float64"), apply(ArgMax(axis), x.value), bound=largest_count(x.type.shape))
    elif kind == "concat" and isinstance(x.type.shape[axis], int):
        y = m.pick(lambda v: v.type == x.type)
        assert y is not None
        m.add(Concat(axis), x, y, bound=max(x.bound, y.bound))
    elif kind == "pad" and isinstance(x.type.shape[axis], int):
        border = tuple((1, 2) if i == axis else (0, 0) for i in range(x.type.rank))
        m.add(Pad(border), x, bound=x.bound)
    elif kind == "repeat" and x.type.rank < 4:
        m.add(Repeat(axis, 2), x, bound=x.bound)
    elif kind in ("gather", "rows"):
        _looked_up(m, kind)
    elif kind == "count":
        m.add(Count((axis,)), x, bound=largest_count(x.type.shape))
    elif kind == "random" and batch_axis(x.type) == 0:
        # Counted in 16ths, so that it is whole.
        uniform = apply(RandomUniform(m.random.randint(1, 2)), x.value, m.seed, m.step)
        m.add(Round(), uniform * m.number(16), bound=16)


def _looked_up(m: Maker, kind: str) -> None:
    """Rows by their ids, or rows added up by their ids."""
    table = m.pick(
        lambda v: v.type.rank > 0 and v.type.shape[0] == ROWS if kind == "gather" else v.type.shape == (ROWS,)
    )
    rows = m.pick(lambda v: v.type.shape == (SAMPLES, 2)) if kind == "rows" else None
    if table is not None and kind == "gather":
        m.add(Gather(), table, m.ids, bound=table.bound)
    elif table is not None and rows is not None:
        m.add(GatherGrad(), rows, m.ids, table, bound=rows.bound * 2 * MOST_SAMPLES)


def chains(m: Maker) -> None:
    """One formula after the other on several arrays of state, as an optimizer has them: the chains of groups.

    Each chain reads what the formula before gave, its state, something of its shape that other chains may read too,
    and a number, which may be a sum over what all chains gave. Most often the last results become new state.
    """
    chosen = m.random.sample(range(len(m.state)), min(len(m.state), m.random.randint(2, 4)))
    carried = [m.state[i] for i in chosen]
    for _ in range(m.random.randint(1, 3)):
        number = _total(m, carried) if m.flag() else m.pick(lambda v: v.type.rank == 0)
        assert number is not None  # at least the constant
        recipe, shared = m.one_of([_gradient, leaf_like]), m.flag()
        found: dict[Type, Made] = {}
        formula = _formula(m)
        for at, i in enumerate(chosen):
            t = carried[at].type
            found[t] = found[t] if shared and t in found else recipe(m, t)
            leaves = [carried[at], found[t], m.state[i], number]
            for op, a, b in formula:
                leaves.append(m.combine(op, leaves[a], leaves[b]))
            carried[at] = leaves[-1]
    if m.random.random() < 0.9:
        m.planned |= dict(zip(chosen, carried, strict=True))


def _total(m: Maker, xs: Sequence[Made]) -> Made:
    """Returns the sum of all elements of some arrays, or of their squares, as for a norm."""
    squares, total = m.flag(), None
    for x in xs:
        x = m.combine(Mul(), x, x) if squares else x
        size = largest_count(x.type.shape)
        x = m.add(ReduceSum(tuple(range(x.type.rank))), x, bound=x.bound * size) if x.type.rank else x
        total = x if total is None else m.combine(Add(), total, x)
    assert total is not None
    return total


def _gradient(m: Maker, t: Type) -> Made:
    """Returns a sum over the batch of some shape: of products of what a sample holds with an array."""
    x = m.pick(lambda v: batch_axis(v.type) == 0 and v.type.shape[0] == SAMPLES)
    assert x is not None  # at least the input
    rank = x.type.rank
    if rank > 1:
        x = m.add(ReduceSum(tuple(range(1, rank))), x, bound=x.bound * largest_count(x.type.shape[1:]))
    x = m.add(Reshape((-1, *(1 for _ in t.shape))), x, bound=x.bound) if t.rank else x
    return m.add(ReduceSum((0,)), m.combine(Mul(), x, m.like(t)), bound=x.bound * MOST_SAMPLES)


def _formula(m: Maker) -> list[tuple[Op, int, int]]:
    """Returns operations with the places of their operands: three arrays, a number, then the results before."""
    formula = []
    for at in range(m.random.randint(1, 4)):
        arrays = [0, 1, 2, *range(4, 4 + at)]
        op = m.one_of([Add(), Sub(), Mul(), Max(), Div()])
        formula.append((op, m.one_of(arrays[-4:]), m.one_of([*arrays, 3])))
    return formula


def leaf_like(m: Maker, t: Type) -> Made:
    """Returns an operand of a chain: of its shape, in another shape, a sum over the batch, or a number."""
    x = m.pick(lambda v: v.type == t or v.type.rank == 0 or sums_to(v.type, t) or reshapes_to(v.type, t))
    assert x is not None
    if x.type == t or x.type.rank == 0:
        return x if x.type == t else m.add(BroadcastLike(), x, m.like(t), bound=x.bound)
    if sums_to(x.type, t):
        return m.add(ReduceSum((0,)), x, bound=x.bound * MOST_SAMPLES)
    return m.add(Reshape(dims.known(t.shape)), x, bound=x.bound)
