"""Reductions along axes, and what normalizes or accumulates along one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from seqc.errors import ShapeError
from seqc.graph import dims
from seqc.graph.batch import batch_axis
from seqc.graph.element_types import HALVES
from seqc.graph.ir import Array, BatchRule, Emitter, Op, Shape, Sizes, Type, Value, apply, as_value
from seqc.graph.layout import Layout, LayoutRule, axis_of, position, positions
from seqc.graph.target import Target
from seqc.ops._common import (
    as_float,
    as_number,
    check_axes,
    check_float,
    check_number,
    normalize_axes,
    normalize_axis,
    scalar,
)
from seqc.ops.arithmetic import maximum, minimum
from seqc.ops.elementwise import cast, equal, where
from seqc.ops.shape import Reshape, broadcast_like, expand_dims, reshape, reshape_like, transpose
from seqc.ops.transcendental import exp
from seqc.utils.display import note

Axis = int | Iterable[int] | None


@dataclass(frozen=True, repr=False, eq=False)
class Reduction(Op):
    """Reduces `axes` (sorted, non-negative); kept as size one when `keepdims`."""

    axes: tuple[int, ...]
    keepdims: bool = False
    function: ClassVar[Callable[..., Any]]
    # Whether the result is one of the elements, of which there has to be one then.
    chooses: ClassVar[bool] = False

    def infer(self, x: Type) -> Type:
        check_axes(self, self.axes, x)
        if self.chooses:
            check_not_empty(self, self.axes, x.shape)
        if self.keepdims:
            return x.with_shape(1 if i in self.axes else d for i, d in enumerate(x.shape))
        return x.with_shape(d for i, d in enumerate(x.shape) if i not in self.axes)

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return math.prod(inputs[0])

    def eval(self, x: Array) -> Any:
        if self.chooses:
            check_not_empty(self, self.axes, x.shape)
        return type(self).function(x, axis=self.axes, keepdims=self.keepdims)

    def batch_rule(self, y: Value) -> BatchRule:
        return "whole" if batch_axis(y.inputs[0].type) in self.axes else "parallel"

    def expand(self, y: Value, x: Value) -> Value:
        """Gives a result (or its gradient) the shape of the operand again."""
        return broadcast_like(y if self.keepdims else expand_dims(y, self.axes), x)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        keep = int(self.keepdims)
        if e.target.supports(self.name, "axes"):  # an attribute before it became an input
            return e.node(self.name, x, axes=list(self.axes), keepdims=keep)
        return e.node(self.name, x, e.constant(np.array(self.axes, np.int64)), keepdims=keep)

    def layout_rule(self, y: Value, layout: Layout) -> LayoutRule | None:
        axes = positions(layout, self.axes)
        if axes is None:
            return None
        if self.keepdims:
            return LayoutRule((layout,), replace(self, axes=tuple(sorted(axes))), layout)
        kept = [i for i in range(y.inputs[0].type.rank) if i not in self.axes]
        gives: Layout = tuple(
            None if entry is None else kept.index(entry)
            for entry in layout
            if axis_of(entry) not in self.axes and isinstance(entry, int | None)
        )
        if any(not isinstance(entry, int | None) for entry in layout):
            return None
        # Axes of size one that were put in go with the reduction when nothing else is left beside the batch.
        extra = tuple(i for i, entry in enumerate(layout) if entry is None)
        if extra and len([g for g in gives if g is not None]) <= 2:
            axes = (*axes, *extra)
            gives = tuple(g for g in gives if g is not None)
        return LayoutRule((layout,), replace(self, axes=tuple(sorted(axes))), gives)


class ReduceSum(Reduction):
    """Sum along axes."""

    function = np.sum

    def eval(self, x: Array) -> Any:
        return np.sum(x, axis=self.axes, keepdims=self.keepdims, dtype=x.dtype)

    def batch_rule(self, y: Value) -> BatchRule:
        return "reduce" if batch_axis(y.inputs[0].type) in self.axes else "parallel"

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (self.expand(g, x),)


class ReduceMean(Reduction):
    """Mean along axes."""

    function = np.mean

    def infer(self, x: Type) -> Type:
        check_float(self, x)
        return super().infer(x)

    def eval(self, x: Array) -> Any:
        # Of no elements it is NaN; NumPy says so too, and warns.
        return super().eval(x) if x.size else np.sum(x, self.axes, keepdims=self.keepdims) * x.dtype.type(np.nan)

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (self.expand(g / count(x, self.axes), x),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        rank = y.inputs[0].type.rank
        over_space = (rank > 2 if self.keepdims else rank == 4) and self.axes == tuple(range(2, rank))
        if not over_space or y.type.dtype == "float64":
            return super().lower(e, y, x)
        # Stays in the blocked layout that onnxruntime's convolutions work in, unlike ReduceMean: measured behind them,
        # that takes 4 to 6 % of a small network more, though it spares the Flatten. Of volumes there are no such
        # layouts. Single precision only.
        pooled = e.node("GlobalAveragePool", x)
        return pooled if self.keepdims else e.node("Flatten", pooled, axis=1)


class _Extremum(Reduction):
    chooses = True

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        # Ties share the gradient equally, as TensorFlow and JAX do.
        hit = cast(equal(x, self.expand(y, x)), g.dtype)
        return (hit * self.expand(g, x) / self.expand(apply(ReduceSum(self.axes, self.keepdims), hit), x),)


def check_not_empty(op: Op, axes: tuple[int, ...], shape: Shape) -> None:
    """Raises ShapeError where there is no element to choose; where the result is empty too, nothing is chosen."""
    chosen_from = [shape[a] for a in axes]
    if 0 in chosen_from and not any(d == 0 for i, d in enumerate(shape) if i not in axes):
        raise ShapeError(
            f"{op.name} chooses an element along axis {', '.join(map(str, axes))} of a tensor of shape "
            f"{tuple(shape)}, where there are none. Give max and min an `initial` value, or check the sizes before."
        )


class ReduceMax(_Extremum):
    """Largest element along axes."""

    function = np.max

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        rank = y.inputs[0].type.rank
        if rank < 3 or self.axes != tuple(range(2, rank)) or y.type.dtype not in ("float16", "float32"):
            return super().lower(e, y, x)
        pooled = e.node("GlobalMaxPool", x)
        return pooled if self.keepdims else e.node("Flatten", pooled, axis=1)


class ReduceMin(_Extremum):
    """Smallest element along axes."""

    function = np.min


class ReduceProd(Reduction):
    """Product along axes."""

    function = np.prod

    def eval(self, x: Array) -> Any:
        return np.prod(x, axis=self.axes, keepdims=self.keepdims, dtype=x.dtype)

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        # The product of the others: of all but x where no factor is zero, of the rest where x alone is.
        none, one = scalar(0, x), scalar(1, x)
        is_zero = equal(x, none)
        factors = where(is_zero, one, x)
        rest = self.expand(apply(replace(self), factors), x)
        zeros = self.expand(apply(ReduceSum(self.axes, self.keepdims), cast(is_zero, x.dtype)), x)
        others = where(equal(zeros - cast(is_zero, x.dtype), none), rest / factors, none)
        return (self.expand(g, x) * others,)


@dataclass(frozen=True, repr=False, eq=False)
class ArgMax(Op):
    """Position (int64) of the largest element along an axis; the first one of several."""

    axis: int
    function: ClassVar[Callable[..., Any]] = np.argmax

    def infer(self, x: Type) -> Type:
        check_axes(self, (self.axis,), x)
        check_not_empty(self, (self.axis,), x.shape)
        return Type("int64", tuple(d for i, d in enumerate(x.shape) if i != self.axis))

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return math.prod(inputs[0])

    def eval(self, x: Array) -> Any:
        check_not_empty(self, (self.axis,), x.shape)
        return type(self).function(x, axis=self.axis)

    def batch_rule(self, y: Value) -> BatchRule:
        return "whole" if batch_axis(y.inputs[0].type) == self.axis else "parallel"

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (None,)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return e.node(self.name, x, axis=self.axis, keepdims=0)


class ArgMin(ArgMax):
    """Position (int64) of the smallest element along an axis; the first one of several."""

    function = np.argmin


@dataclass(frozen=True, repr=False, eq=False)
class CumSum(Op):
    """Sums of the elements along an axis up to and including each one; from the end if `reverse`."""

    axis: int
    reverse: bool = False

    def infer(self, x: Type) -> Type:
        check_number(self, x)
        check_axes(self, (self.axis,), x)
        return x

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return math.prod(inputs[0])

    def eval(self, x: Array) -> Any:
        if self.reverse:
            return np.flip(np.cumsum(np.flip(x, self.axis), self.axis, dtype=x.dtype), self.axis)
        return np.cumsum(x, self.axis, dtype=x.dtype)

    def batch_rule(self, y: Value) -> BatchRule:
        return "whole" if batch_axis(y.inputs[0].type) == self.axis else "parallel"

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (apply(CumSum(self.axis, not self.reverse), g),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return e.node("CumSum", x, e.constant(np.array(self.axis, np.int64)), reverse=int(self.reverse))


@dataclass(frozen=True, repr=False, eq=False)
class Count(Op):
    """How many elements the operand has along `axes`, as a float scalar: the divisor of a mean."""

    kind = "lookup"
    axes: tuple[int, ...]
    shape_only: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, x: Type) -> Type:
        return Type(x.dtype, ())

    def eval(self, x: Array) -> Any:
        return x.dtype.type(np.prod([x.shape[a] for a in self.axes], dtype=np.int64))

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (None,)

    def decompose(self, target: Target, y: Value, x: Value) -> Value | tuple[Value, ...] | None:
        sizes = [x.type.shape[a] for a in self.axes]
        return scalar(float(math.prod(dims.known(sizes))), y) if dims.is_known(sizes) else None

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        shape = e.node("Shape", x)
        sizes = e.node("Gather", shape, e.constant(np.array(self.axes, np.int64)), axis=0)
        # Multiplied as floats: onnxruntime's ReduceProd on CUDA takes no int64.
        return e.node("ReduceProd", e.node("Cast", sizes, to=y.type.dtype), keepdims=0)

    def layout_rule(self, y: Value, layout: Layout) -> LayoutRule | None:
        axes = positions(layout, self.axes)
        return None if axes is None else LayoutRule((layout,), Count(tuple(sorted(axes))), ())


@dataclass(frozen=True, repr=False, eq=False)
class Softmax(Op):
    """exp(x) over its sum along an axis, with the maximum taken off first."""

    axis: int

    def infer(self, x: Type) -> Type:
        check_float(self, x)
        check_axes(self, (self.axis,), x)
        return x

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return 5 * math.prod(outputs[0])

    def eval(self, x: Array) -> Any:
        if not x.size:
            return x
        e = np.exp(x - x.max(axis=self.axis, keepdims=True))
        e /= e.sum(axis=self.axis, keepdims=True)
        return e

    def batch_rule(self, y: Value) -> BatchRule:
        return "whole" if batch_axis(y.type) == self.axis else "parallel"

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        gy = g * y
        return (gy - y * apply(ReduceSum((self.axis,), True), gy),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return e.node(self.name, x, axis=self.axis)

    def layout_rule(self, y: Value, layout: Layout) -> LayoutRule | None:
        axis = position(layout, self.axis)
        return None if axis is None else LayoutRule((layout,), replace(self, axis=axis), layout)


class LogSoftmax(Softmax):
    """log(softmax(x)) along an axis, stable."""

    def eval(self, x: Array) -> Any:
        if not x.size:
            return x
        shifted = x - x.max(axis=self.axis, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=self.axis, keepdims=True))

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g - exp(y) * apply(ReduceSum((self.axis,), True), g),)


def count(x: Value, axes: Axis = None) -> Value:
    """Returns the number of elements of `x` along `axes`, as a scalar of the dtype of `x`."""
    return apply(Count(normalize_axes("count", axes, x.type.rank)), x)


def count_samples(x: Value) -> Value:
    """Returns the size of the first axis, as a scalar of floats that reach far: half precision ends at 2048."""
    return count(cast(x, "float32") if x.dtype in HALVES else x, (0,))


def _reduce(kind: type[Reduction], value: Value, axis: Axis, keepdims: bool) -> Value:
    axes = normalize_axes(kind.__name__, axis, value.type.rank)
    return value if not axes else apply(kind(axes, keepdims), value)


def _summable(x: Any) -> Value:
    """Narrow integers are added up in 32 bits, as Keras does."""
    value = as_number(x)
    return cast(
        value, {"int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}.get(value.dtype, value.dtype)
    )


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the sum along `axis` (an int, several, or None for all), which stays with size one if `keepdims`."""
    return _reduce(ReduceSum, _summable(x), axis, keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the mean along `axis` (an int, several, or None for all), which stays with size one if `keepdims`."""
    return _reduce(ReduceMean, as_float(x), axis, keepdims)


def prod(x: Any, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Value:
    """Returns the product along `axis` (an int, several, or None for all), which stays with size one if `keepdims`.

    It is computed in `dtype`; by default in that of x, narrow integers in 32 bits.
    """
    return _reduce(ReduceProd, _summable(x) if dtype is None else cast(x, dtype), axis, keepdims)


def is_empty(x: Value, axis: Axis) -> bool:
    """Tells whether x is known to have no elements along `axis`."""
    return any(x.type.shape[a] == 0 for a in normalize_axes("reduction", axis, x.type.rank))


def max(x: Any, axis: Axis = None, keepdims: bool = False, initial: float | None = None) -> Value:
    """Returns the largest element along `axis` (an int, several, or None for all), at least `initial`."""
    value = as_value(x)
    if value.dtype == "bool":
        return cast(max(as_number(x), axis, keepdims, initial), "bool")
    if initial is not None and is_empty(value, axis):
        return sum(value, axis, keepdims) + scalar(initial, value)
    largest = _reduce(ReduceMax, value, axis, keepdims)
    return largest if initial is None else maximum(largest, initial)


def min(x: Any, axis: Axis = None, keepdims: bool = False, initial: float | None = None) -> Value:
    """Returns the smallest element along `axis` (an int, several, or None for all), at most `initial`."""
    value = as_value(x)
    if value.dtype == "bool":
        return cast(min(as_number(x), axis, keepdims, initial), "bool")
    if initial is not None and is_empty(value, axis):
        return sum(value, axis, keepdims) + scalar(initial, value)
    smallest = _reduce(ReduceMin, value, axis, keepdims)
    return smallest if initial is None else minimum(smallest, initial)


def amax(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the largest element along `axis` (an int, several, or None for all)."""
    return max(x, axis, keepdims)


def amin(x: Any, axis: Axis = None, keepdims: bool = False) -> Value:
    """Returns the smallest element along `axis` (an int, several, or None for all)."""
    return min(x, axis, keepdims)


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Value:
    """Returns the position (int32) of the largest element along `axis`, or among all elements in order."""
    return _position(ArgMax, x, axis, keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Value:
    """Returns the position (int32) of the smallest element along `axis`, or among all elements in order."""
    return _position(ArgMin, x, axis, keepdims)


def _position(kind: type[ArgMax], x: Any, axis: int | None, keepdims: bool) -> Value:
    value = as_number(x)
    rank = value.type.rank
    if axis is None:
        found = apply(kind(0), reshape(value, -1))
        return cast(expand_dims(found, tuple(range(rank))) if keepdims else found, "int32")
    at = normalize_axis(kind.__name__, axis, rank)
    found = apply(kind(at), value)
    return cast(expand_dims(found, at) if keepdims else found, "int32")


def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Value:
    """Returns the sums up to and including each element along `axis`, or over all elements in order."""
    value = as_number(x) if dtype is None else cast(x, dtype)
    if axis is None:
        value, axis = reshape(value, -1), 0
    return apply(CumSum(normalize_axis("cumsum", axis, value.type.rank)), value)


def softmax(x: Any, axis: int | Sequence[int] | None = -1) -> Value:
    """Returns exp(x) normalized to sum to one along `axis` (one, several, or None for all).

    Example:
        >>> seqc.ops.softmax(np.array([0.0, np.log(3.0)], "float32")).numpy()
        array([0.25, 0.75], dtype=float32)
    """
    value = as_float(x)
    if isinstance(axis, int | np.integer):
        if value.type.rank and value.type.shape[normalize_axis("softmax", axis, value.type.rank)] == 1:
            note(
                f"You are using a softmax over axis {axis} of a tensor of shape {value.shape}. This axis has size 1, "
                "so the result is always 1, which is likely not what you intended. Did you mean a sigmoid?",
                warn=True,
            )
        return apply(Softmax(normalize_axis("softmax", axis, value.type.rank)), value)
    return _over_one_axis(Softmax, value, axis)


def log_softmax(x: Any, axis: int | Sequence[int] | None = -1) -> Value:
    """Returns log(softmax(x)) along `axis` (one, several, or None for all)."""
    value = as_float(x)
    if isinstance(axis, int | np.integer):
        return apply(LogSoftmax(normalize_axis("log_softmax", axis, value.type.rank)), value)
    return _over_one_axis(LogSoftmax, value, axis)


def _over_one_axis(kind: type[Softmax], x: Value, axis: Axis) -> Value:
    """Returns a softmax over several axes, which stand side by side as one while it is taken."""
    axes = normalize_axes(kind.__name__, axis, x.type.rank)
    order = (*(a for a in range(x.type.rank) if a not in axes), *axes)
    kept = len(order) - len(axes)
    moved = transpose(x, order)
    result = apply(kind(kept), apply(Reshape((*[0] * kept, -1)), moved))
    return transpose(reshape_like(result, moved), tuple(order.index(a) for a in range(len(order))))
