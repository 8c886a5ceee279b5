"""An axis seen as so many runs of nearly equal length, which is how adaptive pooling divides it.

Run i of an axis of `old` elements, of `new` runs in all, starts at floor(i * old / new) and ends before
ceil((i + 1) * old / new): runs share an element where they do not come out even.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from seqc.errors import ShapeError
from seqc.graph import dims
from seqc.graph.ir import Array, Emitter, Op, Sizes, Type, Value, apply
from seqc.graph.layout import Layout, LayoutRule, Merged, position
from seqc.ops._common import check_float
from seqc.ops._shape_onnx import emit_sizes


@dataclass(frozen=True, repr=False, eq=False)
class _Runs(Op):
    """Changes an axis of `old` elements by a matrix that its runs decide."""

    axis: int
    old: int
    new: int

    def sizes(self) -> tuple[int, int]:
        """Returns how many elements the axis has before and after."""
        raise NotImplementedError(f"{self.name}.sizes")

    def matrix(self) -> Array:
        """Returns what each element of the result takes of each element of the axis: (after, before)."""
        raise NotImplementedError(f"{self.name}.matrix")

    def infer(self, x: Type) -> Type:
        check_float(self, x)
        before, after = self.sizes()
        if x.rank <= self.axis or x.shape[self.axis] != before:
            raise ShapeError(f"{self!r} needs axis {self.axis} to have {before} elements; got {x}.")
        return x.with_shape((*x.shape[: self.axis], after, *x.shape[self.axis + 1 :]))

    def product(self, x: Array) -> Array:
        """Returns the product of the matrix with the axis."""
        matrix = self.matrix().astype(x.dtype)
        lead, trail = x.shape[: self.axis], x.shape[self.axis + 1 :]
        y = matrix @ x.reshape(prod(lead), x.shape[self.axis], prod(trail))
        return y.reshape(*lead, len(matrix), *trail)

    def layout_rule(self, y: Value, layout: Layout) -> LayoutRule | None:
        at = position(layout, self.axis)
        if at is None or any(isinstance(a, Merged) for a in layout):
            return None
        return LayoutRule((layout,), replace(self, axis=at), layout)

    def emit_product(self, e: Emitter, y: Value, x: str) -> str:
        """Writes the product: one node where the axis is one of the last two; else what follows is joined for it."""
        matrix, after = self.matrix().astype(y.type.dtype), y.type.rank - 1 - self.axis
        if after == 0:
            return e.node("MatMul", x, e.constant(np.ascontiguousarray(matrix.T)))
        if after == 1:
            return e.node("MatMul", e.constant(matrix), x)
        same, trail = [0] * self.axis, y.type.shape[self.axis + 1 :]
        joined = e.node("Reshape", x, e.constant(np.array([*same, matrix.shape[1], -1], np.int64)))
        sizes = (*y.type.shape[: self.axis], matrix.shape[1], dims.product(trail))
        product = e.node("MatMul", e.constant(matrix), e.typed(joined, y.type.with_shape(sizes)))
        if dims.is_known(trail):
            return e.node("Reshape", product, e.constant(np.array([*same, len(matrix), *dims.known(trail)], np.int64)))
        first = e.constant(np.array([*same, len(matrix)], np.int64))
        return e.node("Reshape", product, e.node("Concat", first, emit_sizes(e, x, start=self.axis + 1), axis=0))


class RunMeans(_Runs):
    """The mean of each run of an axis."""

    def sizes(self) -> tuple[int, int]:
        return self.old, self.new

    def matrix(self) -> Array:
        return means(self.old, self.new)

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(inputs[0])

    def eval(self, x: Array) -> Any:
        return self.product(x)

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (apply(RunMeansGrad(self.axis, self.old, self.new), g),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return self.emit_product(e, y, x)


class RunMeansGrad(_Runs):
    """Gradient of `RunMeans`: spreads what arrives at each run evenly over its elements."""

    def sizes(self) -> tuple[int, int]:
        return self.new, self.old

    def matrix(self) -> Array:
        return np.ascontiguousarray(means(self.old, self.new).T)

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(inputs[0])

    def eval(self, x: Array) -> Any:
        return self.product(x)

    def vjp(self, g: Value, y: Value, upstream: Value) -> Sequence[Value | None]:
        return (apply(RunMeans(self.axis, self.old, self.new), g),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return self.emit_product(e, y, x)


class Runs(_Runs):
    """The elements of each run, one run after the other; those shorter than the longest give their last one again."""

    kind = "move"

    def sizes(self) -> tuple[int, int]:
        return self.old, len(elements(self.old, self.new))

    def eval(self, x: Array) -> Any:
        return np.take(x, elements(self.old, self.new), self.axis)

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (apply(RunsGrad(self.axis, self.old, self.new), g),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return e.node("Gather", x, e.constant(elements(self.old, self.new)), axis=self.axis)


class RunsGrad(_Runs):
    """Gradient of `Runs`: adds up what arrives at each element of the axis."""

    def sizes(self) -> tuple[int, int]:
        return len(elements(self.old, self.new)), self.old

    def matrix(self) -> Array:
        return np.equal(np.arange(self.old)[:, None], elements(self.old, self.new)).astype(np.float64)

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(inputs[0])

    def eval(self, x: Array) -> Any:
        return self.product(x)

    def vjp(self, g: Value, y: Value, upstream: Value) -> Sequence[Value | None]:
        return (apply(Runs(self.axis, self.old, self.new), g),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return self.emit_product(e, y, x)


def bounds(old: int, new: int) -> list[tuple[int, int]]:
    """Returns where each run starts and ends."""
    return [(i * old // new, -(-(i + 1) * old // new)) for i in range(new)]


def longest(old: int, new: int) -> int:
    """Returns the number of elements of the longest run."""
    return max(end - start for start, end in bounds(old, new))


@lru_cache(maxsize=256)
def means(old: int, new: int) -> Array:
    """Returns the matrix (new, old) that takes the mean of each run. The array is shared: read only."""
    matrix = np.zeros((new, old))
    for row, (start, end) in zip(matrix, bounds(old, new), strict=True):
        row[start:end] = 1 / (end - start)
    matrix.flags.writeable = False
    return matrix


@lru_cache(maxsize=256)
def elements(old: int, new: int) -> Array:
    """Returns the elements of every run, all as many as the longest has. The array is shared: read only."""
    each = np.arange(longest(old, new))
    found = np.concatenate([np.minimum(start + each, end - 1) for start, end in bounds(old, new)])
    found.flags.writeable = False
    return found
