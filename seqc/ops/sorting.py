"""Sorting, and positions of elements in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.errors import ConfigError, DTypeError, ShapeError
from seqc.graph.batch import batch_axis
from seqc.graph.ir import Array, BatchRule, Emitter, Op, Type, Value, apply, apply_many, as_value
from seqc.graph.target import Target
from seqc.ops._common import as_number, as_operands, check_axes, check_number, check_same_dtype, normalize_axis, scalar
from seqc.ops.arithmetic import add, clip, floor_divide, mod
from seqc.ops.elementwise import cast, greater, greater_equal, isnan, less, logical_and, logical_not, where
from seqc.ops.gather import GatherElementsGrad, take_along_axis
from seqc.ops.reduce import sum
from seqc.ops.shape import expand_dims, reshape
from seqc.ops.sizes import as_size, size_of

# What onnxruntime sorts; all else is sorted as one of these that holds it.
_SORTED = {"float16": "float32", "bfloat16": "float32", "int8": "int32", "uint8": "int32", "int16": "int32",
           "uint16": "int32", "uint32": "int64"}  # fmt: skip


@dataclass(frozen=True, repr=False, eq=False)
class TopK(Op):
    """The first `k` elements along an axis and their positions (int64), the largest first or the smallest.

    Of equal elements the one that comes first stays first; None takes all elements.
    """

    axis: int
    k: int | None
    largest: bool = True

    def infer(self, x: Type) -> tuple[Type, ...]:
        check_number(self, x)
        check_axes(self, (self.axis,), x)
        size = x.shape[self.axis]
        if self.k is not None and isinstance(size, int) and self.k > size:
            raise ShapeError(f"{self!r} needs {self.k} elements along axis {self.axis}; got {x}.")
        taken = x.with_shape(self.k if i == self.axis and self.k is not None else d for i, d in enumerate(x.shape))
        return taken, taken.with_dtype("int64")

    def eval(self, x: Array) -> Any:
        size = x.shape[self.axis]
        if self.k is not None and self.k > size:
            raise ShapeError(f"{self!r} needs {self.k} elements along axis {self.axis}; got an axis of {size}.")
        if self.largest:
            # From behind, so that the first of equal elements comes first when the order is turned around.
            order = size - 1 - np.flip(np.argsort(np.flip(x, self.axis), self.axis, kind="stable"), self.axis)
        else:
            order = np.argsort(x, self.axis, kind="stable")
        order = order[(*[slice(None)] * self.axis, slice(self.k))].astype(np.int64)
        return np.take_along_axis(x, order, self.axis), order

    def batch_rule(self, y: Value) -> BatchRule:
        return "whole" if batch_axis(y.inputs[0].type) == self.axis else "parallel"

    def vjp(self, g: Any, y: Value, x: Value) -> Sequence[Value | None]:
        if g[0] is None:
            return (None,)
        _, order = apply_many(self, x)
        return (apply(GatherElementsGrad(self.axis), g[0], order, x),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        dtype = y.inputs[0].dtype
        if self.k is None:
            axis = e.constant(np.array([self.axis], np.int64))
            count = e.node("Gather", e.node("Shape", x), axis, axis=0)
        else:
            count = e.constant(np.array([self.k], np.int64))
        given = e.node("Cast", x, to=_SORTED[dtype]) if dtype in _SORTED else x
        values, order = e.node_many("TopK", given, count, outputs=2, axis=self.axis, largest=int(self.largest))
        return e.node("Cast", values, to=dtype) if dtype in _SORTED else values, order


@dataclass(frozen=True, repr=False, eq=False)
class SearchSorted(Op):
    """How many elements of a sorted vector are smaller than each value (int32), or not larger if `right`."""

    right: bool = False

    def infer(self, vector: Type, values: Type) -> Type:
        check_same_dtype(self, vector, values)
        check_number(self, vector)
        if vector.rank != 1:
            raise ShapeError(
                "searchsorted only supports sorted sequences of one axis; "
                f"got {vector}. Use ops.vectorized_map for several sequences."
            )
        return values.with_dtype("int32")

    def eval(self, vector: Array, values: Array) -> Any:
        found = np.searchsorted(vector, values, "right" if self.right else "left")
        return np.asarray(found).astype(np.int32)

    def batch_rule(self, y: Value) -> BatchRule:
        return "parallel" if batch_axis(y.inputs[0].type) is None else "whole"

    def vjp(self, g: Value, y: Value, vector: Value, values: Value) -> Sequence[Value | None]:
        return None, None

    def decompose(self, target: Target, y: Value, vector: Value, values: Value) -> Value | tuple[Value, ...] | None:
        each = expand_dims(values, -1)
        # As NumPy has it, NaN comes after all others: it is neither smaller than any of them nor equal.
        behind = greater(vector, each) if self.right else greater_equal(vector, each)
        return sum(cast(logical_not(behind), "int32"), -1)


def sort(x: Any, axis: int | None = -1) -> Value:
    """Returns the elements in ascending order along `axis`, or all of them in one axis for None."""
    return _ordered(x, axis, "sort")[0]


def argsort(x: Any, axis: int | None = -1) -> Value:
    """Returns the positions (int32) that put the elements in ascending order along `axis`; None takes all in order.

    Equal elements stay in their order.
    """
    return cast(_ordered(x, axis, "argsort")[1], "int32")


def argpartition(x: Any, kth: int, axis: int | None = -1) -> Value:
    """Returns positions (int32) that put the `kth` element where it lies in ascending order, smaller ones before it.

    Which of the many such orders it is does not matter; here it is the ascending one.
    """
    value = as_value(x)
    size = value.type.shape[normalize_axis("argpartition", axis, value.type.rank)] if axis is not None else None
    if isinstance(size, int) and not -size <= kth < size:
        raise ConfigError(f"argpartition: there is no element {kth} along an axis of size {size}.")
    return argsort(value, axis)


def _ordered(x: Any, axis: int | None, who: str) -> tuple[Value, Value]:
    value = as_value(x)
    if axis is None or not value.type.rank:
        value, axis = reshape(value, -1), 0
    order = TopK(normalize_axis(who, axis, value.type.rank), None, largest=False)
    values, positions = apply_many(order, as_number(value))
    return cast(values, value.dtype), positions


def top_k(x: Any, k: int, sorted: bool = True) -> tuple[Value, Value]:
    """Returns the `k` largest elements along the last axis, in descending order, and their positions (int32).

    Args:
        x: numbers. k: how many. sorted: whether the order matters; it is the same either way.
    """
    value = as_value(x)
    count = as_size(k, "top_k")
    if not isinstance(count, int) or count < 0 or not value.type.rank:
        raise ConfigError(
            f"top_k needs a tensor with an axis, and a number k of its elements; got {value.type}, k={k}."
        )
    values, positions = apply_many(TopK(value.type.rank - 1, count), as_number(value))
    return cast(values, value.dtype), cast(positions, "int32")


def in_top_k(targets: Any, predictions: Any, k: int) -> Value:
    """Returns whether the prediction for each target is among the `k` largest; equal ones share their place.

    Args:
        targets: integers (...), positions along the last axis of `predictions`; those beyond it are not among them.
        predictions: (..., classes). k: how many count as the top.
    """
    scores, classes = as_number(predictions), as_value(targets)
    inside = logical_and(greater_equal(classes, 0), less(classes, size_of(scores, -1)))
    classes = where(inside, classes, scalar(0, classes))
    chosen = take_along_axis(scores, expand_dims(classes, -1), -1)
    if chosen.type.is_float:
        chosen = where(isnan(chosen), -np.inf, chosen)
    return logical_and(inside, less(sum(cast(greater(scores, chosen), "int32"), -1), int(k)))


def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> Value:
    """Returns where values belong in a sorted sequence (int32), so that it stays sorted.

    Args:
        sorted_sequence: one axis of ascending numbers. values: of any shape. side: "left" for the place before equal
        elements, "right" for the one behind them.
    """
    if side not in ("left", "right"):
        raise ConfigError(f"`side` must be either 'left' or 'right'. Received: side={side}")
    sequence, wanted = (as_number(x) for x in as_operands(sorted_sequence, values, held=True))
    return apply(SearchSorted(side == "right"), sequence, wanted)


def unravel_index(indices: Any, shape: Sequence[int]) -> tuple[Value, ...]:
    """Returns the position along each axis of a tensor of a shape, for positions among all its elements in order.

    Negative ones count from the end; those beyond either end become the first or last.
    """
    flat = as_value(indices)
    if not flat.dtype.startswith(("int", "uint")):
        raise DTypeError(f"unravel_index needs integer positions; got {flat.type}.")
    sizes = [as_size(d, "unravel_index") for d in (shape if isinstance(shape, Sequence) else (shape,))]
    if not all(isinstance(d, int) for d in sizes):
        raise ConfigError(f"unravel_index needs a shape of numbers; got {shape}.")
    numbers = [int(d) for d in sizes]
    total = int(np.prod(numbers, dtype=np.int64))
    flat = clip(where(less(flat, 0), add(flat, total), flat), 0, total - 1)
    found: list[Value] = []
    for size in reversed(numbers):
        found.insert(0, mod(flat, size))
        flat = floor_divide(flat, size)
    return tuple(found)
