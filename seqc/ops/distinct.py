"""Which elements there are: results as long as the numbers say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.errors import ConfigError, ShapeError
from seqc.graph.eager import known_array
from seqc.graph.ir import Array, BatchRule, Emitter, Op, Type, Value, apply_many, as_value, constant
from seqc.ops._common import check_axes, normalize_axis
from seqc.ops.elementwise import cast

# What onnxruntime compares; all else is compared as a wider type.
_COMPARED = ("float32", "float64", "int64")


@dataclass(frozen=True, repr=False, eq=False)
class Unique(Op):
    """The different elements, or slices along an axis, in ascending order.

    So many of them, filled up where there are fewer.

    Results: the elements; the first position of each (int64); of each element of x its number among them (int64); how
    often each comes (int64).

    Attributes:
        size: how many elements there are in the result. axis: None for all elements in order. fill: what fills up;
        None for the smallest element.
    """

    size: int
    axis: int | None = None
    fill: float | None = None

    def infer(self, x: Type) -> tuple[Type, ...]:
        found = x.with_shape((self.size,))
        numbers = Type("int64", x.shape)
        if self.axis is not None:
            check_axes(self, (self.axis,), x)
            found = x.with_shape(self.size if i == self.axis else d for i, d in enumerate(x.shape))
            numbers = Type("int64", (x.shape[self.axis],))
        return found, Type("int64", (self.size,)), numbers, Type("int64", (self.size,))

    def eval(self, x: Array) -> Any:
        if not x.size:
            raise ShapeError("unique with a size needs at least one element.")
        found, first, numbers, counts = distinct(x, self.axis)
        along = 0 if self.axis is None else self.axis
        missing = max(self.size - found.shape[along], 0)
        front = np.take(found, [0] * missing, along)
        if self.fill is not None:
            front = np.full_like(front, self.fill)
        taken = (slice(None),) * along + (slice(self.size),)
        places = np.concatenate([first, np.repeat(first[:1], missing)])[: self.size]
        counted = np.concatenate([counts, np.zeros(missing, counts.dtype)])[: self.size]
        return np.concatenate([found, front], along)[taken], places, numbers, counted

    def batch_rule(self, y: Value) -> BatchRule:
        return "whole"

    def vjp(self, g: Any, y: Value, x: Value) -> Sequence[Value | None]:
        return (None,)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        which = {} if self.axis is None else {"axis": self.axis}
        wide_type = "float32" if y.inputs[0].type.is_float else "int64"
        given = x if y.inputs[0].dtype in _COMPARED else e.node("Cast", x, to=wide_type)
        found, first, numbers, counts = e.node_many("Unique", given, outputs=4, sorted=1, **which)
        found = found if given == x else e.node("Cast", found, to=y.inputs[0].dtype)
        along = 0 if self.axis is None else self.axis
        dtype, rank = y.inputs[0].dtype, 1 if self.axis is None else y.inputs[0].type.rank
        zero, one, size = (e.constant(np.array([n], np.int64)) for n in (0, 1, self.size))
        at = e.constant(np.array([along], np.int64))
        wide = e.constant(np.array([self.size if i == along else 1 for i in range(rank)], np.int64))

        def filled(tensor: str, fill: str, axis: str, into: int) -> str:
            return e.node("Slice", e.node("Concat", tensor, fill, axis=into), zero, size, axis)

        front = e.node("Slice", found, zero, one, at)
        if self.fill is not None:
            front = e.node("Expand", e.constant(np.array(self.fill, dtype)), e.node("Shape", front))
        some = e.node("Expand", front, wide)
        places = filled(first, e.node("Expand", e.node("Slice", first, zero, one, zero), size), zero, 0)
        counted = filled(counts, e.constant(np.zeros(self.size, np.int64)), zero, 0)
        shaped = e.node("Reshape", numbers, e.node("Shape", x)) if self.axis is None else numbers
        return filled(found, some, at, along), places, shaped, counted


def distinct(x: Array, axis: int | None) -> tuple[Array, Array, Array, Array]:
    """Returns the different elements, first positions, numbers of all elements among them, and counts."""
    found, first, numbers, counts = np.unique(x, True, True, True, axis, equal_nan=False)
    shape = x.shape if axis is None else (x.shape[axis],)
    return found, first.astype(np.int64), numbers.reshape(shape).astype(np.int64), counts.astype(np.int64)


def unique(
    x: Any,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: float | None = None,
) -> Any:
    """Returns the different elements of x in ascending order, and in a tuple what else is asked for (all int32).

    How many there are depends on the numbers, so that a model needs `size`.

    Args:
        x: a tensor. sorted: they are sorted either way. return_index: whether the first position of each comes too.
        return_inverse: the number of each element of x among them. return_counts: how often each comes.
        axis: the axis along which slices are compared; None for all elements.
        size: how many there are in the result: the first so many. fill_value: stands where there are fewer, the
        smallest by default.

    Raises:
        TraceError: the numbers are not known and there is no `size`.
    """
    value = as_value(x)
    at = None if axis is None else normalize_axis("unique", axis, value.type.rank)
    if size is None:
        results = [constant(part) for part in distinct(known_array(value, "The shape of unique", "Give a size."), at)]
    else:
        results = list(apply_many(Unique(int(size), at, None if fill_value is None else float(fill_value)), value))
    asked = (True, return_index, return_inverse, return_counts)
    wanted = [r if i == 0 else cast(r, "int32") for i, (r, ask) in enumerate(zip(results, asked, strict=True)) if ask]
    return wanted[0] if len(wanted) == 1 else tuple(wanted)


def nonzero(x: Any) -> tuple[Value, ...]:
    """Returns the positions of all elements that are not zero, one tensor (int32) for each axis.

    Raises:
        TraceError: the numbers are not known, on which the shape depends.
    """
    value = as_value(x)
    if not value.type.rank:
        raise ConfigError("nonzero needs a tensor with axes; got a single number.")
    advice = "In a model use ops.where, or ops.top_k for a fixed number of elements."
    found = np.nonzero(known_array(value, "The shape of nonzero", advice))
    return tuple(constant(at.astype(np.int32)) for at in found)
