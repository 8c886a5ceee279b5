"""Sums as badly as a runtime may take them: one term after another.

NumPy adds in pairs, and loses almost nothing. onnxruntime adds up in a few registers: where terms are alike, as on a
map that has one number nearly everywhere, each addition is rounded in the same direction, and what is lost grows with
their number. That is no fault of a file, and of random numbers it is little.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from seqc.graph.ir import Array, Constant, Graph, Input, Item, Op, Value, build

# Products of up to so many multiplications are taken in order; larger ones would take long.
MOST = 2**27
# In one register what is rounded up and what is rounded down may take turns, as 0.7 and 0.3 do; in several it does not.
LANES = (1, 8)


@dataclass(frozen=True, repr=False, eq=False)
class InOrder(Op):
    """An operation that adds one term after another, in its own precision."""

    op: Op

    def infer(self, *types: Any) -> Any:
        return self.op.infer(*types)

    def eval(self, *arrays: Any) -> Any:
        results = self.op.eval(*(a.view(_Adding) if _is_float(a) else a for a in arrays))
        return tuple(map(np.asarray, results)) if isinstance(results, tuple) else np.asarray(results)

    @property
    def strings(self) -> bool:  # type: ignore[override]
        """Whether the operation takes strings, as one that shows its operand does."""
        return self.op.strings or self.op.kind == "view"


def in_order(graph: Graph) -> Graph:
    """Returns the graph with sums, means and products that add one term after another."""
    done: dict[Value, Value] = {}
    for old in graph.walk():
        op = old.op if isinstance(old.op, Input | Constant | Item) else InOrder(old.op)
        done[old] = build(op, tuple(done[x] for x in old.inputs), old.scope)
    inputs = tuple(done.get(x, x) for x in graph.inputs)
    return Graph(inputs, tuple(done[y] for y in graph.outputs), graph.output_names)


class _Adding(np.ndarray[Any, Any]):
    """Numbers of which sums are as far off as they are anywhere on the way: where that ends is a matter of luck."""

    def sum(self, axis: Any = None, *_: Any, keepdims: bool = False, **more: Any) -> Any:  # type: ignore[override]
        x = np.asarray(self)
        given = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
        axes = tuple(a % x.ndim for a in given)
        if not x.size or not axes:
            return np.sum(x, axes, keepdims=keepdims)
        rows = np.moveaxis(x, axes, range(len(axes))).reshape(prod(x.shape[i] for i in axes), -1)
        wide = np.longdouble if x.dtype == np.float64 else np.float64
        total = rows.sum(0, wide) + np.maximum(*(_lost(rows, lanes, wide) for lanes in LANES))
        total = total.astype(x.dtype).reshape([1 if i in axes else n for i, n in enumerate(x.shape)])
        return total if keepdims else total.squeeze(axes)

    def mean(self, axis: Any = None, *_: Any, keepdims: bool = False, **more: Any) -> Any:  # type: ignore[override]
        total = self.sum(axis, keepdims=keepdims)
        return total / self.dtype.type(self.size // max(1, total.size))

    def __array_ufunc__(self, ufunc: np.ufunc, method: Any, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(x) if isinstance(x, _Adding) else x for x in inputs]
        options = {k: tuple(map(np.asarray, v)) if k == "out" else v for k, v in options.items()}
        if ufunc is np.matmul and method == "__call__" and _fits(*plain):
            return np.add(_product(*plain), 0, **options).view(_Adding)
        result = getattr(ufunc, method)(*plain, **options)
        return result.view(_Adding) if _is_float(result) else result


def _lost(rows: Array, lanes: int, wide: Any) -> Array:
    """Returns how far sums over the first axis are off, at most on the way, where each of some registers adds up."""
    steps = -(-len(rows) // lanes)
    filled = np.zeros((steps * lanes, rows.shape[1]), rows.dtype)
    filled[: len(rows)] = rows
    parts = filled.reshape(steps, lanes, -1)
    off = np.abs(np.add.accumulate(parts, 0) - np.add.accumulate(parts, 0, wide))
    lost: Array = off.max(0).sum(0)
    return lost


def _fits(a: Array, b: Array) -> bool:
    if min(a.ndim, b.ndim) < 2:
        return False
    stacked = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return bool(prod((*stacked, *a.shape[-2:], b.shape[-1])) <= MOST)


def _product(a: Array, b: Array) -> Array:
    columns = np.moveaxis(a, -1, 0)[..., None], np.moveaxis(b, -2, 0)[..., None, :]
    total = np.zeros(np.broadcast_shapes(*(c.shape[1:] for c in columns)), a.dtype)
    for left, right in zip(*columns, strict=True):
        total += left * right
    return total


def _is_float(x: Any) -> bool:
    return isinstance(x, np.ndarray) and np.issubdtype(x.dtype, np.floating)
